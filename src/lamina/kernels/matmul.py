"""Matrix products: XLA's own in float32, ours in bfloat16, where XLA:CPU is no faster than in float32."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from lamina.errors import ShapeError
from lamina.kernels.conv import conv

__all__ = ["matmul"]

_PARTS = 8  # at most so many threads share a product


def matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``x @ kernel``, in bfloat16 with sums in float32.

    Args:
        x: ``(..., inputs)``.
        kernel: ``(inputs, units)``, of x's dtype.

    Returns:
        ``(..., units)``.

    Raises:
        ShapeError: where the sizes or dtypes do not fit together.
    """
    if not x.ndim or kernel.ndim != 2 or x.shape[-1] != kernel.shape[0] or x.dtype != kernel.dtype:
        raise ShapeError(
            f"matmul expects x (..., inputs) and a kernel (inputs, units) of its dtype, got {tuple(x.shape)} {x.dtype} "
            f"and {tuple(kernel.shape)} {kernel.dtype}."
        )
    rows = math.prod(x.shape[:-1])
    if x.dtype != jnp.bfloat16:
        # As one matrix: the kernel's gradient sums over all axes but the last, and XLA:CPU takes up to six times as
        # long for a product that sums over two.
        return (x.reshape(rows, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], kernel.shape[1])
    # A convolution whose window is one row: the rows are its axis of space, cut into parts that threads share.
    parts = math.gcd(rows, _PARTS)
    y = conv(x.reshape(parts, rows // parts, x.shape[-1]), kernel[None], padding="VALID")
    return y.reshape(*x.shape[:-1], kernel.shape[1])
