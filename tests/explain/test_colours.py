"""Maps as pictures: what is strong is bright, what is for is red, and everything stands in its place."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from lamina import layers as L
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ClassTarget
from lamina.data.image_preprocessing import ImagePreprocessing
from lamina.explain.colours import HEAT, backdrop, filter_grid, heat, map_grid, signed, stops
from lamina.explain.subject import examine
from lamina.model import Model

from .conftest import MakeModel

GREY = np.full((320, 320, 1), 120, np.uint8)


def test_heat_grows_brighter_with_the_value() -> None:
    values = np.linspace(0, 1, 64).reshape(8, 8)
    pixels = heat(values, GREY).astype(int)
    assert pixels.shape == (320, 320, 3)
    luma = pixels[20::40, 20::40] @ [0.299, 0.587, 0.114]
    assert (np.diff(luma.reshape(-1)[8:]) > 0).all()
    np.testing.assert_array_equal(heat(np.zeros((8, 8)), GREY)[0, 0], heat(values, GREY)[0, 0])
    # Values above the highest colour are cut off there.
    np.testing.assert_array_equal(heat(values, GREY, 0.5)[300, 300], heat(values, GREY)[300, 300])


def test_red_is_for_and_blue_against() -> None:
    values = np.zeros((4, 4))
    values[0, 0], values[3, 3] = 2.0, -2.0
    pixels = signed(values, np.repeat(GREY, 3, axis=2)).astype(int)
    red, blue, none = pixels[5, 5], pixels[315, 315], pixels[5, 315]
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60
    assert none.max() - none.min() <= 2
    np.testing.assert_array_equal(signed(np.zeros((4, 4)), GREY)[0, 0], none)


def test_a_grid_has_every_map_in_its_place() -> None:
    maps = np.zeros((5, 4, 6))
    for channel in range(6):
        maps[channel % 5, channel % 4, channel] = 1 + channel
    pixels, shown = map_grid(maps)
    assert shown.tolist() == list(range(6))
    alpha = pixels[..., 3] > 0
    columns = 1 + int((np.diff(alpha[0].astype(int)) == 1).sum())
    rows = 1 + int((np.diff(alpha[:, 0].astype(int)) == 1).sum())
    assert (rows, columns) in {(2, 3), (3, 2)}
    tall, wide = alpha[:, 0].sum() // rows // 5, alpha[0].sum() // columns // 4
    assert tall == wide
    for channel in range(6):
        top, left = channel // columns * (5 * tall + 4), channel % columns * (4 * wide + 4)
        tile = pixels[top : top + 5 * tall : tall, left : left + 4 * wide : wide, :3].astype(int)
        brightest = np.unravel_index(tile.sum(axis=2).argmax(), (5, 4))
        assert brightest == (channel % 5, channel % 4)


def test_of_many_maps_the_strongest_are_shown() -> None:
    maps = np.random.default_rng(0).random((3, 3, 100)) + 1
    maps[..., ::2] *= 0.01
    maps[..., 98] = 5.0
    _, shown = map_grid(maps)
    assert len(shown) == 64
    assert set(range(1, 100, 2)) | {98} <= set(shown.tolist())
    assert (np.diff(shown) > 0).all()


def test_filters_are_grey_at_zero() -> None:
    filters = np.zeros((2, 3, 3, 1))
    filters[1, 0, 0, 0], filters[1, 2, 2, 0] = 4.0, -2.0
    pixels = filter_grid(filters)
    assert (pixels[0, 0] == [128, 128, 128, 255]).all()
    width = (pixels.shape[1] - 4) // 2
    assert (pixels[0, width + 4] == [255, 255, 255, 255]).all()
    assert (pixels[-1, -1] == [64, 64, 64, 255]).all()


def test_a_scale_goes_from_dark_to_bright() -> None:
    found = [sum(int(colour[place : place + 2], 16) for place in (1, 3, 5)) for colour in stops(HEAT)]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("size", "shown"), [((640, 400), (400, 400)), ((3000, 4000), (1024, 1024)), ((90, 80), (320, 320))]
)
def test_a_large_picture_is_shown_at_its_own_resolution(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    net = L.Sequential(L.GlobalAvgPool(), L.Dense(2))
    params, state = net.init(jax.random.key(0), (64, 64, 3))
    preprocessing = ImagePreprocessing(64, 64, 3, (0.0,) * 3, (255.0,) * 3)
    model = Model(net, params, state, preprocessing, ClassTarget(("a", "b")))
    across, down = size
    ramp = np.linspace(0, 255, across).astype(np.uint8)
    Image.fromarray(np.repeat(np.tile(ramp, (down, 1))[..., None], 3, axis=2)).save(tmp_path / "ramp.png")
    pixels = backdrop(examine(model, tmp_path / "ramp.png"))
    assert pixels.shape == (*shown, 3)
    # The centre square is what the network sees.
    side = min(size)
    crop = ramp[(across - side) // 2 : (across + side) // 2]
    assert abs(int(pixels[10, 2, 0]) - int(crop[0])) <= 3
    assert abs(int(pixels[10, -3, 0]) - int(crop[-1])) <= 3


def test_a_small_picture_is_shown_in_its_pixels(make_model: MakeModel, photo: np.ndarray) -> None:
    pixels = backdrop(examine(make_model(L.Flatten()), photo))
    np.testing.assert_array_equal(pixels[::27, ::27], photo)
    assert pixels.shape == (12 * 27, 10 * 27, 3)


def test_numbers_in_the_shape_of_a_picture_are_stretched(make_model: MakeModel, photo: np.ndarray) -> None:
    model = make_model(L.Flatten(), channels=1)
    arrays = Model(model.network, model.params, model.state, ArrayPreprocessing((12, 10, 1)), model.target)
    grey = photo[..., :1].astype(np.float32)
    pixels = backdrop(examine(arrays, 3.0 * grey - 500.0))
    expected = (grey - grey.min()) / (grey.max() - grey.min()) * 255
    np.testing.assert_allclose(pixels[::27, ::27], expected, atol=1)
