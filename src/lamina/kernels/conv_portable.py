"""Convolution and its two gradients in plain JAX: what runs wherever no kernel of ours does.

Each is one explicit, well-laid-out convolution: inside a loop XLA:CPU keeps the gradients that JAX derives in layouts
for which it has only a slow single-threaded path (jax #12868, #23713).
"""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["data_gradient", "forward", "weight_gradient"]

Pairs: TypeAlias = tuple[tuple[int, int], ...]


def forward(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> jax.Array:
    """Y from (x, kernel)."""
    if _is_product(kernel.shape[:-2], strides, padding, groups):
        return x @ kernel.reshape(kernel.shape[-2:])
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_channels_last(len(strides)),
        feature_group_count=groups,
    )


def data_gradient(
    dy: jax.Array,
    kernel: jax.Array,
    *,
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    size: tuple[int, ...],
) -> jax.Array:
    """Dx ``(batch, *size, channels)`` from (dy, kernel)."""
    rank = len(strides)
    window = kernel.shape[:rank]
    if _is_product(window, strides, padding, groups):
        return dy @ kernel.reshape(kernel.shape[-2:]).T
    per_group, out = kernel.shape[rank:]
    turned = jnp.flip(kernel, tuple(range(rank))).reshape(*window, per_group, groups, out // groups)
    turned = jnp.swapaxes(turned, -1, -3).reshape(*window, out // groups, groups * per_group)
    pads = []
    for n, k, o, s, (lo, _), d in zip(size, window, dy.shape[1:-1], strides, padding, dilation, strict=True):
        reach = (k - 1) * d
        grown = (o - 1) * s + 1
        pads.append((reach - lo, n + lo - grown))
    return lax.conv_general_dilated(
        dy,
        turned,
        (1,) * rank,
        pads,
        lhs_dilation=strides,
        rhs_dilation=dilation,
        dimension_numbers=_channels_last(rank),
        feature_group_count=groups,
    )


def weight_gradient(
    x: jax.Array,
    dy: jax.Array,
    *,
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    window: tuple[int, ...],
) -> jax.Array:
    """Dw ``(*window, in / groups, out)`` from (x, dy)."""
    rank = len(strides)
    if _is_product(window, strides, padding, groups):
        dw = x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
        return dw.reshape(*window, *dw.shape)
    space = tuple(range(1, rank + 1))
    pads = []
    for n, k, o, s, (lo, _), d in zip(x.shape[1:-1], window, dy.shape[1:-1], strides, padding, dilation, strict=True):
        pads.append((lo, (k - 1) * d + (o - 1) * s + 1 - n - lo))
    # Transposed by hand, so that channels play the batch and examples the features of an ordinary convolution.
    dw = lax.conv_general_dilated(
        x.transpose(rank + 1, *space, 0),
        dy.transpose(*space, 0, rank + 1),
        dilation,
        pads,
        rhs_dilation=strides,
        dimension_numbers=_channels_last(rank),
        batch_group_count=groups,
    )
    return dw.transpose(*space, 0, rank + 1)


def _is_product(window: tuple[int, ...], strides: tuple[int, ...], padding: Pairs, groups: int) -> bool:
    """Whether the convolution is a matrix product, for which compilers have more and better kernels."""
    return groups == 1 and set(window) == set(strides) == {1} and not any(map(any, padding))


def _channels_last(rank: int) -> lax.ConvDimensionNumbers:
    space = tuple(range(1, rank + 1))
    kernel = (rank + 1, rank, *range(rank))
    return lax.ConvDimensionNumbers((0, rank + 1, *space), kernel, (0, rank + 1, *space))
