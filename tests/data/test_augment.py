"""Augmentations against NumPy and SciPy, by their statistics, and under jit."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from lamina.config import from_json, to_json
from lamina.data.augment import (
    Affine,
    Augmentation,
    Augmentations,
    ColorJitter,
    Cutout,
    Flip,
    Rotate,
    Shift,
    resample,
)
from lamina.errors import ConfigError

KEY = jax.random.key(7)
ALL = [
    Flip(),
    Flip(horizontal=False, vertical=True),
    Shift(0.2),
    Affine(degrees=20.0, zoom=0.2, shift=0.1),
    Rotate(30.0),
    ColorJitter(),
    Cutout(0.2, probability=1.0),
    Augmentations((Flip(), Affine(degrees=5.0), ColorJitter(), Cutout())),
]


def pictures(n: int = 8, height: int = 12, width: int = 10, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, height, width, channels)).astype(np.float32)


def run(augmentation: Augmentation, x: np.ndarray, key: jax.Array = KEY) -> np.ndarray:
    return np.asarray(jax.jit(augmentation)(key, jnp.asarray(x)))


@pytest.mark.parametrize("augmentation", ALL, ids=lambda augmentation: type(augmentation).__name__)
class TestEvery:
    def test_keeps_shape_and_dtype_and_follows_the_key(self, augmentation: Augmentation) -> None:
        for dtype in (jnp.float32, jnp.bfloat16):
            x, change = jnp.asarray(pictures(), dtype), jax.jit(augmentation)
            first = change(KEY, x)
            assert first.shape == x.shape
            assert first.dtype == x.dtype
            np.testing.assert_array_equal(first, change(KEY, x))
            assert np.any(np.asarray(first != change(jax.random.key(8), x)))

    def test_examples_draw_for_themselves(self, augmentation: Augmentation) -> None:
        x = np.repeat(pictures(1), 16, axis=0)
        assert len({picture.tobytes() for picture in run(augmentation, x)}) > 1

    def test_is_data(self, augmentation: Augmentation) -> None:
        assert from_json(to_json(augmentation)) == augmentation
        assert hash(from_json(to_json(augmentation))) == hash(augmentation)

    def test_lowers_for_every_platform(self, augmentation: Augmentation) -> None:
        shape = jax.ShapeDtypeStruct((2, 12, 10, 3), jnp.float32)
        exported = jax.export.export(jax.jit(augmentation), platforms=("cpu", "cuda", "tpu"))(KEY, shape)
        assert exported.platforms == ("cpu", "cuda", "tpu")


@pytest.mark.parametrize(
    ("flip", "mirror"),
    [
        (Flip(), lambda picture: picture[:, ::-1]),
        (Flip(horizontal=False, vertical=True), lambda picture: picture[::-1]),
    ],
)
def test_flips_are_exact_and_about_half(flip: Flip, mirror: Callable[[np.ndarray], np.ndarray]) -> None:
    x = pictures(400, 4, 3)
    y = run(flip, x)
    same = np.asarray([np.array_equal(a, b) for a, b in zip(x, y, strict=True)])
    turned = np.asarray([np.array_equal(mirror(a), b) for a, b in zip(x, y, strict=True)])
    np.testing.assert_array_equal(same, ~turned)
    assert 150 < turned.sum() < 250


def test_both_flips_are_drawn_apart() -> None:
    y = run(Flip(vertical=True), np.repeat(pictures(1, 4, 3), 400, axis=0))
    _, counts = np.unique(y.reshape(400, -1), axis=0, return_counts=True)
    assert len(counts) == 4
    assert counts.min() > 60


def test_shift_is_a_window_of_the_padded_picture() -> None:
    x = pictures(300, 8, 10)
    y = run(Shift(0.25), x)
    seen = set()
    for before, after in zip(x, y, strict=True):
        padded = np.pad(before, ((2, 2), (2, 2), (0, 0)), mode="edge")
        windows = {(i, j): padded[i : i + 8, j : j + 10] for i in range(5) for j in range(5)}
        found = [move for move, window in windows.items() if np.array_equal(window, after)]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) == 25  # every move up to round(0.25 × side) in both directions


def test_nothing_moves_at_strength_zero() -> None:
    x = pictures()
    for still in (Shift(0.0), Affine(), Rotate(0.0), Cutout(0.0), Cutout(probability=0.0)):
        np.testing.assert_array_equal(run(still, x), x)
    np.testing.assert_allclose(run(ColorJitter(0.0, 0.0, 0.0), x), x, atol=1e-6)


def affine_reference(picture: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    centre = (np.asarray(picture.shape[:2]) - 1) / 2
    moved = centre - matrix @ centre + offset
    planes = [
        scipy.ndimage.affine_transform(picture[..., channel], matrix, moved, order=1, mode="nearest")
        for channel in range(picture.shape[2])
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("size", [(12, 9), (7, 7), (1, 5), (2, 1)])
def test_resampling_agrees_with_scipy(size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    x = pictures(6, *size).astype(np.float64)
    matrices = np.eye(2) + random.normal(scale=0.4, size=(6, 2, 2))
    offsets = random.normal(scale=2.0, size=(6, 2))
    y = jax.jit(resample)(
        jnp.asarray(x, jnp.float32), jnp.asarray(matrices, jnp.float32), jnp.asarray(offsets, jnp.float32)
    )
    for picture, matrix, offset, after in zip(x, matrices, offsets, y, strict=True):
        np.testing.assert_allclose(after, affine_reference(picture, matrix, offset), atol=2e-4)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_are_those_of_numpy(quarters: int) -> None:
    x = pictures(1, 9, 9)
    cosine, sine = round(np.cos(quarters * np.pi / 2)), round(np.sin(quarters * np.pi / 2))
    matrix = jnp.asarray([[[cosine, sine], [-sine, cosine]]], jnp.float32)
    np.testing.assert_array_equal(resample(jnp.asarray(x), matrix, jnp.zeros((1, 2)))[0], np.rot90(x[0], quarters))


def test_turning_keeps_within_its_angle() -> None:
    # A ramp down the picture: after a turn by a its slope is cos a down and ∓ sin a across.
    ramp = np.broadcast_to(np.arange(33, dtype=np.float32)[:, None, None], (33, 33, 1))
    y = run(Rotate(30.0), np.repeat(ramp[None], 500, axis=0))[..., 0]
    down, across = y[:, 17, 16] - y[:, 16, 16], y[:, 16, 17] - y[:, 16, 16]
    angles = np.degrees(np.arctan2(across, down))
    np.testing.assert_allclose(np.hypot(down, across), 1.0, atol=1e-4)
    assert np.abs(angles).max() <= 30.01
    assert np.abs(angles.mean()) < 3
    assert angles.std() == pytest.approx(30 / np.sqrt(3), rel=0.1)  # uniform


def test_zoom_is_fair_to_both_sides() -> None:
    ramp = np.broadcast_to(np.arange(33, dtype=np.float32)[:, None, None], (33, 33, 1))
    y = run(Affine(zoom=0.5), np.repeat(ramp[None], 500, axis=0))[..., 0]
    scale = np.log(y[:, 17, 16] - y[:, 16, 16])
    assert np.abs(scale).max() <= np.log(1.5) + 1e-3
    assert np.abs(scale.mean()) < 0.04
    assert scale.std() == pytest.approx(np.log(1.5) / np.sqrt(3), rel=0.1)


def test_jitter_moves_what_it_says() -> None:
    x = np.repeat(pictures(1, 16, 16) * 3 + 5, 600, axis=0)
    mean, spread = x[0].mean(), x[0].std()
    brighter = run(ColorJitter(0.5, 0.0, 0.0), x)
    moves = (brighter - x).mean(axis=(1, 2, 3)) / spread
    np.testing.assert_allclose(brighter - x, (moves * spread)[:, None, None, None] * np.ones_like(x), atol=1e-4)
    assert np.abs(moves).max() <= 0.5 + 1e-4
    assert moves.std() == pytest.approx(0.5 / np.sqrt(3), rel=0.1)

    stretched = run(ColorJitter(0.0, 0.4, 0.0), x)
    np.testing.assert_allclose(stretched.mean(axis=(1, 2, 3)), mean, rtol=1e-4)
    factors = stretched.std(axis=(1, 2, 3)) / spread
    assert factors.min() >= 0.6 - 1e-4
    assert factors.max() <= 1.4 + 1e-4
    assert factors.std() == pytest.approx(0.4 / np.sqrt(3), rel=0.1)

    colourful = run(ColorJitter(0.0, 0.0, 0.4), x)
    np.testing.assert_allclose(colourful.mean(axis=3), x.mean(axis=3), rtol=1e-4)
    factors = np.ptp(colourful, axis=3).mean(axis=(1, 2)) / np.ptp(x[0], axis=2).mean()
    assert factors.std() == pytest.approx(0.4 / np.sqrt(3), rel=0.1)


def test_jitter_of_grey_has_no_colour_to_change() -> None:
    x = pictures(4, channels=1)
    np.testing.assert_allclose(run(ColorJitter(0.0, 0.0, 1.0), x), x, atol=1e-6)


@pytest.mark.parametrize("fraction", [0.05, 0.25, 0.9])
def test_cutout_takes_a_rectangle_of_its_area(fraction: float) -> None:
    x = np.ones((500, 40, 32, 2), np.float32)
    cut = run(Cutout(fraction, probability=1.0), x) == 0
    np.testing.assert_array_equal(cut[..., 0], cut[..., 1])
    cut = cut[..., 0]
    rows, columns = cut.any(axis=2), cut.any(axis=1)
    np.testing.assert_array_equal(cut, rows[:, :, None] & columns[:, None, :])
    for lines in (rows, columns):  # one run each
        assert (np.abs(np.diff(lines.astype(int), axis=1)).sum(axis=1) <= 2).all()
    assert cut.mean(axis=(1, 2)).mean() == pytest.approx(fraction, rel=0.05)


def test_cutout_leaves_its_share_alone_and_reaches_the_corners() -> None:
    cut = run(Cutout(0.25, probability=0.3), np.ones((2000, 8, 8, 1), np.float32))[..., 0] == 0
    assert cut.any(axis=(1, 2)).mean() == pytest.approx(0.3, abs=0.04)
    assert cut[:, [0, 0, -1, -1], [0, -1, 0, -1]].any(axis=0).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Shift(1.5),
        lambda: Shift(-0.1),
        lambda: Rotate(200.0),
        lambda: Affine(zoom=-1.0),
        lambda: Affine(shift=float("nan")),
        lambda: ColorJitter(contrast=2.0),
        lambda: Cutout(probability=1.5),
        lambda: Augmentations(("flip",)),  # type: ignore[arg-type]
    ],
)
def test_strengths_out_of_range_are_refused(wrong: Callable[[], Augmentation]) -> None:
    with pytest.raises(ConfigError, match="Received"):
        wrong()


def test_an_empty_batch_stays_empty() -> None:
    assert run(ALL[-1], np.zeros((0, 4, 4, 3), np.float32)).shape == (0, 4, 4, 3)
