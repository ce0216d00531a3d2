"""Pooling: maxima and means over windows, and gradients that are fast on a CPU.

XLA:CPU takes the gradient of its own windowed maximum 7 to 14 times more slowly than what is done here: one axis
after the other, by comparing or adding shifted strided slices. Half precision is computed in float32, in which XLA:CPU
is several times faster than in bfloat16; the maximum is exact either way.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina.kernels.precision import widened

__all__ = ["adaptive_avg_pool", "adaptive_max_pool", "avg_pool", "max_pool", "pooled_size"]

Pairs: TypeAlias = Sequence[tuple[int, int]]


def pooled_size(size: int, window: int, stride: int, low: int, high: int, ceil_mode: bool) -> int:
    """Number of windows along one axis.

    Without ``ceil_mode`` all windows lie inside the padded input. With it the last one may reach beyond, as long as
    it begins inside the input or the padding before it (as in PyTorch).
    """
    room = size + low + high - window
    outputs = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (outputs - 1) * stride >= size + low:
        outputs -= 1
    return outputs


def max_pool(
    x: jax.Array, window: Sequence[int], strides: Sequence[int], padding: Pairs, ceil_mode: bool = False
) -> jax.Array:
    """Maximum over windows; padding never wins; NaN always does.

    The gradient goes to one winner: the first in row-major order, as in PyTorch.

    Args:
        x: ``(batch, *space, channels)`` of floats.
        window, strides: one int for each axis of space.
        padding: (low, high) for each axis of space, each below the window's size.
        ceil_mode: see `pooled_size`.

    Returns:
        ``(batch, *space_out, channels)`` of x's dtype.
    """
    return _slide(x, window, strides, padding, ceil_mode, _larger, -math.inf).astype(x.dtype)


def avg_pool(
    x: jax.Array,
    window: Sequence[int],
    strides: Sequence[int],
    padding: Pairs,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> jax.Array:
    """Mean over windows.

    Args:
        x, window, strides, padding, ceil_mode: as for `max_pool`.
        count_include_pad: divide by the number of elements with the padding's zeros (never with what ``ceil_mode``
            reaches beyond it), rather than by the number of the input's own elements.

    Returns:
        ``(batch, *space_out, channels)`` of x's dtype.
    """
    total = _slide(x, window, strides, padding, ceil_mode, jnp.add, 0.0)
    counts = np.ones((), np.float64)
    for axis, (width, stride, (low, high)) in enumerate(zip(window, strides, padding, strict=True)):
        size = x.shape[axis + 1]
        start = np.arange(total.shape[axis + 1]) * stride - low
        first, last = (-low, size + high) if count_include_pad else (0, size)
        count = np.minimum(start + width, last) - np.maximum(start, first)
        counts = counts[..., None] * count
    if np.all(counts == counts.flat[0]):
        return (total * (1 / float(counts.flat[0]))).astype(x.dtype)
    return (total * jnp.asarray(1 / counts[..., None], total.dtype)).astype(x.dtype)


def adaptive_max_pool(x: jax.Array, sizes: Sequence[int]) -> jax.Array:
    """Maximum over ``sizes[a]`` nearly equal, possibly overlapping stretches of each axis a, as in PyTorch.

    Stretch i of n over a size s is [⌊i s / n⌋, ⌈(i + 1) s / n⌉). Gradients go as in `max_pool`.
    """
    y = widened(x)
    for axis in range(len(sizes), 0, -1):
        parts = [
            functools.reduce(_larger, [lax.slice_in_dim(y, at, at + 1, axis=axis) for at in range(start, stop)])
            for start, stop in _stretches(x.shape[axis], sizes[axis - 1])
        ]
        y = jnp.concatenate(parts, axis)
    return y.astype(x.dtype)


def adaptive_avg_pool(x: jax.Array, sizes: Sequence[int]) -> jax.Array:
    """Mean over the stretches of `adaptive_max_pool`."""
    y = widened(x)
    for axis in range(len(sizes), 0, -1):
        weights = np.zeros((x.shape[axis], sizes[axis - 1]))
        for index, (start, stop) in enumerate(_stretches(x.shape[axis], sizes[axis - 1])):
            weights[start:stop, index] = 1 / (stop - start)
        y = jnp.moveaxis(jnp.tensordot(y, jnp.asarray(weights, y.dtype), (axis, 0)), -1, axis)
    return y.astype(x.dtype)


def _stretches(size: int, outputs: int) -> list[tuple[int, int]]:
    return [(index * size // outputs, -(-(index + 1) * size // outputs)) for index in range(outputs)]


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """The maximum; where equal, a: jnp.maximum would halve the gradient between the two."""
    return jnp.where((b > a) | jnp.isnan(b), b, a)


def _slide(
    x: jax.Array,
    window: Sequence[int],
    strides: Sequence[int],
    padding: Pairs,
    ceil_mode: bool,
    combine: Callable[[jax.Array, jax.Array], jax.Array],
    outside: float,
) -> jax.Array:
    y = widened(x)
    # The last axis first, so that among equals the first in row-major order wins.
    for axis in range(len(window), 0, -1):
        width, stride, (low, high) = window[axis - 1], strides[axis - 1], padding[axis - 1]
        size = y.shape[axis]
        outputs = pooled_size(size, width, stride, low, high, ceil_mode)
        high = max(0, (outputs - 1) * stride + width - low - size)
        if low or high:
            sides = [(low, high, 0) if a == axis else (0, 0, 0) for a in range(y.ndim)]
            y = lax.pad(y, jnp.asarray(outside, y.dtype), sides)
        if width == stride and combine is jnp.add:
            # Windows that do not overlap: one sum, quick to compile however wide they are.
            inside = lax.slice_in_dim(y, 0, outputs * width, axis=axis)
            y = jnp.sum(inside.reshape(*y.shape[:axis], outputs, width, *y.shape[axis + 1 :]), axis + 1)
            continue
        reach = (outputs - 1) * stride + 1
        y = functools.reduce(combine, [lax.slice_in_dim(y, i, i + reach, stride, axis) for i in range(width)])
    return y
