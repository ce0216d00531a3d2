"""Normalisation against PyTorch, and its running statistics."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.test_util import check_grads
from torch.nn import functional

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError


@pytest.mark.parametrize("shape", [(5,), (4, 3, 5)])
def test_batch_norm_agrees_with_torch(shape: Any, agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        normalised = functional.batch_norm(
            x.movedim(-1, 1), None, None, params["scale"], params["bias"], training=True, eps=1e-3
        )
        return normalised.movedim(1, -1)

    agree(lm.BatchNorm(epsilon=1e-3), reference, shape, train=True)


def test_layer_norm_agrees_with_torch(agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        return functional.layer_norm(x, (6,), params["scale"], params["bias"], eps=1e-4)

    agree(lm.LayerNorm(epsilon=1e-4), reference, (3, 6))


@pytest.mark.parametrize("size", [2, 5, 7])
def test_local_response_norm_agrees_with_torch(size: int, agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        return functional.local_response_norm(x.movedim(-1, 1), size, alpha=0.3, beta=0.6, k=2.0).movedim(1, -1)

    agree(lm.LocalResponseNorm(size, alpha=0.3, beta=0.6, k=2.0), reference, (3, 4, 6))


def test_running_statistics_follow_torch_up_to_bessels_correction() -> None:
    ours, theirs = lm.BatchNorm(momentum=0.9), torch.nn.BatchNorm1d(3, momentum=0.1)
    params, state = ours.init(jax.random.key(0), (3,))
    random = np.random.default_rng(0)
    var = np.ones(3)
    for _ in range(5):
        x = random.normal(2.0, 3.0, (8, 3)).astype(np.float32)
        _, state = ours.apply(params, state, x, train=True)
        theirs(torch.tensor(x))
        var = 0.9 * var + 0.1 * x.var(0)
    np.testing.assert_allclose(state["mean"], theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(state["var"], var, rtol=1e-5)
    np.testing.assert_allclose(state["var"] - 0.9**5, (theirs.running_var - 0.9**5) * 7 / 8, rtol=1e-5)
    x = random.normal(size=(4, 3)).astype(np.float32)
    y, after = ours.apply(params, state, x)
    np.testing.assert_allclose(y, (x - state["mean"]) / np.sqrt(state["var"] + 1e-5), rtol=1e-5)
    assert after is state


def test_batch_norm_has_derivatives_of_both_modes_and_second_order(x64: None) -> None:
    layer = lm.BatchNorm()
    _, state = layer.init(jax.random.key(0), (2,))
    random = np.random.default_rng(0)
    params = {"scale": jnp.asarray(random.normal(size=2)), "bias": jnp.asarray(random.normal(size=2))}
    x = jnp.asarray(random.normal(size=(5, 3, 2)))

    def run(params: Any, x: Any) -> Any:
        return jnp.sin(layer.apply(params, state, x, train=True)[0])

    check_grads(jax.jit(run), (params, x), order=2, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_statistics_keep_their_digits_far_from_zero(offset: float) -> None:
    x = (offset + np.random.default_rng(0).normal(size=(256, 4))).astype(np.float32)
    layer = lm.BatchNorm(momentum=0.0)
    y, state = layer.apply(*layer.init(jax.random.key(0), (4,)), x, train=True)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(state["var"], exact.var(0), rtol=1e-4)
    np.testing.assert_allclose(y, (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5), atol=max(1e-5, offset * 2e-7))


@pytest.mark.parametrize("layer", [lm.BatchNorm(), lm.LayerNorm()])
def test_half_precision_statistics_are_computed_in_float32(layer: lm.Layer) -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(3.0, 1.0, (512, 16)), jnp.bfloat16)
    variables = layer.init(jax.random.key(0), (16,))
    y, _ = layer.apply(*variables, x, train=True)
    exact, _ = layer.apply(*variables, x.astype(jnp.float32), train=True)
    np.testing.assert_array_equal(np.asarray(y, np.float32), np.asarray(exact.astype(jnp.bfloat16), np.float32))


def test_empty_batch_leaves_the_statistics_alone() -> None:
    layer = lm.BatchNorm()
    params, state = layer.init(jax.random.key(0), (3,))
    y, after = layer.apply(params, state, jnp.ones((0, 3)), train=True)
    assert y.shape == (0, 3)
    assert after is state


def test_lone_example_becomes_the_bias() -> None:
    layer = lm.BatchNorm()
    _, state = layer.init(jax.random.key(0), (3,))
    params = {"scale": jnp.ones(3), "bias": jnp.arange(3.0)}
    y, _ = layer.apply(params, state, jnp.full((1, 3), 7.0), train=True)
    np.testing.assert_allclose(y[0], [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lm.BatchNorm(momentum=1.5), r"Received: momentum=1.5"),
        (lambda: lm.BatchNorm(epsilon=0), r"positive epsilon. Received: epsilon=0"),
        (lambda: lm.LayerNorm(epsilon=float("nan")), r"Received: epsilon=nan"),
    ],
)
def test_refuses_bad_options(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_refuses_other_channels_and_integers() -> None:
    layer = lm.BatchNorm()
    params, state = layer.init(jax.random.key(0), (3,))
    with pytest.raises(ShapeError, match=r"made for 3 channels in the last axis, got shape \(2, 4\)"):
        layer.apply(params, state, jnp.ones((2, 4)))
    with pytest.raises(ShapeError, match="got int32"):
        lm.LayerNorm().init(jax.random.key(0), jax.ShapeDtypeStruct((3,), jnp.int32))
    with pytest.raises(ShapeError, match="at least one feature axis"):
        lm.LayerNorm().init(jax.random.key(0), ())
