"""Where sums and statistics are computed: float32, or float64 for what is in float64 already."""

from __future__ import annotations

import jax
import jax.numpy as jnp

__all__ = ["add_bias", "widened"]


def widened(x: jax.Array) -> jax.Array:
    """The array in float32, or in float64 where it is that already."""
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def add_bias(y: jax.Array, bias: jax.Array) -> jax.Array:
    """``y + bias`` in y's dtype. The bias' gradient, a sum over everything else, is taken in float32."""
    return (widened(y) + bias).astype(y.dtype)
