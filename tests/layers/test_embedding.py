"""Embedding against PyTorch, and what it does with indices that it has no row for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError

LAYER = lm.Embedding(5, 3)


def made(layer: lm.Embedding = LAYER) -> Any:
    return layer.init(jax.random.key(0), jax.ShapeDtypeStruct((4,), jnp.int32))[0]


def test_agrees_with_torch() -> None:
    params, x = made(), np.array([[0, 4, 2, 2], [1, 1, 1, 0]], np.int32)
    cotangent = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    y, pull = jax.vjp(lambda params: LAYER.apply(params, {}, x)[0], params)
    table = torch.tensor(np.asarray(params["table"]), requires_grad=True)
    theirs = torch.nn.functional.embedding(torch.tensor(x), table)
    theirs.backward(torch.tensor(cotangent))
    np.testing.assert_array_equal(y, theirs.detach())
    np.testing.assert_allclose(pull(jnp.asarray(cotangent))[0]["table"], table.grad, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.int32, jnp.uint32])
def test_all_whole_dtypes_look_up(dtype: Any) -> None:
    layer = lm.Embedding(300, 2)  # more rows than eight bits can count
    params = made(layer)
    np.testing.assert_array_equal(
        layer.apply(params, {}, jnp.asarray([[0, 100]], dtype))[0][0], params["table"][np.array([0, 100])]
    )


def test_indices_without_a_row_give_nan_and_no_gradient() -> None:
    params, x = made(), jnp.asarray([[-1, 5, 2, 1000]])
    y, pull = jax.vjp(lambda params: LAYER.apply(params, {}, x)[0], params)
    assert np.isnan(y).all(-1).tolist() == [[True, True, False, True]]
    assert np.asarray(pull(jnp.ones_like(y))[0]["table"]).tolist() == [[0] * 3, [0] * 3, [1] * 3, [0] * 3, [0] * 3]


def test_computes_in_the_tables_dtype() -> None:
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), made())
    assert LAYER.apply(params, {}, jnp.zeros((1, 4), jnp.int32))[0].dtype == jnp.bfloat16


def test_refuses_floats_and_bad_sizes() -> None:
    with pytest.raises(ShapeError, match=r"looks up whole numbers, got float32.*ShapeDtypeStruct"):
        lm.Sequential(LAYER, lm.Dense(2)).init(jax.random.key(0), (4,))
    with pytest.raises(ShapeError, match="got float32"):
        LAYER.apply(made(), {}, jnp.ones((1, 4)))
    with pytest.raises(ConfigError, match="Received: vocabulary=0"):
        lm.Embedding(0, 3)
    with pytest.raises(ConfigError, match=r"Received: features=1.5"):
        lm.Embedding(5, 1.5)  # type: ignore[arg-type]
