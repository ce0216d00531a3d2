"""What videos pass through on their way into a network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lamina.data.channels import as_floats, check_channels, standardised
from lamina.data.media import ClipPreprocessing, UnreadableClipError
from lamina.data.video_files import ANIMATED, is_frame_folder, read_video, sampled
from lamina.errors import ConfigError, DataError
from lamina.layers.base import Spec, spec

__all__ = ["VideoPreprocessing"]


@dataclass(frozen=True, repr=False)
class VideoPreprocessing(ClipPreprocessing):
    """Videos → uint8 ``(n, frames, height, width, channels)`` on the host → ``(x − mean) / std`` on the device.

    Attributes:
        frames: of each video, taken evenly from its first to its last; a shorter video repeats some.
        height, width: pixels. A frame of another size is scaled to cover them, and its centre is cut out.
        channels: 1 (grey) or 3 (red, green, blue).
        mean, std: per channel, in units of 0…255.
    """

    kind: ClassVar[str] = "video"
    one: ClassVar[str] = "video"
    many: ClassVar[str] = "videos"

    frames: int
    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", as_floats(self.mean))
        object.__setattr__(self, "std", as_floats(self.std))
        if min(self.frames, self.height, self.width) < 1 or self.channels not in (1, 3):
            raise ConfigError(
                "Videos have at least one frame of at least 1 × 1 pixels and 1 or 3 channels. Received: "
                f"frames={self.frames}, height={self.height}, width={self.width}, channels={self.channels}."
            )
        check_channels(self.channels, self.mean, self.std)

    def encode_one(self, raw: Any) -> np.ndarray:
        if isinstance(raw, np.ndarray):
            return self._array(raw)
        return read_video(os.fspath(raw), self.frames, self.height, self.width, self.channels)

    def empty(self) -> np.ndarray:
        return np.zeros((self.frames, self.height, self.width, self.channels), np.uint8)

    def as_sequence(self, raw: Any) -> Sequence[Any]:
        """A path, uint8 frames ``(frames, height, width, channels)`` of the model's size, several, or a list of these.

        Raises:
            DataError: for anything else.
        """
        if isinstance(raw, str | os.PathLike):
            return [raw]
        if isinstance(raw, np.ndarray) and raw.ndim in (4, 5):
            return [raw] if raw.ndim == 4 else list(raw)
        if isinstance(raw, list | tuple) and all(isinstance(item, str | os.PathLike | np.ndarray) for item in raw):
            return raw
        raise DataError(
            f"Expected videos: paths, or uint8 arrays (frames, {self.height}, {self.width}, {self.channels}). "
            f"Received: {type(raw).__name__}{f' of shape {raw.shape}' if isinstance(raw, np.ndarray) else ''}."
        )

    def is_clip(self, path: str) -> bool:
        if os.path.isdir(path):
            return is_frame_folder(path, os.listdir(path))
        return os.path.splitext(path)[1].lower() in ANIMATED

    def _below(self, folder: str, skipped: list[tuple[str, str]]) -> list[str]:
        """Animated files and frame folders at any depth."""
        found: list[str] = []
        for place, folders, files in os.walk(folder):
            folders.sort()
            if place != folder and self.is_clip(place):
                found.append(place)
                folders.clear()
            else:
                found += [
                    os.path.join(place, name) for name in sorted(files) if self.is_clip(os.path.join(place, name))
                ]
        return found

    def transform(self, x: Any) -> Any:
        return standardised(x, self.mean, self.std)

    def input_spec(self) -> Spec:
        return spec((self.frames, self.height, self.width, self.channels), np.dtype(np.float32))

    def _array(self, frames: np.ndarray) -> np.ndarray:
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != self.empty().shape[1:]:
            raise UnreadableClipError(
                "video",
                "given as an array",
                f"it is {frames.dtype} {frames.shape}; expected uint8 (frames, {self.height}, {self.width}, "
                f"{self.channels})",
            )
        if not len(frames):
            raise UnreadableClipError("video", "given as an array", "it has no frames")
        chosen: np.ndarray = frames[sampled(len(frames), self.frames)]
        return chosen
