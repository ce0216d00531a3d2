"""Recurrent layers step by step: where something is done to the state between two steps, which no kernel does."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina.kernels.recurrent import Cell, cell_step

__all__ = ["unrolled"]


def unrolled(
    cell: Cell,
    projected: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    h0: jax.Array,
    c0: jax.Array | None = None,
    *,
    mask: jax.Array | None = None,
    added: tuple[jax.Array, ...] | None = None,
) -> tuple[jax.Array, jax.Array | None]:
    """`lamina.kernels.recurrent.recurrent` as a scan of XLA's own operations, with access to the state.

    Args:
        cell, projected, kernel, bias, h0, c0: as there.
        mask: ``(batch, units)``; what U is multiplied with is h · mask at every step.
        added: ``(batch, steps, units)`` to add to h, and for an LSTM another to add to c, after every step. The
            gradient of a loss with respect to it is that with respect to the states.

    Returns:
        As there.
    """
    wide = jnp.promote_types(projected.dtype, jnp.float32)
    cells = jnp.zeros((h0.shape[0], 0), wide) if c0 is None else c0

    def step(carry: Any, xs: Any) -> Any:
        (h, c), (p, extra) = carry, xs
        seen = h if mask is None else h * mask.astype(h.dtype)
        s = jnp.matmul(seen, kernel, preferred_element_type=wide) + bias.astype(wide)
        new, c, _ = cell_step(cell, p.astype(wide), s, h.astype(wide), c)
        if extra:
            new = new + extra[0].astype(wide)
            c = c + extra[1].astype(wide) if c0 is not None else c
        return (new.astype(h.dtype), c), new.astype(h.dtype)

    steps = jax.tree.map(lambda array: jnp.swapaxes(array, 0, 1), (projected, added or ()))
    (_, last), outputs = lax.scan(step, (h0, cells), steps)
    return jnp.swapaxes(outputs, 0, 1), None if c0 is None else last
