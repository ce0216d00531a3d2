"""Random numbers for sampling units."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["levels"]


def levels(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform numbers on the grid (i + ½)/65536, i = 0 … 65535, float32: two from each random word that is drawn."""
    size = math.prod(shape)
    words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    bits = lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(shape)
    return (bits.astype(jnp.float32) + 0.5) * (1 / 65536)
