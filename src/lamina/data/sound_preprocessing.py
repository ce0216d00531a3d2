"""What sounds pass through on their way into a network."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from lamina.data import mel
from lamina.data.base import Inputs
from lamina.data.channels import as_floats, standardised
from lamina.data.media import ClipPreprocessing, UnreadableClipError
from lamina.data.sound_files import EXTENSIONS, fit_samples, read_sound
from lamina.errors import ConfigError, DataError
from lamina.layers.base import Spec, spec

__all__ = ["SoundPreprocessing"]


@dataclass(frozen=True, repr=False)
class SoundPreprocessing(ClipPreprocessing):
    """Sounds → int16 ``(n, samples)`` on the host → log-mel spectrograms, standardised, on the device.

    A file's channels are averaged, its rate is converted, its middle cut out, or zeros put on both sides. The
    spectrogram (see `lamina.data.mel.log_mel`) becomes ``(y − mean) / std``, float32 ``(n, frames, bands, 1)``.

    Attributes:
        rate: samples a second.
        samples: of each sound.
        window, hop: samples in a frame, and from one frame to the next.
        bands: mel bands.
        low, high: hertz, the ends of the lowest and the highest band.
        decibels: below a sound's loudest place nothing is told apart.
        mean, std: of each band over the training split, in units of log10 of the power.
    """

    kind: ClassVar[str] = "sound"
    one: ClassVar[str] = "sound"
    many: ClassVar[str] = "sounds"

    rate: int
    samples: int
    window: int
    hop: int
    bands: int
    low: float
    high: float
    decibels: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", as_floats(self.mean))
        object.__setattr__(self, "std", as_floats(self.std))
        if not 1 <= self.hop <= self.window or self.rate < 1 or self.frames < 1 or self.bands < 1:
            raise ConfigError(
                "Sounds have a rate of at least 1, at least one frame and one band, and a hop from 1 to the window. "
                f"Received: rate={self.rate}, samples={self.samples}, window={self.window}, hop={self.hop}, "
                f"bands={self.bands}."
            )
        if not 0 <= self.low < self.high <= self.rate / 2 or not self.decibels > 0:
            raise ConfigError(
                "The bands lie between 0 and half the rate, and the floor below the loudest place. "
                f"Received: low={self.low}, high={self.high}, rate={self.rate}, decibels={self.decibels}."
            )
        if len(self.mean) != self.bands or len(self.std) != self.bands or min(self.std) <= 0:
            raise ConfigError(f"Expected a mean and a positive standard deviation for each of the {self.bands} bands.")

    @property
    def frames(self) -> int:
        """Of the spectrogram."""
        return mel.frames_of(self.samples, self.window, self.hop)

    @property
    def seconds(self) -> float:
        """How long each sound is to the network."""
        return self.samples / self.rate

    def encode_one(self, raw: Any) -> np.ndarray:
        if isinstance(raw, np.ndarray):
            try:
                return fit_samples(raw, self.rate, self.rate, self.samples)
            except ValueError as error:
                raise UnreadableClipError("sound", "given as an array", str(error)) from None
        return read_sound(raw, self.rate, self.samples)

    def empty(self) -> np.ndarray:
        return np.zeros(self.samples, np.int16)

    def as_sequence(self, raw: Any) -> Sequence[Any]:
        """A path, the bytes of a file, samples ``(n,)`` or ``(n, channels)`` at the model's rate, or a list of these.

        Raises:
            DataError: for anything else.
        """
        if isinstance(raw, str | bytes | os.PathLike | np.ndarray):
            raw = [raw]
        if isinstance(raw, list | tuple):
            items = [np.asarray(item) if hasattr(item, "__array__") else item for item in raw]
            if all(_is_sound(item) for item in items):
                return items
        elif isinstance(raw, Sequence):  # paths, each made when it is asked for
            return raw
        raise DataError(
            f"Expected sounds: paths, bytes of files, or arrays of samples at {self.rate} Hz. "
            f"Received: {type(raw).__name__}."
        )

    def is_clip(self, path: str) -> bool:
        return not os.path.isdir(path) and os.path.splitext(path)[1].lower() in EXTENSIONS

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """Sound files, folders of them, and "-" for one file on standard input; see `ClipPreprocessing.gather`."""
        if "-" not in arguments:
            return super().gather(arguments)
        given = super().gather([argument for argument in arguments if argument != "-"])
        return Inputs(("-", *given.names), [sys.stdin.buffer.read(), *given.raw], given.skipped)

    def spectrogram(self, x: Any) -> jax.Array:
        """Encoded sounds ``(n, samples)`` → `lamina.data.mel.log_mel`, not standardised, ``(n, frames, bands)``."""
        return mel.log_mel(
            x,
            rate=self.rate,
            window=self.window,
            hop=self.hop,
            bands=self.bands,
            low=self.low,
            high=self.high,
            decibels=self.decibels,
        )

    def transform(self, x: Any) -> Any:
        return standardised(self.spectrogram(x), self.mean, self.std)[..., None]

    def input_spec(self) -> Spec:
        return spec((self.frames, self.bands, 1), np.dtype(np.float32))


def _is_sound(item: Any) -> bool:
    if isinstance(item, np.ndarray):
        return item.ndim in (1, 2) and item.dtype.kind in "iuf" and len(item) > 0
    return isinstance(item, str | bytes | os.PathLike)
