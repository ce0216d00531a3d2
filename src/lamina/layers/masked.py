"""Sequences of unequal length in one array, with their lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["Masked"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Masked:
    """Sequences of unequal length, filled up to the longest. What lies past a sequence's length says nothing.

    Layers that treat every step by itself keep the lengths; recurrent layers and global pooling heed them; what would
    mix steps without knowing them refuses the sequences.

    Attributes:
        values: ``(batch, steps, ...)``.
        lengths: ``(batch,)`` int32, each from 1 to the number of steps.

    As a spec the same without the batch axis: ``Masked(spec((steps, ...)), spec((), "int32"))``.
    """

    values: Any
    lengths: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return tuple(self.values.shape)

    @property
    def dtype(self) -> Any:
        """Of the values."""
        return self.values.dtype

    def with_values(self, values: Any) -> Masked:
        """Other values for the same steps."""
        return Masked(values, self.lengths)

    def mask(self) -> jax.Array:
        """Which steps belong to a sequence, ``(batch, steps)``, bool."""
        inside: jax.Array = jnp.arange(self.values.shape[1], dtype=jnp.int32) < self.lengths[:, None]
        return inside

    def emptied(self, fill: float = 0.0) -> Masked:
        """The same sequences with ``fill`` past their ends."""
        mask = self.mask().reshape(*self.values.shape[:2], *[1] * (self.values.ndim - 2))
        return self.with_values(jnp.where(mask, self.values, jnp.asarray(fill, self.values.dtype)))

    def last(self) -> jax.Array:
        """Each sequence's own last step, ``(batch, ...)``."""
        ends = jnp.maximum(self.lengths - 1, 0).reshape(-1, *[1] * (self.values.ndim - 1))
        return jnp.take_along_axis(self.values, ends, axis=1).squeeze(1)

    def reversed(self) -> Masked:
        """Each sequence from its own last step to its first; what lies past its end stays there."""
        steps = jnp.arange(self.values.shape[1])
        order = jnp.where(self.mask(), self.lengths[:, None] - 1 - steps, steps)
        order = order.reshape(*order.shape, *[1] * (self.values.ndim - 2))
        return self.with_values(jnp.take_along_axis(self.values, order, axis=1))
