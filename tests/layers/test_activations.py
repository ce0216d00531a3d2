"""Activations against PyTorch, as layers and as functions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn import functional

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError

CASES = [
    (lm.linear, lambda x: x * 1),
    (lm.sigmoid, torch.sigmoid),
    (lm.tanh, torch.tanh),
    (lm.relu, functional.relu),
    (lm.relu6, functional.relu6),
    (lm.leaky_relu, functional.leaky_relu),
    (lm.LeakyRelu(0.3), lambda x: functional.leaky_relu(x, 0.3)),
    (lm.elu, functional.elu),
    (lm.Elu(0.5), lambda x: functional.elu(x, 0.5)),
    (lm.selu, functional.selu),
    (lm.gelu, functional.gelu),
    (lm.Gelu(approximate=True), lambda x: functional.gelu(x, approximate="tanh")),
    (lm.silu, functional.silu),
    (lm.softplus, lambda x: functional.softplus(x, threshold=1000)),
    (lm.softsign, functional.softsign),
    (lm.softmax, lambda x: torch.softmax(x, -1)),
    (lm.Softmax(axis=1), lambda x: torch.softmax(x, 1)),
    (lm.step, lambda x: (x >= 0).to(x.dtype) + 0 * x),
    (lm.sign, torch.sign),
]


@pytest.mark.parametrize(("layer", "reference"), CASES, ids=[repr(layer) for layer, _ in CASES])
def test_agrees_with_torch(layer: lm.Activation, reference: Any, agree: Any) -> None:
    agree(layer, lambda x, params: reference(x), (4, 5))
    x = np.array([[-50.0, -3.0, -1e-3, 0.0, 1e-3, 3.0, 50.0]])
    if layer not in (lm.leaky_relu, lm.LeakyRelu(0.3)):  # at 0 PyTorch takes the slope of the left, we of the right
        agree(layer, lambda x, params: reference(x), (7,), x=x)
    assert layer(jnp.asarray(x)).shape == (1, 7)


def test_prelu_agrees_with_torch(agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        return functional.prelu(x.movedim(-1, 1), params["slope"]).movedim(1, -1)

    agree(lm.PRelu(), reference, (4, 3))


def test_maxout_is_the_largest_piece(agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        return (x @ params["kernel"] + params["bias"]).unflatten(-1, (3, 4)).amax(-1)

    agree(lm.Maxout(3, pieces=4), reference, (2, 5))


def test_straight_through_gradients() -> None:
    x = jnp.asarray([-2.0, -0.5, 0.0, 0.5, 2.0])
    for layer, value, slope in (
        (lm.Step(straight_through=True), [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]),
        (lm.Sign(straight_through=True), [-1, -1, 0, 1, 1], [0, 1, 1, 1, 0]),
        (lm.step, [0, 0, 1, 1, 1], [0] * 5),
        (lm.sign, [-1, -1, 0, 1, 1], [0] * 5),
    ):
        assert layer(x).tolist() == value
        assert jax.grad(lambda x, layer=layer: layer(x).sum())(x).tolist() == slope


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float32, (3, 6), elements=st.floats(-100, 100, width=32)))
def test_softmax_sums_to_one_and_ignores_shifts(x: np.ndarray) -> None:
    y = lm.softmax(jnp.asarray(x))
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-5)
    assert (np.asarray(y) >= 0).all()
    np.testing.assert_allclose(lm.softmax(jnp.asarray(x + np.float32(64))), y, atol=1e-4)


@jax.jit
def values_and_slopes(x: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
    layers = (lm.sigmoid, lm.tanh, lm.softsign, lm.softplus, lm.silu, lm.gelu, lm.elu, lm.selu)
    return [jax.value_and_grad(layer)(x) for layer in layers]


@settings(max_examples=50, deadline=None)
@given(st.floats(-(2.0**99), 2.0**99, width=32))
def test_bounded_activations_stay_finite_with_their_gradients(value: float) -> None:
    assert np.isfinite(values_and_slopes(jnp.float32(value))).all()


def test_ready_instances_print_shortly_and_join_a_chain() -> None:
    assert repr(lm.relu) == "Relu()"
    net = lm.Sequential(lm.Dense(3), lm.relu)
    params, state = net.init(jax.random.key(0), (4,))
    y, _ = net.apply(params, state, jnp.ones((2, 4)))
    assert (np.asarray(y) >= 0).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lm.LeakyRelu("0.1"), r"finite number for slope. Received: slope='0.1'"),
        (lambda: lm.Elu(float("inf")), r"Received: alpha=inf"),
        (lambda: lm.PRelu(None), r"Received: slope=None"),
        (lambda: lm.Maxout(3, pieces=0), r"Received: pieces=0"),
    ],
)
def test_refuses_bad_options(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (lm.relu, jax.ShapeDtypeStruct((3,), jnp.int32), "Relu computes with floating-point numbers, got int32"),
        (lm.Softmax(axis=2), (3,), "axis=2, but the input has 2 axes"),
        (lm.Softmax(axis=0), (3,), "axis=0, but the input has 2 axes"),
        (lm.Maxout(2), (), "at least one feature axis"),
    ],
)
def test_refuses_inputs_that_do_not_fit(layer: lm.Layer, shape: Any, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        layer.init(jax.random.key(0), shape)
