"""Losses of values: regression, reconstruction, vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lamina.losses.base import Loss, average, vectors

__all__ = ["AbsoluteError", "CosineDistance", "Huber", "SquaredError"]


@dataclass(frozen=True, repr=False)
class SquaredError(Loss):
    """``(ŷ − y)²``, averaged over trailing axes. Outputs and targets: ``(batch, ...)``.

    Its gradient is 2(ŷ − y); the primers' ½(ŷ − y)² has ŷ − y.
    """

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        return average(optax.losses.squared_error(*self._pair(outputs, targets)))


@dataclass(frozen=True, repr=False)
class AbsoluteError(Loss):
    """``|ŷ − y|``, averaged over trailing axes. Outputs and targets: ``(batch, ...)``."""

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        outputs, targets = self._pair(outputs, targets)
        return average(jnp.abs(outputs - targets))


@dataclass(frozen=True, repr=False)
class Huber(Loss):
    """``½ e²`` where ``|e| = |ŷ − y| ≤ delta``, else ``delta · (|e| − ½ delta)``; averaged over trailing axes.

    Source: Huber 1964, Annals of Mathematical Statistics 35:73-101.

    Args:
        delta: the error from which on the loss grows in a straight line, in the target's unit; above 0.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("delta", 0, open_low=True)

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        return average(optax.losses.huber_loss(*self._pair(outputs, targets), delta=self.delta))


@dataclass(frozen=True, repr=False)
class CosineDistance(Loss):
    """``1 − ŷ·y / (|ŷ| |y|)`` over the last axis, in [0, 2]; averaged over the axes between.

    Outputs and targets are ``(batch, ..., features)``. The distance from a vector of zeros is 1.
    """

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        # The least squared norm of a divisor: far below real vectors, far above where float32 underflows.
        return average(optax.losses.cosine_distance(*vectors(self, outputs, targets), epsilon=1e-24))
