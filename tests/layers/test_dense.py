"""Dense against PyTorch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError


@pytest.mark.parametrize(("layer", "shape"), [(lm.Dense(4), (3,)), (lm.Dense(4, use_bias=False), (2, 5, 3))])
def test_agrees_with_torch(layer: lm.Dense, shape: Any, agree: Any) -> None:
    def reference(x: Any, params: Any) -> Any:
        y = x @ params["kernel"]
        return y + params["bias"] if layer.use_bias else y

    agree(layer, reference, shape)


def test_takes_numpy_batches_in_double_precision() -> None:
    layer = lm.Dense(4)
    params, state = layer.init(jax.random.key(0), (3,))
    y, _ = layer.apply(params, state, np.ones((2, 3)))
    assert y.dtype == jnp.float32
    assert layer.count_parameters((3,)) == 16


def test_says_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"at least 1 for units. Received: units=0"):
        lm.Dense(0)
    with pytest.raises(ConfigError, match="Received: units=True"):
        lm.Dense(True)
    with pytest.raises(ShapeError, match="at least one feature axis"):
        lm.Dense(3).init(jax.random.key(0), ())
    layer = lm.Dense(4)
    params, state = layer.init(jax.random.key(0), (3,))
    with pytest.raises(ShapeError, match=r"expects 3 inputs on the last axis, got shape \(2, 5\)\. Put Flatten\(\)"):
        layer.apply(params, state, jnp.ones((2, 5)))
    with pytest.raises(ShapeError, match=r"Dense computes with floating-point numbers, got uint8.*astype"):
        layer.apply(params, state, np.ones((2, 3), np.uint8))
