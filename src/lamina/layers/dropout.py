"""Dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina.kernels.precision import widened
from lamina.layers._checks import check_floating, check_rate
from lamina.layers.base import Context, Layer, Params, Spec, State

__all__ = ["Dropout", "dropout_mask"]

_LEVELS = 1 << 16


def _short_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Sixteen random bits an element, two elements from each word that is drawn.

    jax.random.bits draws a word for every element, however narrow: 10 ms for a million elements against 3. It also
    takes XLA:CPU 1.0 s to compile with four axes, against 0.2 s flat.
    """
    size = math.prod(shape)
    words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    return lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(shape)


def _kept(rate: float) -> int:
    """How many of all levels of the random bits are kept."""
    return max(1, round((1 - rate) * _LEVELS))


def dropout_mask(key: jax.Array, rate: float, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """What an array is multiplied with: 0 for what is dropped, 1 / (1 - rate) for what is kept (see `Dropout`)."""
    kept = _kept(rate)
    inside = _short_bits(key, shape) < jnp.uint16(min(kept, _LEVELS - 1))
    return jnp.where(inside, _LEVELS / kept, 0).astype(dtype)


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """y = x · mask / (1 - rate) in training, mask ~ Bernoulli(1 - rate) for each element; y = x in evaluation.

    Source: Srivastava et al. 2014, JMLR 15:1929-1958.
    Departure: scales while training ("inverted"); the paper scales at test time. The rate is rounded to a multiple of
    1/65536, since sixteen random bits an element cost half of thirty-two; the scale uses the rounded rate, so that
    the mean is kept.

    Args:
        rate: fraction dropped, 0 <= rate < 1.

    Shapes: ``(batch, ...)`` → the same. In training a key is needed: ``net.apply(..., train=True, key=key)``.
    """

    on_masked = "each"

    rate: float

    def __post_init__(self) -> None:
        check_rate("Dropout", "rate", self.rate)

    def out_spec(self, in_spec: Spec) -> Spec:
        check_floating("Dropout", in_spec.dtype)
        return in_spec

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        kept = _kept(self.rate)
        if not ctx.train or kept == _LEVELS:
            return x, state
        bits = _short_bits(ctx.rng(), x.shape)
        # The scale would be rounded in half precision, and the mean shifted with it.
        scaled = widened(x) * (_LEVELS / kept)
        return jnp.where(bits < jnp.uint16(kept), scaled, 0).astype(x.dtype), state
