"""Pools against PyTorch, ties and NaN included."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch.nn import functional

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError

MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
AVG = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
ADAPTIVE_MAX = {1: functional.adaptive_max_pool1d, 2: functional.adaptive_max_pool2d, 3: functional.adaptive_max_pool3d}
ADAPTIVE_AVG = {1: functional.adaptive_avg_pool1d, 2: functional.adaptive_avg_pool2d, 3: functional.adaptive_avg_pool3d}

# window, strides, padding on both sides, ceil_mode, input shape
WINDOWS = [
    (2, None, 0, False, (8, 3)),
    (3, 2, 1, True, (8, 3)),
    (2, None, 0, False, (6, 8, 3)),
    (2, None, 0, False, (7, 5, 3)),
    (2, None, 0, True, (7, 5, 3)),
    (3, 2, 0, False, (7, 8, 3)),
    (3, 2, 0, True, (7, 8, 3)),
    (3, 2, 1, False, (7, 8, 3)),
    (3, 1, 1, False, (5, 4, 3)),
    (2, 3, 1, True, (7, 7, 3)),
    (2, 3, 0, True, (6, 8, 2)),
    ((3, 2), (1, 2), (1, 0), False, (5, 6, 2)),
    (2, None, 0, False, (4, 5, 6, 2)),
    (3, 2, 1, True, (4, 5, 6, 2)),
]
each_window = pytest.mark.parametrize(("window", "strides", "padding", "ceil_mode", "shape"), WINDOWS)


@each_window
def test_max_pool_agrees_with_torch(
    window: Any, strides: Any, padding: Any, ceil_mode: bool, shape: Any, agree: Any
) -> None:
    def reference(x: Any, params: Any) -> Any:
        pooled = MAX[len(shape) - 1](x.movedim(-1, 1), window, strides, padding, ceil_mode=ceil_mode)
        return pooled.movedim(1, -1)

    layer = lm.MaxPool(window, strides, padding, ceil_mode)
    agree(layer, reference, shape)
    # Few distinct values: among equal ones the gradient goes to the same winner as in PyTorch.
    agree(layer, reference, shape, x=np.random.default_rng(1).integers(0, 2, (3, *shape)).astype(np.float64))


@each_window
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_avg_pool_agrees_with_torch(
    window: Any, strides: Any, padding: Any, ceil_mode: bool, shape: Any, count_include_pad: bool, agree: Any
) -> None:
    def reference(x: Any, params: Any) -> Any:
        pool = AVG[len(shape) - 1]
        return pool(x.movedim(-1, 1), window, strides, padding, ceil_mode, count_include_pad).movedim(1, -1)

    agree(lm.AvgPool(window, strides, padding, ceil_mode, count_include_pad), reference, shape)


@pytest.mark.parametrize(
    ("output_size", "shape"),
    [(3, (7, 2)), (1, (4, 5, 2)), ((2, 4), (8, 8, 2)), ((3, 5), (7, 4, 2)), (2, (3, 4, 5, 2)), (7, (6, 6, 1))],
)
def test_adaptive_pools_agree_with_torch(output_size: Any, shape: Any, agree: Any) -> None:
    rank = len(shape) - 1
    for layer, pool in ((lm.AdaptiveAvgPool, ADAPTIVE_AVG[rank]), (lm.AdaptiveMaxPool, ADAPTIVE_MAX[rank])):
        agree(
            layer(output_size), lambda x, params, pool=pool: pool(x.movedim(-1, 1), output_size).movedim(1, -1), shape
        )


def test_global_pools_agree_with_torch(agree: Any) -> None:
    agree(lm.GlobalAvgPool(), lambda x, params: x.mean((1, 2)), (4, 5, 3))
    agree(lm.GlobalMaxPool(), lambda x, params: x.amax((1, 2)), (4, 5, 3))


def test_same_padding_pads_the_end_first(agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        padded = functional.pad(x.movedim(-1, 1), [0, 1, 0, 1], value=-np.inf)
        return functional.max_pool2d(padded, 3, 2).movedim(1, -1)

    agree(lm.MaxPool(3, 2, "SAME"), reference, (6, 8, 2))


def test_nan_is_not_swept_under_the_maximum() -> None:
    x = jnp.ones((1, 4, 4, 1)).at[0, 1, 2, 0].set(jnp.nan)
    y, _ = lm.MaxPool(2).apply({}, {}, x)
    assert np.isnan(y[0, :, :, 0]).tolist() == [[False, True], [False, False]]


def test_half_precision_means_are_added_up_in_float32() -> None:
    x = jnp.full((1, 64, 64, 1), 0.1, jnp.bfloat16)
    for layer in (lm.AvgPool(64), lm.GlobalAvgPool(), lm.AdaptiveAvgPool(1)):
        assert layer.apply({}, {}, x)[0].item() == x[0, 0, 0, 0].item()


def test_window_is_told() -> None:
    assert lm.MaxPool(2).window() == (2, 2, 1)
    assert lm.AvgPool((3, 2), strides=1).window() == ((3, 2), 1, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lm.MaxPool(0), r"Received: pool_size=0"),
        (lambda: lm.MaxPool(2, strides=(1, 0)), r"Received: strides=\(1, 0\)"),
        (lambda: lm.AvgPool(2, padding="VALLID"), r"Did you mean 'VALID'"),
        (lambda: lm.AdaptiveAvgPool(2.5), r"Received: output_size=2.5"),
    ],
)
def test_refuses_bad_options(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (lm.MaxPool(4), (3, 3, 1), r"reaches over 4 positions, but the input has only 3.*smaller window"),
        (lm.MaxPool(2, padding=2), (6, 6, 1), r"padding must be smaller than its window of 2, got \(2, 2\)"),
        (lm.AvgPool((2, 2)), (6, 1), r"pool_size=\(2, 2\) for 2 axes, but the input has 1 axes"),
        (lm.GlobalAvgPool(), (6,), r"GlobalAvgPool expects inputs"),
        (lm.GlobalMaxPool(), (0, 3, 2), r"cannot pool over nothing"),
        (lm.AdaptiveMaxPool((1, 2)), (4, 4, 4, 1), r"for 2 axes, but the input has 3 axes"),
    ],
)
def test_refuses_shapes_that_do_not_fit(layer: lm.Layer, shape: Any, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        layer.init(jax.random.key(0), shape)
