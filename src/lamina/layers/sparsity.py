"""Penalties on activations: x passes unchanged, and a term is added to the loss in training."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError
from lamina.kernels.precision import widened
from lamina.layers._checks import check_floating, check_number
from lamina.layers.base import Context, Layer, Params, Spec, State

__all__ = ["ActivityKL", "ActivityL1"]

_FLOOR = 1e-6  # a unit's mean activation is kept this far from 0 and 1, where the divergence is infinite


@dataclass(frozen=True, repr=False)
class ActivityL1(Layer):
    """x passes unchanged; in training, strength · Σ|x| is added to the loss, a mean over the batch.

    Source: Olshausen & Field 1996, "Emergence of simple-cell receptive field properties by learning a sparse code",
    Nature 381:607-609.

    Args:
        strength: at least 0.

    Shapes: ``(batch, ...)`` → the same.
    """

    strength: float

    def __post_init__(self) -> None:
        check_number("ActivityL1", "strength", self.strength, low=0.0)

    def out_spec(self, in_spec: Spec) -> Spec:
        check_floating("ActivityL1", in_spec.dtype)
        return in_spec

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        if ctx.train:
            ctx.emit("loss", self.strength * jnp.sum(jnp.abs(widened(x))) / x.shape[0])
        return x, state


@dataclass(frozen=True, repr=False)
class ActivityKL(Layer):
    """x passes unchanged; in training, strength · Σ_j KL(target ‖ ρ_j) is added to the loss.

    ρ_j is the mean over the batch of unit j, which lies between 0 and 1 (a sigmoid's does), and
    KL(a ‖ b) = a ln(a/b) + (1 - a) ln((1 - a)/(1 - b)): each unit is to be on for the share ``target`` of the examples.

    Source: Lee, Ekanadham & Ng 2008, "Sparse deep belief net model for visual area V2", NeurIPS 20 (the target); Ng
    2011, "Sparse autoencoder", CS294A lecture notes (the divergence).

    Args:
        target: mean activation wanted of each unit, between 0 and 1.
        strength: at least 0.

    Shapes: ``(batch, ...)`` → the same.
    """

    target: float = 0.05
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_number("ActivityKL", "target", self.target)
        check_number("ActivityKL", "strength", self.strength, low=0.0)
        if not 0 < self.target < 1:
            raise ConfigError(f"ActivityKL needs a target between 0 and 1. Received: target={self.target}.")

    def out_spec(self, in_spec: Spec) -> Spec:
        check_floating("ActivityKL", in_spec.dtype)
        return in_spec

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        if ctx.train:
            mean = jnp.clip(jnp.mean(widened(x), axis=0), _FLOOR, 1 - _FLOOR)
            on, off = self.target, 1 - self.target
            divergence = on * jnp.log(on / mean) + off * jnp.log(off / (1 - mean))
            ctx.emit("loss", self.strength * jnp.sum(divergence))
        return x, state
