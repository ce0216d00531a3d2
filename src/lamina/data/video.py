"""Videos as data: a folder with one sub-folder of animated GIFs, or of frame folders, for each class."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lamina.data.base import Data, DataCard, Split, Target
from lamina.data.decode import EXTENSIONS, parallel
from lamina.data.image_files import Files, Listing, list_folder
from lamina.data.image_preprocessing import check_scale, fit_pixels
from lamina.data.images import choose_size
from lamina.data.media import ClipPreprocessing, Medium, load_clips, load_clips_split
from lamina.data.splits import find_duplicates
from lamina.data.video_files import (
    ANIMATED,
    VideoHeader,
    frame_names,
    is_frame_folder,
    read_video_header,
)
from lamina.data.video_preprocessing import VideoPreprocessing
from lamina.errors import ConfigError, DataError

__all__ = ["load_video_folder", "load_video_split"]

_MOST_FRAMES = 16
_LARGEST = 64  # pixels a side: a network sees every one of many frames


def load_video_folder(
    folder: str | os.PathLike[str],
    *,
    scale: str = "auto",
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    group: str | None = None,
    memory: int | None = None,
    preprocessing: VideoPreprocessing | None = None,
) -> Data:
    """Data from a folder with one sub-folder of videos for each class.

    A video is an animated GIF or WebP, or a folder of pictures numbered in order. Each gives as many frames as the
    training videos have on median, at most 16. See `load_clips` for the splits, and what is refused.

    Args:
        folder: its path.
        scale: as for pictures: "auto", "standard", "minmax" or "none".
        seed: of the splits and samples.
        size: of the network's input in pixels, a side or (height, width); by default that of the videos where all
            have one of at most 64, else at most 64 a side.
        group: examples whose names agree in this pattern stay on one side of the split.
        memory: bytes that decoded videos may take; above it they are decoded while training.
        preprocessing: a trained model's, in place of one fitted here.

    Raises:
        DataError: see `load_clips`.
    """
    check_scale(scale)
    medium = _Videos(scale, size)
    return load_clips(medium, folder, seed=seed, group=group, memory=memory, preprocessing=preprocessing)


def load_video_split(
    folder: str | os.PathLike[str], preprocessing: VideoPreprocessing, target: Target, *, memory: int | None = None
) -> tuple[Split, DataCard]:
    """Labelled videos to evaluate a model on; see `load_clips_split`."""
    return load_clips_split(_Videos(), folder, preprocessing, target, memory=memory)


class _Videos(Medium[VideoHeader]):
    kind = "video"
    one = "video"
    many = "videos"

    def __init__(self, scale: str = "auto", size: int | tuple[int, int] | None = None) -> None:
        self._scale, self._size = scale, size

    def listing(self, folder: str | os.PathLike[str]) -> Listing:
        listing = list_folder(folder, self.many)
        depth = 2 if listing.given else 1  # folders above the examples
        inside: dict[str, list[int]] = {}
        for index, name in enumerate(listing.files):
            inside.setdefault(os.path.dirname(name), []).append(index)
        found: list[tuple[str, int, int]] = []  # name, bytes, an index that has its label
        for place, indices in inside.items():
            deep = len(Path(place).parts) > depth
            names = [os.path.basename(listing.files[index]) for index in indices]
            if deep and _holds_frames(listing.files.root, place, names):
                found.append((place, int(listing.files.sizes[indices].sum()), indices[0]))
                continue
            for index, name in zip(indices, names, strict=True):
                ending = os.path.splitext(name)[1].lower()
                if ending in ANIMATED:
                    found.append((listing.files[index], int(listing.files.sizes[index]), index))
                else:
                    what = "a single picture" if ending in EXTENSIONS else "no video"
                    listing.skipped.append((listing.files[index], f"it is {what}"))
        if not found:
            raise DataError(
                f"There are no videos in {listing.source}.",
                "A video is an animated GIF, or a folder of pictures numbered in order: clips/left/17/frame3.png.",
            )
        origins = np.asarray([index for _, _, index in found])
        listing.files = Files.pack(listing.files.root, ((name, size) for name, size, _ in found))
        listing.labels, listing.parts = listing.labels[origins], listing.parts[origins]
        return listing

    def look(self, path: str) -> VideoHeader:
        return read_video_header(path)

    def facts(self, headers: Sequence[VideoHeader]) -> dict[str, Any]:
        columns = {name: [getattr(header, name) for header in headers] for name in ("frames", "width", "height")}
        return {
            name: {"min": min(values), "median": int(np.median(values)), "max": max(values)}
            for name, values in columns.items()
        }

    def differences(self, headers: Sequence[VideoHeader], preprocessing: ClipPreprocessing) -> list[str]:
        assert isinstance(preprocessing, VideoPreprocessing)
        wanted, counts = preprocessing.frames, [header.frames for header in headers]
        notes = []
        if min(counts) != max(counts) or min(counts) != wanted:
            short = sum(count < wanted for count in counts)
            span = str(counts[0]) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
            repeated = f"; {short} shorter {'one repeats' if short == 1 else 'ones repeat'} some" if short else ""
            notes.append(f"The videos have {span} frames; {wanted} of each are taken, evenly{repeated}.")
        sizes = {(header.width, header.height) for header in headers}
        if sizes != {(preprocessing.width, preprocessing.height)}:
            many = f"{len(sizes)} different sizes" if len(sizes) > 1 else "{}×{} pixels".format(*next(iter(sizes)))
            notes.append(f"The videos have {many}; their frames become {preprocessing.width}×{preprocessing.height}.")
        return notes

    def plan(self, headers: Sequence[VideoHeader]) -> VideoPreprocessing:
        frames = min(_MOST_FRAMES, max(2, int(np.median([header.frames for header in headers]))))
        height, width = self._chosen_size([(header.width, header.height) for header in headers])
        channels = 1 if all(header.grey for header in headers) else 3
        return VideoPreprocessing(frames, height, width, channels, (0.0,) * channels, (1.0,) * channels)

    def fitted(self, preprocessing: ClipPreprocessing, encoded: np.ndarray) -> VideoPreprocessing:
        assert isinstance(preprocessing, VideoPreprocessing)
        pixels = fit_pixels(encoded.reshape(-1, *encoded.shape[2:]), self._scale)
        return replace(preprocessing, mean=pixels.mean, std=pixels.std)

    def groups(self, files: Files) -> np.ndarray:
        return find_duplicates(parallel(lambda index: _content(files.path(index), index), range(len(files))))

    def _chosen_size(self, sizes: list[tuple[int, int]]) -> tuple[int, int]:
        if self._size is not None:
            height, width = (self._size, self._size) if isinstance(self._size, int) else self._size
            if not (1 <= height <= 1024 and 1 <= width <= 1024):
                raise ConfigError(f"Videos are shown to a network at 1 to 1024 pixels a side. Received: {self._size}.")
            return height, width
        height, width = choose_size(sizes, len(sizes))
        shrink = min(1.0, _LARGEST / max(height, width))
        return max(1, round(height * shrink)), max(1, round(width * shrink))


def _holds_frames(root: str, folder: str, names: list[str]) -> bool:
    """Whether a folder below a class's is one video; animated files in it are videos of their own."""
    pictures = frame_names(names)
    if not pictures:
        return False
    if any(os.path.splitext(name)[1].lower() not in ANIMATED for name in pictures):
        return True
    return is_frame_folder(os.path.join(root, folder), pictures)


def _content(path: str, index: int) -> bytes:
    """A hash of a video's bytes: of its file, or of all its frames in order."""
    found = hashlib.sha256()
    try:
        paths = [path]
        if os.path.isdir(path):
            paths = [os.path.join(path, name) for name in frame_names(os.listdir(path))]
        for part in paths:
            with Path(part).open("rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return b"unreadable %d" % index
    return found.digest()
