"""Dropout's mask, mean and rate."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError


def drop(rate: float, x: Any, seed: int = 0, train: bool = True) -> Any:
    return lm.Dropout(rate).apply({}, {}, x, train=train, key=jax.random.key(seed))[0]


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(0, 0.95), seed=st.integers(0, 2**31 - 1))
def test_keeps_the_mean_and_drops_the_rate(rate: float, seed: int) -> None:
    count = 40_001  # odd: two elements share a random word
    y = np.asarray(drop(rate, jnp.ones((count, 1)), seed), np.float64)
    kept = max(1, round((1 - rate) * 65536)) / 65536
    assert set(np.unique(y)) <= {0.0, float(np.float32(1 / kept))}
    five_sigma = 5 * np.sqrt(rate / (1 - rate) / count)
    assert abs(y.mean() - 1) <= five_sigma + 1e-4


def test_neighbours_are_dropped_independently() -> None:
    dropped = np.asarray(drop(0.5, jnp.ones((1 << 16,)))) == 0
    for distance in (1, 2, 3):
        assert abs(np.mean(dropped[distance:] & dropped[:-distance]) - 0.25) < 0.01


def test_the_gradient_passes_where_the_signal_does() -> None:
    x = jax.random.normal(jax.random.key(1), (64, 3))
    y, pull = jax.vjp(lambda x: drop(0.3, x), x)
    (dx,) = pull(jnp.ones_like(y))
    np.testing.assert_allclose(dx, np.where(y == 0, 0, y / x), rtol=1e-5)


def test_keys_and_places_give_different_masks() -> None:
    x = jnp.ones((8, 64))
    assert not np.array_equal(drop(0.5, x, 0), drop(0.5, x, 1))
    net = lm.Sequential(lm.Dropout(0.5), lm.Dropout(0.5))
    y = net.apply({}, {}, x, train=True, key=jax.random.key(0))[0]
    assert set(np.unique(y)) == {0.0, 4.0}
    assert 0.1 < np.mean(np.asarray(y) > 0) < 0.4


def test_passes_everything_in_evaluation_and_at_rate_zero() -> None:
    x = jax.random.normal(jax.random.key(0), (4, 5))
    assert drop(0.9, x, train=False) is x
    assert lm.Dropout(0).apply({}, {}, x, train=True)[0] is x


def test_bfloat16_keeps_the_mean() -> None:
    y = drop(0.1, jnp.ones((200, 500), jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert abs(np.asarray(y, np.float64).mean() - 1) < 0.005


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, "0.5", None, True, float("nan")])
def test_refuses_other_rates(rate: Any) -> None:
    with pytest.raises(ConfigError, match=r"fraction dropped, at least 0 and below 1. Received: rate="):
        lm.Dropout(rate)


def test_asks_for_a_key_and_for_floats() -> None:
    net = lm.Sequential(lm.Dense(2), lm.Dropout(0.5))
    params, state = net.init(jax.random.key(0), (3,))
    with pytest.raises(ConfigError, match=r"Layer '1' needs random numbers in training.*key=jax.random.key"):
        net.apply(params, state, jnp.ones((1, 3)), train=True)
    with pytest.raises(ShapeError, match="Dropout computes with floating-point numbers, got int32"):
        lm.Dropout(0.5).init(jax.random.key(0), jax.ShapeDtypeStruct((3,), jnp.int32))
