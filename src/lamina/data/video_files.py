"""One video (an animated GIF or WebP, or a folder of numbered pictures) → uint8 frames of a wanted number and size."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lamina.data import decode
from lamina.data.media import UnreadableClipError

__all__ = [
    "ANIMATED",
    "VideoHeader",
    "frame_names",
    "is_animated",
    "is_frame_folder",
    "is_numbered",
    "read_video",
    "read_video_header",
    "sampled",
]

ANIMATED = frozenset({".gif", ".webp"})  # endings of files that may hold several frames
_ONE = "it has one frame only, so it is a picture and not a video"


@dataclass(frozen=True)
class VideoHeader:
    """What a video says of itself: frames, their width and height in pixels, whether the first is without colour."""

    frames: int
    width: int
    height: int
    grey: bool


def frame_names(names: Iterable[str]) -> list[str]:
    """The pictures among file names, in the order of the numbers in them: frame2.png before frame10.png."""
    pictures = [name for name in names if os.path.splitext(name)[1].lower() in decode.EXTENSIONS]
    return sorted(pictures, key=_numbers)


def is_numbered(names: Sequence[str]) -> bool:
    """Whether file names are those of frames: at least two, alike but for a number that counts up by 1 from 0 or 1."""
    found = [re.fullmatch(r"(.*?)(\d+)(\.\w+)", name) for name in names]
    if len(found) < 2 or not all(found):
        return False
    if len({(match[1], match[3].lower()) for match in found if match}) > 1:
        return False
    numbers = sorted(int(match[2]) for match in found if match)
    return numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1


def is_animated(path: str) -> bool:
    """Whether a picture file holds more than one frame; False for what cannot be read."""
    try:
        return read_video_header(path).frames > 1
    except UnreadableClipError:
        return False


def is_frame_folder(folder: str, names: Iterable[str]) -> bool:
    """Whether a folder's files are the frames of one video: numbered pictures that are not animated themselves."""
    frames = frame_names(names)
    if not is_numbered(frames):
        return False
    return os.path.splitext(frames[0])[1].lower() not in ANIMATED or not is_animated(os.path.join(folder, frames[0]))


def sampled(count: int, wanted: int) -> np.ndarray:
    """Which of ``count`` frames are taken: ``wanted`` of them, evenly, the first and the last included.

    Of a shorter video some are taken more than once.
    """
    return np.rint(np.linspace(0, count - 1, wanted)).astype(np.int64)


def read_video_header(video: str) -> VideoHeader:
    """Number of frames and their size, without decoding them.

    Raises:
        UnreadableClipError: with a plain reason: empty, cut short, one frame only, no video.
    """
    try:
        if os.path.isdir(video):
            frames = _frames_in(video)
            width, height, mode = decode.read_header(frames[0])
            return VideoHeader(len(frames), width, height, _grey_mode(mode))
        width, height, mode = decode.read_header(video)
        _check_whole(video)
        with Image.open(video, formats=("GIF", "WEBP")) as image:
            count = int(getattr(image, "n_frames", 1))
            palette = np.asarray(image.getpalette() or []).reshape(-1, 3) if mode == "P" else np.zeros((0, 3))
    except Exception as error:
        raise UnreadableClipError("video", video, _reason(error)) from None
    if count < 2:
        raise UnreadableClipError("video", video, _ONE)
    grey = _grey_mode(mode) or (len(palette) > 0 and bool((palette == palette[:, :1]).all()))
    return VideoHeader(count, width, height, grey)


def read_video(video: str, frames: int, height: int, width: int, channels: int) -> np.ndarray:
    """A video as uint8 ``(frames, height, width, channels)``: `sampled` frames, each scaled and cut as pictures are.

    Args:
        video: an animated GIF or WebP, or a folder of pictures in the order of the numbers in their names.
        frames, height, width, channels: what is wanted.

    Raises:
        UnreadableClipError: as `read_video_header`; for a frame that cannot be read.
    """
    shape = (height, width, channels)
    try:
        if os.path.isdir(video):
            names = _frames_in(video)
            found: dict[int, np.ndarray] = {}
            for place in np.unique(chosen := sampled(len(names), frames)).tolist():
                found[place] = decode.decode(names[place], *shape)
        else:
            decode.read_header(video)
            _check_whole(video)
            with Image.open(video, formats=("GIF", "WEBP")) as image:
                chosen = sampled(int(getattr(image, "n_frames", 1)), frames)
                found = {}
                for place in np.unique(chosen).tolist():
                    image.seek(place)
                    found[place] = decode.decode(image.convert("RGBA"), *shape)
    except Exception as error:  # a hostile file can make Pillow raise nearly anything
        raise UnreadableClipError("video", video, _reason(error)) from None
    if chosen[-1] == 0:
        raise UnreadableClipError("video", video, _ONE)
    return np.stack([found[place] for place in chosen.tolist()])


def _frames_in(folder: str) -> list[str]:
    """Paths of a frame folder's pictures, in order."""
    names = frame_names(name for name in os.listdir(folder) if not name.startswith("."))
    if not names:
        raise ValueError("the folder has no pictures")
    if len(names) < 2:
        raise ValueError(_ONE)
    return [os.path.join(folder, name) for name in names]


def _check_whole(video: str) -> None:
    """A GIF ends in a semicolon; one that was cut would be read as a shorter one."""
    if os.path.splitext(video)[1].lower() != ".gif":
        return
    with Path(video).open("rb") as file:
        file.seek(-min(os.fstat(file.fileno()).st_size, 64), os.SEEK_END)
        if not file.read().rstrip(b"\0\r\n").endswith(b";"):
            raise EOFError


def _grey_mode(mode: str) -> bool:
    return mode in ("1", "L", "LA", "La", "F") or mode.startswith("I")


def _numbers(name: str) -> list[Any]:
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


def _reason(error: Exception) -> str:
    if isinstance(error, decode.UnreadableError):
        return error.reason
    if isinstance(error, EOFError):
        return "the file is cut short"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if type(error) is ValueError:
        return str(error)
    return "it is damaged, or no animated GIF or WebP"
