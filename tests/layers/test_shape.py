"""Flatten and Reshape."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError


def test_flatten_and_reshape_keep_numpys_order() -> None:
    x = np.arange(48.0, dtype=np.float32).reshape(2, 2, 3, 4)
    np.testing.assert_array_equal(lm.Flatten().apply({}, {}, x)[0], x.reshape(2, 24))
    np.testing.assert_array_equal(lm.Reshape((4, -1)).apply({}, {}, x)[0], x.reshape(2, 4, 6))
    np.testing.assert_array_equal(lm.Reshape(()).apply({}, {}, x[:, 0, 0, 0])[0], x[:, 0, 0, 0])


def test_a_number_alone_is_flattened_to_one_feature() -> None:
    assert lm.Flatten().out_spec(lm.base.as_spec(())).shape == (1,)
    assert lm.Reshape(-1) == lm.Reshape((-1,))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(-1, -1), (2.5,), ("a",), (-2,)])
def test_refuses_what_is_no_shape(shape: Any) -> None:
    with pytest.raises(ConfigError, match=r"whole numbers, at most one of them -1. Received: shape="):
        lm.Reshape(shape)


@pytest.mark.parametrize("shape", [(5,), (5, -1), (0, -1)])
def test_refuses_another_number_of_elements(shape: Any) -> None:
    with pytest.raises(ShapeError, match=r"cannot turn \(3, 4\) \(12 numbers\) into"):
        lm.Reshape(shape).init(jax.random.key(0), (3, 4))


def test_subsample_takes_every_other_place_and_adds_channels_on_both_sides() -> None:
    x = jnp.arange(2 * 5 * 4 * 2, dtype=jnp.float32).reshape(2, 5, 4, 2)
    y, _ = lm.Subsample(5).apply({}, {}, x)
    assert y.shape == (2, 3, 2, 5)
    np.testing.assert_array_equal(y[..., 1:3], x[:, ::2, ::2])
    assert not np.any(y[..., [0, 3, 4]])
    with pytest.raises(ShapeError, match="at most as many channels"):
        lm.Subsample(1).init(jax.random.key(0), (4, 4, 2))
