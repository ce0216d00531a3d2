"""Examples and filters as pictures."""

from __future__ import annotations

import base64
import io
import re

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from lamina import layers as L
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ArraySplit, ClassTarget
from lamina.model import Model
from lamina.report import pictures


def test_a_small_picture_is_kept_exactly_and_a_large_one_is_made_smaller() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    found = re.search(r'base64,([^"]*)', pictures.picture(pixels, "noise"))
    assert found is not None
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1])))), pixels)
    large = pictures.picture(np.zeros((300, 600, 1), np.uint8), "black")
    assert 'width="192" height="96"' in large
    assert "image/jpeg" in large


def test_numbers_in_the_shape_of_pictures_are_stretched() -> None:
    raw = np.random.default_rng(0).standard_normal((3, 6, 6, 1)).astype(np.float32)
    preprocessing = ArrayPreprocessing((6, 6, 1), mean=(0.5,), std=(2.0,))
    split = ArraySplit(preprocessing.encode(raw), np.zeros(3, np.int32))
    shown = pictures.read_pictures(split, preprocessing, np.asarray([2, 0]))
    assert shown is not None
    low, high = raw[2].min(), raw[2].max()
    np.testing.assert_array_equal(shown[0], np.rint((raw[2] - low) / (high - low) * 255))
    assert pictures.read_pictures(split, ArrayPreprocessing((5,)), np.asarray([0])) is None


def model(net: L.Layer, shape: tuple[int, ...], params: dict) -> Model:
    return Model(net, params, {}, ArrayPreprocessing(shape), ClassTarget(("a", "b")))


def test_filters_are_the_weights_of_the_first_layer() -> None:
    kernel = jnp.zeros((3, 3, 1, 2)).at[0, 0, 0, 1].set(2.0).at[2, 1, 0, 1].set(-1.0)
    net = L.Sequential(L.relu, body=L.Sequential(L.Conv(2, 3), L.GlobalAvgPool(), L.Dense(2)))
    params, _ = net.init(jax.random.key(0), (8, 8, 1))
    params["body"]["0"]["kernel"] = kernel
    found = pictures.first_filters(model(net, (8, 8, 1), params))
    assert found is not None
    path, pixels = found
    assert path == "body.0"
    assert pixels.shape == (2, 3, 3, 1)
    assert (pixels[0] == 128).all()
    assert pixels[1, 0, 0, 0] == 255
    assert pixels[1, 2, 1, 0] == 64


def test_a_dense_layer_s_filters_have_the_picture_s_shape() -> None:
    net = L.Sequential(L.Flatten(), L.Dense(100), L.Dense(2))
    params, _ = net.init(jax.random.key(0), (5, 4, 3))
    found = pictures.first_filters(model(net, (5, 4, 3), params))
    assert found is not None
    assert found[1].shape == (64, 5, 4, 3)
    weights = np.asarray(params["1"]["kernel"])[:, 7].reshape(5, 4, 3)
    expected = np.rint((0.5 + 0.5 * weights / np.abs(weights).max()) * 255)
    np.testing.assert_allclose(found[1][7], expected, atol=1)


def test_there_are_no_filters_where_the_first_layer_sees_no_picture() -> None:
    pooled = L.Sequential(L.GlobalAvgPool(), L.Dense(2))
    assert pictures.first_filters(model(pooled, (8, 8, 3), pooled.init(jax.random.key(0), (8, 8, 3))[0])) is None
    vector = L.Sequential(L.Dense(2))
    assert pictures.first_filters(model(vector, (5,), vector.init(jax.random.key(0), (5,))[0])) is None
