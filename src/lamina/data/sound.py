"""Sounds as data: a folder with one sub-folder of WAV, FLAC or other sound files for each class."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from lamina.data.base import Data, DataCard, Split, Target
from lamina.data.image_files import Listing, list_folder
from lamina.data.media import ClipPreprocessing, Medium, load_clips, load_clips_split
from lamina.data.sound_files import EXTENSIONS, NEEDS_SOUNDFILE, SoundHeader, has_soundfile, read_sound_header
from lamina.data.sound_preprocessing import SoundPreprocessing
from lamina.errors import DataError

__all__ = ["load_sound_folder", "load_sound_split", "plan_sounds"]

_RATE = 16_000  # samples a second, at most: what is above 8 kHz is rarely needed to tell sounds apart
_WINDOW, _HOP = 0.025, 0.010  # seconds
_BANDS, _WIDE_BANDS = 40, 64  # up to 4 kHz, and above
_DECIBELS = 80.0
_COVERED = 0.95  # of the training sounds are not cut
_LONGEST = 10.0  # seconds
_CHUNK = 64


def load_sound_folder(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    group: str | None = None,
    memory: int | None = None,
    preprocessing: SoundPreprocessing | None = None,
) -> Data:
    """Data from a folder with one sub-folder of sounds for each class.

    All sounds are brought to one rate (the most frequent among the training sounds, at most 16 kHz) and one length
    (that of 95 % of the training sounds or shorter ones, at most 10 s): longer ones are cut to their middle, shorter
    ones have silence on both sides. See `load_clips` for the splits, and what is refused.

    Args:
        folder: its path.
        seed: of the splits and samples.
        group: sounds whose names agree in this pattern (a speaker's, say) stay on one side of the split.
        memory: bytes that the samples may take; above it files are read while training.
        preprocessing: a trained model's, in place of one fitted here.

    Raises:
        DataError: see `load_clips`; for FLAC and others without the package soundfile.
    """
    return load_clips(_Sounds(), folder, seed=seed, group=group, memory=memory, preprocessing=preprocessing)


def load_sound_split(
    folder: str | os.PathLike[str], preprocessing: SoundPreprocessing, target: Target, *, memory: int | None = None
) -> tuple[Split, DataCard]:
    """Labelled sounds to evaluate a model on; see `load_clips_split`."""
    return load_clips_split(_Sounds(), folder, preprocessing, target, memory=memory)


def plan_sounds(headers: Sequence[SoundHeader]) -> SoundPreprocessing:
    """Rate, length and bands that suit the training sounds; mean and standard deviation are still 0 and 1."""
    rate = min(_RATE, Counter(header.rate for header in headers).most_common(1)[0][0])
    window, hop = max(2, round(_WINDOW * rate)), max(1, round(_HOP * rate))
    seconds = min(_LONGEST, float(np.quantile([header.seconds for header in headers], _COVERED)))
    # Whole hops, at least so many that a network can pool four times by two.
    samples = hop * max(math.ceil(seconds * rate / hop), 16 + math.ceil(window / hop) - 1)
    bands = _BANDS if rate <= 8_000 else _WIDE_BANDS
    zeros, ones = (0.0,) * bands, (1.0,) * bands
    return SoundPreprocessing(rate, samples, window, hop, bands, 0.0, rate / 2, _DECIBELS, zeros, ones)


class _Sounds(Medium[SoundHeader]):
    kind = "sound"
    one = "sound"
    many = "sounds"

    def listing(self, folder: str | os.PathLike[str]) -> Listing:
        listing = list_folder(folder, self.many)
        endings = [os.path.splitext(name)[1].lower() for name in listing.files]
        kept = np.asarray([index for index, ending in enumerate(endings) if ending in EXTENSIONS], np.int64)
        if not len(kept):
            raise DataError(
                f"There are no sounds in {listing.source}.", "Expected .wav files (or, with soundfile, .flac)."
            )
        foreign = sorted({endings[index] for index in kept} - {".wav", ".wave"})
        if foreign and not has_soundfile():
            count = sum(endings[index] in foreign for index in kept)
            raise DataError(
                f"{count} of the {len(kept)} sounds in {listing.source} are {', '.join(foreign)} files, and nothing "
                "is installed that reads them.",
                f"WAV is read as it is; for others {NEEDS_SOUNDFILE}.",
            )
        rest = np.setdiff1d(np.arange(len(endings)), kept)
        listing.skipped += [(listing.files[index], "it is no sound, by its name") for index in rest.tolist()]
        listing.keep(kept)
        return listing

    def look(self, path: str) -> SoundHeader:
        return read_sound_header(path)

    def facts(self, headers: Sequence[SoundHeader]) -> dict[str, Any]:
        seconds = [header.seconds for header in headers]
        counted = {
            name: {str(key): count for key, count in Counter(getattr(header, name) for header in headers).most_common()}
            for name in ("rate", "channels", "encoding")
        }
        span = {"min": min(seconds), "median": float(np.median(seconds)), "max": max(seconds)}
        return {"seconds": {name: round(value, 3) for name, value in span.items()}, **counted}

    def differences(self, headers: Sequence[SoundHeader], preprocessing: ClipPreprocessing) -> list[str]:
        assert isinstance(preprocessing, SoundPreprocessing)
        notes = []
        rates = Counter(header.rate for header in headers if header.rate != preprocessing.rate)
        if rates:
            shown = ", ".join(f"{count:,} from {rate:,}" for rate, count in rates.most_common(4))
            notes.append(f"Converted to {preprocessing.rate:,} Hz: {shown} Hz.")
        several = sum(header.channels > 1 for header in headers)
        if several:
            notes.append(f"Of {several:,} sounds with several channels the mean is taken.")
        if len({header.encoding for header in headers}) > 1:
            counts = Counter(header.encoding for header in headers).most_common(4)
            notes.append(f"Encodings: {', '.join(f'{count:,} {name}' for name, count in counts)}; all become 16-bit.")
        cut = sum(header.seconds > preprocessing.seconds + 1 / preprocessing.rate for header in headers)
        length = f"Each sound is {preprocessing.seconds:.2f} s to the network"
        notes.append(f"{length}: {cut:,} longer ones are cut to their middle, shorter ones have silence on both sides.")
        return notes

    def plan(self, headers: Sequence[SoundHeader]) -> SoundPreprocessing:
        return plan_sounds(headers)

    def fitted(self, preprocessing: ClipPreprocessing, encoded: np.ndarray) -> SoundPreprocessing:
        assert isinstance(preprocessing, SoundPreprocessing)
        spectrogram = jax.jit(preprocessing.spectrogram)
        total, square, count = np.zeros(preprocessing.bands), np.zeros(preprocessing.bands), 0
        for start in range(0, len(encoded), _CHUNK):
            part = encoded[start : start + _CHUNK]
            filled = np.concatenate([part, np.zeros((_CHUNK - len(part), part.shape[1]), part.dtype)])  # one shape
            values = np.asarray(spectrogram(filled), np.float64)[: len(part)]
            total += values.sum(axis=(0, 1))
            square += (values**2).sum(axis=(0, 1))
            count += values.shape[0] * values.shape[1]
        mean = total / count
        spread = np.sqrt(np.maximum(square / count - mean**2, 0.0))
        std = np.where(spread > 1e-6, spread, 1.0)
        return replace(preprocessing, mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    def remarks(self, encoded: np.ndarray, names: Sequence[str]) -> list[str]:
        silent = np.flatnonzero(~encoded.any(axis=1))
        if not len(silent):
            return []
        shown = ", ".join(names[index] for index in silent[:3].tolist()) + (", …" if len(silent) > 3 else "")
        return [f"{len(silent)} {'sound is' if len(silent) == 1 else 'sounds are'} nothing but silence: {shown}."]
