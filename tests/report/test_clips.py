"""Sounds and videos as pictures in the report."""

from __future__ import annotations

import numpy as np

from lamina.data.base import ArraySplit
from lamina.data.image_preprocessing import ImagePreprocessing
from lamina.data.sound_preprocessing import SoundPreprocessing
from lamina.data.video_preprocessing import VideoPreprocessing
from lamina.report.clips import clip_pictures
from lamina.report.pictures import is_picture, read_pictures


def test_a_spectrogram_has_time_to_the_right_and_pitch_upwards() -> None:
    own = SoundPreprocessing(8000, 3200, 200, 80, 20, 0.0, 4000.0, 80.0, (0.0,) * 20, (1.0,) * 20)
    time = np.arange(3200) / 8000
    # Deep in the first half, high in the second.
    sound = np.where(time < 0.2, np.sin(2 * np.pi * 200 * time), np.sin(2 * np.pi * 3500 * time))
    split = ArraySplit(own.encode(sound), np.zeros(1, np.int32))
    shown = read_pictures(split, own, np.array([0]))
    assert shown is not None
    assert shown.shape == (1, 20, own.frames, 3)
    assert shown.dtype == np.uint8
    light = shown[0].astype(int).sum(axis=2)
    half = own.frames // 2
    assert light[:, : half - 2].sum(axis=1).argmax() >= 15  # low in the picture
    assert light[:, half + 2 :].sum(axis=1).argmax() <= 3
    assert not is_picture(own)


def test_a_video_is_a_strip_of_its_frames() -> None:
    own = VideoPreprocessing(8, 5, 4, 1, (0.0,), (1.0,))
    videos = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, :, None, None, None] * 20, (2, 8, 5, 4, 1)).copy()
    shown = read_pictures(ArraySplit(videos, np.zeros(2, np.int32)), own, np.array([1, 0]))
    assert shown is not None
    assert shown.shape == (2, 11, 14, 1)
    inside = [shown[0, top, left, 0] for top in (0, 6) for left in (0, 5, 10)]
    assert inside == [0, 20, 60, 80, 120, 140]  # frames 0, 1, 3, 4, 6 and 7
    assert (shown[:, 5] == 128).all()  # the line between the rows
    assert (shown[:, :, [4, 9]] == 128).all()


def test_pictures_are_none_of_them() -> None:
    own = ImagePreprocessing(4, 4, 1, (0.0,), (1.0,))
    assert clip_pictures(ArraySplit(np.zeros((1, 4, 4, 1), np.uint8), np.zeros(1)), own, np.array([0])) is None
