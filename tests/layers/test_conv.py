"""Convolutions against PyTorch, and what they say when something does not fit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch.nn import functional

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError
from lamina.initializers import Dirac

CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
CONV_TRANSPOSE = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def torch_pads(pairs: tuple[tuple[int, int], ...]) -> list[int]:
    """Pairs per axis in the order of torch's pad: last axis first."""
    return [size for pair in reversed(pairs) for size in pair]


# layer, input shape, the padding it amounts to
CONVS = [
    (lm.Conv(4, 3), (7, 2), ((1, 1),)),
    (lm.Conv(4, 3, strides=2), (8, 2), ((0, 1),)),
    (lm.Conv(3, 5, strides=3, padding="VALID", use_bias=False), (11, 2), ((0, 0),)),
    (lm.Conv(4, 3), (5, 6, 2), ((1, 1), (1, 1))),
    (lm.Conv(4, 2), (5, 6, 2), ((0, 1), (0, 1))),
    (lm.Conv(4, (3, 5), strides=(2, 1), padding="VALID"), (7, 6, 3), ((0, 0), (0, 0))),
    (lm.Conv(4, 3, strides=2, padding=1), (8, 7, 2), ((1, 1), (1, 1))),
    (lm.Conv(4, 3, padding=(0, 2)), (5, 5, 2), ((0, 0), (2, 2))),
    (lm.Conv(4, 3, padding=((1, 0), (2, 3)), dilation=(1, 2)), (5, 6, 2), ((1, 0), (2, 3))),
    (lm.Conv(6, 3, groups=2), (5, 5, 4), ((1, 1), (1, 1))),
    (lm.Conv(6, 3, groups=3, strides=2, dilation=2), (9, 9, 3), ((2, 2), (2, 2))),
    (lm.Conv(4, 1, strides=2), (5, 6, 2), ((0, 0), (0, 0))),
    (lm.Conv(2, 3, strides=2, padding=1), (4, 5, 6, 2), ((1, 1), (1, 1), (1, 1))),
    (lm.Conv(2, (1, 2, 3)), (3, 4, 4, 2), ((0, 0), (0, 1), (1, 1))),
]


