"""What a loss is, and what all losses share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from lamina.config import Config
from lamina.errors import ConfigError, ShapeError

__all__ = ["Loss"]


@dataclass(frozen=True, repr=False)
class Loss(Config):
    """Base of all losses: ``loss(outputs, targets, weights=None) -> scalar``.

    A loss of your own is a frozen dataclass with the method `per_example`.

    Args:
        reduction: "mean" (the weighted mean over the batch) or "sum".
    """

    reduction: str = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "sum"):
            raise ConfigError(
                f"{type(self).__name__} expects 'mean' or 'sum' as reduction. Received: reduction={self.reduction!r}."
            )

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        """The loss of every example, averaged over trailing axes.

        Args:
            outputs: what the network gives, ``(batch, ...)``.
            targets: what it should give, ``(batch, ...)``.

        Returns:
            ``(batch,)``, float32 or float64.

        Raises:
            ShapeError: when outputs and targets do not fit each other.
        """
        raise NotImplementedError(f"{type(self).__name__} has no per_example method.")

    def mass(self, outputs: Any, targets: Any) -> jax.Array | None:
        """What every example counts in the mean, ``(batch,)``: its class weight; None where all count alike."""
        return None

    def __call__(self, outputs: Any, targets: Any, weights: Any = None) -> jax.Array:
        """The loss of a batch.

        Args:
            outputs, targets: as for `per_example`.
            weights: what every example counts, ``(batch,)``, at least 0; 0 leaves an example out (padding).

        Returns:
            ``Σ w·l / Σ w``, or ``Σ w·l`` where the reduction is a sum; 0 where all weights are 0.
        """
        losses = self.per_example(outputs, targets)
        counts = jnp.ones_like(losses) if weights is None else jnp.asarray(weights).astype(losses.dtype)
        # An example left out must not bring its NaN or infinity in: 0 · inf is NaN.
        total = jnp.sum(jnp.where(counts > 0, losses, 0) * counts)
        if self.reduction == "sum":
            return total
        mass = self.mass(outputs, targets)
        count = jnp.sum(counts if mass is None else counts * mass)
        return jnp.where(count > 0, total / jnp.where(count > 0, count, 1), 0)

    def _check(self, name: str, low: float, high: float = math.inf, *, open_low: bool = False) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < low or value >= high or (open_low and value == low):
            bounds = f"above {low:g}" if open_low else f"of at least {low:g}"
            bounds += "" if high == math.inf else f" and below {high:g}"
            raise ConfigError(
                f"{type(self).__name__} expects a finite number {bounds} as {name}. Received: {name}={value!r}."
            )
        object.__setattr__(self, name, float(value))

    def _pair(self, outputs: Any, targets: Any) -> tuple[jax.Array, jax.Array]:
        """Outputs and targets of one shape and one dtype; a last axis of length 1 on either side is left out."""
        outputs, targets = floating(outputs), jnp.asarray(targets)
        if outputs.shape != targets.shape:
            if outputs.shape == (*targets.shape, 1):
                outputs = outputs[..., 0]
            elif targets.shape == (*outputs.shape, 1):
                targets = targets[..., 0]
            else:
                raise ShapeError(
                    f"{type(self).__name__} expects outputs and targets of one shape,"
                    f" got outputs {outputs.shape} and targets {targets.shape}.",
                    "Let the network's last layer have as many units as there are target values.",
                )
        return outputs, targets.astype(outputs.dtype)


def floating(value: Any) -> jax.Array:
    """The value in float32, or float64 where it is that already."""
    array = jnp.asarray(value)
    return array if array.dtype == jnp.float64 else array.astype(jnp.float32)


def average(values: jax.Array) -> jax.Array:
    """Averages over all axes but the first."""
    return jnp.mean(values, axis=tuple(range(1, values.ndim)))


def vectors(loss: Loss, outputs: Any, targets: Any) -> tuple[jax.Array, jax.Array]:
    outputs, targets = floating(outputs), jnp.asarray(targets)
    if outputs.ndim < 2 or outputs.shape != targets.shape:
        raise ShapeError(
            f"{type(loss).__name__} expects outputs and targets of one shape (batch, ..., features),"
            f" got outputs {outputs.shape} and targets {targets.shape}."
        )
    return outputs, targets.astype(outputs.dtype)
