"""Modules of Flax and Equinox, and bare functions, inside networks: they train, and refuse to be saved."""

from __future__ import annotations

from typing import Any

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import lamina.layers as lm
from lamina.config import to_json
from lamina.errors import ConfigError, ShapeError


class Block(linen.Module):
    """Two affine maps with normalisation and dropout, in Flax."""

    width: int

    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.Dense(self.width)(x)
        x = linen.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = linen.Dropout(0.5, deterministic=not train)(x)
        return linen.Dense(2)(x)


class Noisy(equinox.Module):
    """An affine map with dropout, in Equinox."""

    linear: equinox.nn.Linear
    dropout: equinox.nn.Dropout

    def __init__(self, key: jax.Array) -> None:
        self.linear = equinox.nn.Linear(3, 4, key=key)
        self.dropout = equinox.nn.Dropout(0.5)

    def __call__(self, x: Any, key: jax.Array | None = None) -> Any:
        return self.dropout(self.linear(x), key=key)


def flax_net() -> lm.Sequential:
    return lm.Sequential(lm.FlaxLayer(Block(6)), lm.Dense(2))


def equinox_net() -> lm.Sequential:
    return lm.Sequential(lm.EquinoxLayer(Noisy(jax.random.key(3))), lm.Dense(2))


@pytest.mark.parametrize("make", [flax_net, equinox_net, lambda: lm.Sequential(jnp.sin, lm.Dense(2))])
def test_trains_inside_a_scan(make: Any) -> None:
    net = make()
    params, state = net.init(jax.random.key(0), (3,))
    x = jax.random.normal(jax.random.key(1), (64, 3))
    target = jnp.stack([jnp.sin(x[:, 0]), jnp.sin(x[:, 1] - x[:, 2])], -1)

    def loss(params: Any, state: Any, key: Any) -> Any:
        y, state = net.apply(params, state, x, train=True, key=key)
        return jnp.mean(jnp.square(y - target)), state

    def step(carry: Any, key: Any) -> Any:
        params, state = carry
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(params, state, key)
        return (jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), state), value

    (trained, state), losses = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys))(
        (params, state), jax.random.split(jax.random.key(2), 60)
    )
    before, after = (
        float(jnp.mean(jnp.square(net.apply(weights, state, x)[0] - target))) for weights in (params, trained)
    )
    assert after < 0.7 * before
    assert np.isfinite(losses).all()


def test_flax_layer_equals_the_module_itself() -> None:
    module, layer = Block(6), lm.FlaxLayer(Block(6))
    assert layer == lm.FlaxLayer(module)
    assert layer.out_spec(lm.base.as_spec((3,))).shape == (2,)
    params, state = layer.init(jax.random.key(0), (3,))
    x = jax.random.normal(jax.random.key(1), (5, 3))
    variables = {"params": params, **state}
    np.testing.assert_array_equal(layer.apply(params, state, x)[0], module.apply(variables, x, train=False))
    _, new_state = layer.apply(params, state, x, train=True, key=jax.random.key(0))
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    hidden = x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    np.testing.assert_allclose(
        new_state["batch_stats"]["BatchNorm_0"]["mean"], 0.1 * hidden.mean(0), rtol=1e-4, atol=1e-6
    )


def test_equinox_layer_equals_the_module_itself() -> None:
    module = Noisy(jax.random.key(3))
    layer = lm.EquinoxLayer(module)
    params, state = layer.init(jax.random.key(0), (3,))
    assert state == {}
    assert sorted(params) == ["linear/bias", "linear/weight"]
    x = jax.random.normal(jax.random.key(1), (5, 3))
    y, _ = layer.apply(params, state, x)
    np.testing.assert_allclose(y, jax.vmap(equinox.nn.inference_mode(module))(x), rtol=1e-6)
    dropped, _ = layer.apply(params, state, x, train=True, key=jax.random.key(0))
    assert 0 < np.mean(np.asarray(dropped) == 0) < 1


@pytest.mark.parametrize("make", [flax_net, equinox_net])
def test_keeps_half_precision(make: Any) -> None:
    net = make()
    params, state = net.init(jax.random.key(0), (3,))
    with jax.numpy_dtype_promotion("standard"):  # Flax mixes its statistics with the input's dtype
        y, _ = net.apply(params, state, jnp.ones((2, 3), jnp.bfloat16))
    assert y.dtype == jnp.bfloat16


def test_refuses_to_be_saved_and_says_why() -> None:
    with pytest.raises(ConfigError, match="a FlaxLayer cannot be saved: a model file holds data, and the module Block"):
        to_json(flax_net())
    with pytest.raises(ConfigError, match=r"an? EquinoxLayer cannot be saved.*module Noisy is code.*Lamina Layer"):
        to_json(equinox_net())
    with pytest.raises(ConfigError, match="cannot be written as data"):
        to_json(lm.Sequential(jnp.sin))


def test_refuses_other_things() -> None:
    with pytest.raises(ConfigError, match=r"FlaxLayer takes an instance of flax.linen.Module, got type"):
        lm.FlaxLayer(Block)
    with pytest.raises(ConfigError, match=r"takes a callable equinox.Module, got function"):
        lm.EquinoxLayer(lambda x: x)


@pytest.mark.parametrize("make", [equinox_net, lambda: lm.Sequential(lm.FlaxLayer(linen.Conv(2, (3, 3, 3))))])
def test_a_shape_that_does_not_fit_names_the_layer(make: Any) -> None:
    with pytest.raises(ShapeError, match=r"layer '0 .*the module \w+ fails on input \(7,\) float32"):
        make().init(jax.random.key(0), (7,))