@pytest.mark.parametrize(("layer", "shape", "pairs"), CONVS, ids=[str(index) for index in range(len(CONVS))])
def test_conv_agrees_with_torch(layer: lm.Conv, shape: Any, pairs: Any, agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        padded = functional.pad(x.movedim(-1, 1), torch_pads(pairs))
        kernel = params["kernel"].movedim((-1, -2), (0, 1))
        y = CONV[len(shape) - 1](padded, kernel, params.get("bias"), layer.strides, 0, layer.dilation, layer.groups)
        return y.movedim(1, -1)

    agree(layer, reference, shape)


# layer, input shape, what is cut off each end, what torch must add at the high end
TRANSPOSED = [
    (lm.ConvTranspose(3, 3, strides=2), (4, 2), ((0, 1),), 0),
    (lm.ConvTranspose(3, 4, strides=2), (4, 2), ((1, 1),), 0),
    (lm.ConvTranspose(3, 2, strides=3, padding="VALID"), (4, 2), ((0, 0),), 1),
    (lm.ConvTranspose(3, 3), (4, 5, 2), ((1, 1), (1, 1)), 0),
    (lm.ConvTranspose(3, (3, 2), strides=2, padding="VALID", use_bias=False), (4, 3, 2), ((0, 0), (0, 0)), 0),
    (lm.ConvTranspose(3, 4, strides=2, padding=1), (4, 3, 2), ((1, 1), (1, 1)), 0),
    (lm.ConvTranspose(3, 3, strides=2, padding=((0, 1), (2, 0)), dilation=2), (3, 4, 2), ((0, 1), (2, 0)), 0),
    (lm.ConvTranspose(2, 2, strides=2), (2, 3, 2, 2), ((0, 0), (0, 0), (0, 0)), 0),
]


@pytest.mark.parametrize(("layer", "shape", "cut", "more"), TRANSPOSED, ids=[str(i) for i in range(len(TRANSPOSED))])
def test_conv_transpose_agrees_with_torch(layer: lm.ConvTranspose, shape: Any, cut: Any, more: int, agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        kernel = params["kernel"].movedim((-2, -1), (0, 1))
        transposed = CONV_TRANSPOSE[len(shape) - 1]
        y = transposed(x.movedim(-1, 1), kernel, None, layer.strides, 0, more, 1, layer.dilation).movedim(1, -1)
        for axis, (low, high) in enumerate(cut):
            y = y.narrow(axis + 1, low, y.shape[axis + 1] - low - high)
        return y + params["bias"] if layer.use_bias else y

    agree(layer, reference, shape)


@pytest.mark.parametrize(
    ("padding", "kernel", "size"), [("SAME", 3, 8), ("VALID", 3, 9), ("VALID", 1, 8), (1, 4, 8), (((0, 1),), 3, 8)]
)
def test_conv_transpose_sizes(padding: Any, kernel: int, size: int) -> None:
    assert lm.ConvTranspose(5, kernel, strides=2, padding=padding).out_spec(lm.base.as_spec((4, 3))).shape == (size, 5)


def test_depthwise_keeps_channels_apart() -> None:
    layer = lm.Conv(3, 3, groups=3)
    params, state = layer.init(jax.random.key(0), (5, 5, 3))
    x = jnp.zeros((1, 5, 5, 3)).at[..., 1].set(1.0)
    y, _ = layer.apply(params, state, x)
    assert np.flatnonzero(np.abs(y).sum((0, 1, 2))).tolist() == [1]


def test_dirac_kernel_passes_the_picture_through() -> None:
    layer = lm.Conv(4, 3, groups=2, kernel_init=Dirac(groups=2))
    params, state = layer.init(jax.random.key(0), (5, 6, 4))
    x = jax.random.normal(jax.random.key(1), (2, 5, 6, 4))
    np.testing.assert_allclose(layer.apply(params, state, x)[0], x, rtol=1e-6)


def test_window_is_told() -> None:
    assert lm.Conv(4, 3, strides=(2, 1), dilation=2).window() == (3, (2, 1), 2)
    assert lm.ConvTranspose(4, 3).window() is None


def test_lists_become_tuples() -> None:
    assert lm.Conv(4, [3, 2], padding=[[0, 1], [1, 1]]) == lm.Conv(4, (3, 2), padding=((0, 1), (1, 1)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lm.Conv(0, 3), r"at least 1 for filters. Received: filters=0"),
        (lambda: lm.Conv(4, "3"), r"for kernel_size. Received: kernel_size='3'"),
        (lambda: lm.Conv(4, 3, strides=0), r"Received: strides=0"),
        (lambda: lm.Conv(4, 3, padding="SAMME"), r"no padding 'SAMME'. Did you mean 'SAME'"),
        (lambda: lm.Conv(4, 3, padding="same"), r"no padding 'same'. Did you mean 'SAME'"),
        (lambda: lm.Conv(4, 3, padding=-1), r"Received: padding=-1"),
        (lambda: lm.Conv(4, 3, groups=3), r"groups must divide its filters. Received: filters=4, groups=3"),
        (lambda: lm.ConvTranspose(4, ()), r"Received: kernel_size=\(\)"),
    ],
)
def test_refuses_bad_options(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (lm.Conv(4, 5, padding="VALID"), (4, 4, 1), r"reaches over 5 positions, but the input has only 4"),
        (lm.Conv(4, (3, 3)), (9, 1), r"kernel_size=\(3, 3\) for 2 axes, but the input has 1 axes"),
        (lm.Conv(4, 3, padding=(1, 1)), (9, 1), r"padding=\(1, 1\) for 2 axes, but the input has 1 axes"),
        (lm.Conv(4, 3), (9,), r"expects inputs \(batch, space..., channels\).*channels-last"),
        (lm.Conv(4, 3), (2, 2, 2, 2, 1), r"with 1 to 3 axes of space"),
        (lm.Conv(4, 3, groups=2), (9, 3), r"into 2 groups, got 3 channels"),
        (lm.Conv(4, 3), jax.ShapeDtypeStruct((9, 3), jnp.uint8), r"floating-point numbers, got uint8"),
        (lm.ConvTranspose(4, 2, padding=3), (2, 3), r"padding=3 cuts off all of the output"),
    ],
)
def test_refuses_shapes_that_do_not_fit(layer: lm.Layer, shape: Any, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        layer.init(jax.random.key(0), shape)


def test_another_number_of_channels_is_told() -> None:
    layer = lm.Conv(4, 3)
    params, state = layer.init(jax.random.key(0), (5, 5, 3))
    with pytest.raises(ShapeError, match=r"2 axes of space and 3 channels in the last axis, got shape \(1, 5, 5, 1\)"):
        layer.apply(params, state, jnp.ones((1, 5, 5, 1)))
    with pytest.raises(ShapeError, match="got uint8"):
        layer.apply(params, state, np.ones((1, 5, 5, 3), np.uint8))


@pytest.mark.parametrize(("window", "dilation", "stride"), [(3, 1, 1), (2, 4, 1), (4, 2, 3), (1, 1, 1)])
def test_a_causal_convolution_is_a_loop_over_what_has_been(window, dilation, stride):
    layer = lm.Conv(5, window, strides=stride, dilation=dilation, padding="CAUSAL")
    params, _ = layer.init(jax.random.key(0), (17, 3))
    params["bias"] = params["bias"] + 0.3
    x = np.random.default_rng(0).standard_normal((2, 17, 3)).astype(np.float32)
    y, _ = layer.apply(params, {}, x)
    kernel = np.asarray(params["kernel"])
    wanted = np.full((2, len(range(0, 17, stride)), 5), 0.3)
    for place, t in enumerate(range(0, 17, stride)):
        for back in range(window):
            if t - back * dilation >= 0:
                wanted[:, place] += x[:, t - back * dilation] @ kernel[window - 1 - back]
    assert layer.out_spec(lm.base.as_spec((17, 3))).shape == wanted.shape[1:]
    np.testing.assert_allclose(y, wanted, atol=1e-5)
    # No output depends on what comes after it.
    seen = jax.jacobian(lambda x: layer.apply(params, {}, x[None])[0][0].sum(axis=-1))(jnp.asarray(x[0]))
    for place, t in enumerate(range(0, 17, stride)):
        assert not np.any(np.asarray(seen)[place, t + 1 :])


def test_causal_padding_is_for_sequences():
    with pytest.raises(ShapeError, match=r"'CAUSAL' is for sequences .* space \(5, 5\)"):
        lm.Conv(2, 3, padding="CAUSAL").init(jax.random.key(0), (5, 5, 1))
    with pytest.raises(ConfigError, match="MaxPool has no padding 'CAUSAL'"):
        lm.MaxPool(2, padding="CAUSAL")
