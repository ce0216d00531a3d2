"""Augmentation of spectrograms and of videos."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lamina.config import from_json, to_json
from lamina.data.augment import Augmentation, Augmentations, Shift
from lamina.data.augment_sound import SpecAugment, Timbre, Warp
from lamina.data.augment_video import Framewise
from lamina.errors import ConfigError

ALL = [SpecAugment(), Timbre(), Warp(), Augmentations((Warp(), Timbre(), SpecAugment()))]


def spectrograms(n: int = 6, dtype: str = "float32") -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(n, 30, 20, 1)), dtype)


@pytest.mark.parametrize("augmentation", ALL, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shape_and_dtype_stay_and_the_key_decides(augmentation: Augmentation, dtype: str) -> None:
    x, change = spectrograms(dtype=dtype), jax.jit(augmentation)
    first, again, other = (change(jax.random.key(seed), x) for seed in (1, 1, 2))
    assert first.shape == x.shape
    assert first.dtype == x.dtype
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert from_json(to_json(augmentation)) == augmentation


def test_runs_of_frames_and_of_bands_are_hidden() -> None:
    x = jnp.ones((200, 40, 20, 1), jnp.float32)
    y = np.asarray(SpecAugment(time_masks=1, time=0.25, band_masks=0)(jax.random.key(0), x))[..., 0]
    hidden = (y == 0).all(axis=2)
    assert ((y == 0).any(axis=2) == hidden).all()  # whole frames
    lengths = hidden.sum(axis=1)
    assert set(lengths.tolist()) == set(range(11))
    assert lengths.mean() == pytest.approx(5, abs=0.8)
    for row in hidden[lengths > 0]:
        assert np.diff(np.flatnonzero(row)).tolist() == [1] * (row.sum() - 1)  # one run
    assert hidden.any(axis=0).all()  # anywhere
    bands = np.asarray(SpecAugment(time_masks=0, band_masks=2, bands=0.2)(jax.random.key(0), x))[..., 0]
    assert ((bands == 0).any(axis=1) == (bands == 0).all(axis=1)).all()
    assert (bands == 0).all(axis=1).sum(axis=1).max() <= 8


def test_a_warp_moves_and_stretches_without_mixing_up_time_and_pitch() -> None:
    x = np.zeros((300, 41, 21, 1), np.float32)
    x[:, 20, 10] = 1
    moved = np.asarray(Warp(0.0, 0.0, 0.1, 0.1)(jax.random.key(0), jnp.asarray(x)))[..., 0]
    weights = moved / moved.sum(axis=(1, 2), keepdims=True)
    frames = (weights.sum(axis=2) @ np.arange(41)) - 20
    bands = (weights.sum(axis=1) @ np.arange(21)) - 10
    assert 3.5 < np.abs(frames).max() <= 4.11
    assert 1.7 < np.abs(bands).max() <= 2.11
    slope = np.broadcast_to(np.linspace(-1, 1, 41, dtype=np.float32)[:, None, None], (300, 41, 21, 1))
    stretched = np.asarray(Warp(0.2, 0.0, 0.0, 0.0)(jax.random.key(0), jnp.asarray(slope)))[..., 0]
    ratios = (stretched[:, 24, 10] - stretched[:, 16, 10]) / (slope[0, 24, 0, 0] - slope[0, 16, 0, 0])
    assert 1 / 1.2 - 1e-3 <= ratios.min() < 0.87
    assert 1.15 < ratios.max() <= 1.2 + 1e-3
    np.testing.assert_allclose(stretched[:, :, 0], stretched[:, :, 20], atol=1e-5)
    np.testing.assert_allclose(Warp(0.0, 0.0, 0.0, 0.0)(jax.random.key(0), jnp.asarray(x)), x, atol=1e-6)


def test_timbre_is_an_offset_a_tilt_and_noise() -> None:
    x = jnp.zeros((500, 10, 11, 1), jnp.float32)
    y = np.asarray(Timbre(gain=0.5, tilt=0.0, noise=0.0)(jax.random.key(0), x))
    assert np.ptp(y, axis=(1, 2, 3)).max() == 0
    assert 0.45 < np.abs(y).max() <= 0.5
    y = np.asarray(Timbre(gain=0.0, tilt=0.5, noise=0.0)(jax.random.key(0), x))[:, :, :, 0]
    np.testing.assert_allclose(y[:, :, 5], 0, atol=1e-6)
    np.testing.assert_allclose(y[:, :, 0], -y[:, :, 10], atol=1e-6)
    y = np.asarray(Timbre(gain=0.0, tilt=0.0, noise=0.4)(jax.random.key(0), x))
    assert y.std(axis=(1, 2, 3)).mean() == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SpecAugment(time=1.5), r"SpecAugment: time must be 0 to 1\. Received: time=1\.5"),
        (lambda: SpecAugment(band_masks=-1), "SpecAugment: band_masks is at least 0"),
        (lambda: Warp(bands=-0.1), r"Warp: bands must be at least 0\. Received: bands=-0\.1"),
        (lambda: Timbre(noise=float("nan")), "Timbre: noise must be at least 0"),
        (lambda: Framewise(3), r"Framewise takes an augmentation of pictures such as Shift\(\)\. Received: 3"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_is_refused(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()  # type: ignore[operator]


def test_every_frame_of_a_video_is_changed_alike() -> None:
    pictures = np.random.default_rng(0).normal(size=(5, 1, 9, 8, 3)).astype(np.float32)
    videos = jnp.asarray(np.repeat(pictures, 4, axis=1) + np.arange(4, dtype=np.float32)[None, :, None, None, None])
    augmentation = Framewise(Shift(0.3))
    assert from_json(to_json(augmentation)) == augmentation
    changed = np.asarray(jax.jit(augmentation)(jax.random.key(0), videos))
    assert changed.shape == videos.shape
    assert not np.array_equal(changed, videos)
    for frame in range(4):
        np.testing.assert_allclose(changed[:, frame] - frame, changed[:, 0], atol=1e-5)
    expected = Shift(0.3)(jax.random.key(0), videos[:, 0])
    np.testing.assert_array_equal(changed[:, 0], expected)
