"""Sounds and videos as pictures: a spectrogram, a strip of frames."""

from __future__ import annotations

import jax
import numpy as np

from lamina.data.base import Preprocessing, Split
from lamina.data.sound_preprocessing import SoundPreprocessing
from lamina.data.video_preprocessing import VideoPreprocessing

__all__ = ["clip_pictures"]

_FRAMES = 6  # of a video, in two rows
# Dark blue, violet, orange, pale yellow: in order of lightness, so that it reads in grey, too.
_COLOURS = np.asarray([(8, 8, 40), (90, 20, 110), (190, 55, 85), (245, 140, 50), (252, 250, 190)], np.float64)


def clip_pictures(split: Split, preprocessing: Preprocessing, indices: np.ndarray) -> np.ndarray | None:
    """The examples at these indices as uint8 ``(n, height, width, 1 or 3)``; None where they are neither.

    Sounds: the log-mel spectrogram, time to the right, pitch upwards, light where it is loud. Videos: frames in the
    order of reading, with a line between them.
    """
    if isinstance(preprocessing, SoundPreprocessing):
        found = np.asarray(jax.jit(preprocessing.spectrogram)(split.read(indices)), np.float64)
        shares = 1 + found / (preprocessing.decibels / 10)
        return _coloured(shares.transpose(0, 2, 1)[:, ::-1])
    if isinstance(preprocessing, VideoPreprocessing):
        return _strip(np.asarray(split.read(indices)))
    return None


def _coloured(shares: np.ndarray) -> np.ndarray:
    """Numbers from 0 to 1 as colours, uint8 ``(..., 3)``."""
    places = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(shares, places, _COLOURS[:, channel]) for channel in range(3)]
    coloured: np.ndarray = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return coloured


def _strip(videos: np.ndarray) -> np.ndarray:
    """Some frames of each ``(n, frames, height, width, channels)``, in two rows."""
    n, count, height, width, channels = videos.shape
    shown = min(_FRAMES, count)
    across = -(-shown // 2)
    picture = np.full((n, 2 * height + 1, across * (width + 1) - 1, channels), 128, np.uint8)
    for number, frame in enumerate(np.rint(np.linspace(0, count - 1, shown)).astype(int)):
        top, left = (number // across) * (height + 1), (number % across) * (width + 1)
        picture[:, top : top + height, left : left + width] = videos[:, frame]
    return picture
