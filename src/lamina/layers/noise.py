"""Noise that a network meets in training only."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError
from lamina.layers._checks import check_floating, check_number
from lamina.layers.base import Context, Layer, Params, Spec, State

__all__ = ["GaussianNoise", "MaskingNoise"]


@dataclass(frozen=True, repr=False)
class MaskingNoise(Layer):
    """y = x · mask in training, mask ~ Bernoulli(1 - rate) for each element; y = x in evaluation.

    Unlike Dropout it does not scale what is left: what is masked is to be guessed, not made up for.

    Source: Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11:3371-3408.

    Args:
        rate: fraction set to zero, 0 <= rate < 1.

    Shapes: ``(batch, ...)`` → the same. In training a key is needed.
    """

    on_masked = "each"

    rate: float

    def __post_init__(self) -> None:
        check_number("MaskingNoise", "rate", self.rate)
        if not 0 <= self.rate < 1:
            raise ConfigError(
                f"MaskingNoise's rate is the fraction set to zero, at least 0 and below 1. Received: rate={self.rate}."
            )

    def out_spec(self, in_spec: Spec) -> Spec:
        check_floating("MaskingNoise", in_spec.dtype)
        return in_spec

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        if not ctx.train or self.rate == 0:
            return x, state
        return jnp.where(jax.random.bernoulli(ctx.rng(), 1.0 - self.rate, x.shape), x, jnp.zeros((), x.dtype)), state


@dataclass(frozen=True, repr=False)
class GaussianNoise(Layer):
    """y = x + std · n in training, n ~ N(0, 1) for each element; y = x in evaluation.

    Source: Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11:3371-3408.

    Args:
        std: standard deviation of the noise, in x's unit, at least 0.

    Shapes: ``(batch, ...)`` → the same. In training a key is needed.
    """

    on_masked = "each"

    std: float

    def __post_init__(self) -> None:
        check_number("GaussianNoise", "std", self.std, low=0.0)

    def out_spec(self, in_spec: Spec) -> Spec:
        check_floating("GaussianNoise", in_spec.dtype)
        return in_spec

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        if not ctx.train or self.std == 0:
            return x, state
        return x + jnp.asarray(self.std, x.dtype) * jax.random.normal(ctx.rng(), x.shape, x.dtype), state
