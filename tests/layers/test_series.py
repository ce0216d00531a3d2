"""Reversible: against its formula; laws that all layers obey are in test_battery."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError

KEY = jax.random.key(0)


@pytest.mark.parametrize("by", ["last", "mean", "standard"])
def test_the_first_channel_is_normalised_before_and_set_back_after(by: Literal["last", "mean", "standard"]) -> None:
    net = lm.Reversible(lm.Sequential(lm.Flatten(), lm.Dense(3)), by)
    params, state = net.init(KEY, (5, 2))
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 2)).astype(np.float32)
    own = x[:, :, 0]
    level = own[:, -1] if by == "last" else own.mean(axis=1)
    spread = np.sqrt(own.var(axis=1) + 1e-4) if by == "standard" else np.ones(4)
    inner = np.stack([(own - level[:, None]) / spread[:, None], x[:, :, 1]], axis=2)
    dense = params["body"]["1"]
    wanted = (inner.reshape(4, 10) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])) * spread[:, None]
    y, _ = net.apply(params, state, jnp.asarray(x))
    np.testing.assert_allclose(y, wanted + level[:, None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by", ["last", "mean", "standard"])
def test_a_shifted_window_has_a_shifted_forecast(by: Literal["last", "mean", "standard"]) -> None:
    net = lm.Reversible(lm.Sequential(lm.Flatten(), lm.Dense(8), lm.tanh, lm.Dense(2)), by)
    params, state = net.init(KEY, (6, 1))
    x = jax.random.normal(KEY, (3, 6, 1))
    y, _ = net.apply(params, state, x)
    shifted, _ = net.apply(params, state, x + 7)
    np.testing.assert_allclose(shifted, y + 7, rtol=1e-4)
    if by == "standard":
        flat, _ = net.apply(params, state, jnp.full((1, 6, 1), 2.0))
        assert np.isfinite(flat).all()


def test_what_is_no_window_is_refused() -> None:
    with pytest.raises(ConfigError, match="expects one of last, mean, standard"):
        lm.Reversible(lm.Dense(1), "median")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"expects \(batch, steps, channels\)"):
        lm.Reversible(lm.Flatten()).init(KEY, (4,))
    with pytest.raises(ShapeError, match="a vector of values"):
        lm.Reversible(lm.Dense(2)).init(KEY, (4, 1))
