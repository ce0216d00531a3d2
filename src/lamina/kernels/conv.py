"""Convolution and transposed convolution, checked and with their sizes worked out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError
from lamina.kernels.conv_primitive import DATA_GRADIENT, FORWARD, out_size

__all__ = ["Ints", "Padding", "conv", "conv_transpose", "per_axis", "resolve_padding", "transposed_size"]

Pairs: TypeAlias = tuple[tuple[int, int], ...]
Ints: TypeAlias = int | Sequence[int]
Padding: TypeAlias = str | int | Sequence[int | tuple[int, int]]


def conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: Ints = 1,
    padding: Padding = "SAME",
    dilation: Ints = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolution (cross-correlation) over the axes between the first and the last.

    y[n, p, o] = sum over window offsets q and channels i of x[n, p * stride + q * dilation - pad, i] * kernel[q, i, o]

    Args:
        x: ``(batch, *space, channels_in)``, one to three axes of space.
        kernel: ``(*window, channels_in / groups, channels_out)``, of x's dtype.
        strides: step of the window, an int or one per axis.
        padding: "SAME" (output size = ceil(size / stride)), "VALID" (none), an int, or per axis an int or a
            (low, high) pair.
        dilation: spacing of the window's taps, an int or one per axis.
        groups: channels are split into this many groups that do not mix; ``channels_in`` makes it depthwise.

    Returns:
        ``(batch, *space_out, channels_out)``.

    Raises:
        ShapeError: where ranks, channels or groups do not fit, or the window is larger than the padded input.
    """
    rank = x.ndim - 2
    if rank < 1 or kernel.ndim != x.ndim:
        raise ShapeError(
            f"conv expects x (batch, *space, channels) and a kernel (*window, in, out) of the same rank, "
            f"got {x.shape} and {kernel.shape}."
        )
    if x.dtype != kernel.dtype:
        raise ShapeError(f"conv expects x and kernel of one dtype, got {x.dtype} and {kernel.dtype}.")
    if groups < 1 or kernel.shape[-2] * groups != x.shape[-1] or kernel.shape[-1] % groups:
        raise ShapeError(
            f"conv with groups={groups} expects a kernel with {x.shape[-1]} / {groups} input channels and a multiple "
            f"of {groups} output channels, got x {x.shape} and kernel {kernel.shape}."
        )
    step, spacing = per_axis(strides, rank, "strides"), per_axis(dilation, rank, "dilation")
    pads = resolve_padding(padding, x.shape[1:-1], kernel.shape[:-2], step, spacing)
    out = out_size(x.shape[1:-1], kernel.shape[:-2], step, pads, spacing)
    if min(out) < 1:
        raise ShapeError(
            f"the window {kernel.shape[:-2]} with dilation {spacing} does not fit into {x.shape[1:-1]} "
            f"padded by {pads}."
        )
    return FORWARD.bind(x, kernel, strides=step, padding=pads, dilation=spacing, groups=groups)  # type: ignore[no-any-return]


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    strides: Ints = 1,
    padding: Padding = "SAME",
    dilation: Ints = 1,
) -> jax.Array:
    """Transposed convolution: the gradient of a strided convolution with respect to its input, used to upsample.

    Source: Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285, chapter 4.

    Args:
        x: ``(batch, *space, channels_in)``.
        kernel: ``(*window, channels_in, channels_out)``.
        strides: factor of upsampling.
        padding: "SAME" (output size = size * stride), "VALID" (size * stride + max(window - stride, 0)), or explicit
            (low, high) pairs that are cut off: (size - 1) * stride + window - low - high.
        dilation: spacing of the window's taps.

    Returns:
        ``(batch, *space_out, channels_out)``.
    """
    rank = x.ndim - 2
    if rank < 1 or kernel.ndim != x.ndim or kernel.shape[-2] != x.shape[-1] or x.dtype != kernel.dtype:
        raise ShapeError(
            f"conv_transpose expects x (batch, *space, channels) and a kernel (*window, channels, out) of its rank "
            f"and dtype, got {x.shape} {x.dtype} and {kernel.shape} {kernel.dtype}."
        )
    step, spacing = per_axis(strides, rank, "strides"), per_axis(dilation, rank, "dilation")
    window = kernel.shape[:-2]
    size = transposed_size(x.shape[1:-1], window, step, padding, spacing)
    if min(size) < 1:
        raise ShapeError(f"conv_transpose of {x.shape[1:-1]} with padding {padding} leaves no output ({size}).")
    pads = resolve_padding(padding, size, window, step, spacing)
    swapped = jnp.swapaxes(kernel, -1, -2)
    return DATA_GRADIENT.bind(  # type: ignore[no-any-return]
        x, swapped, strides=step, padding=pads, dilation=spacing, groups=1, size=size
    )


def transposed_size(
    size: Sequence[int], window: Sequence[int], strides: Ints, padding: Padding, dilation: Ints
) -> tuple[int, ...]:
    """Output size of `conv_transpose` along the axes of space."""
    rank = len(size)
    step, spacing = per_axis(strides, rank, "strides"), per_axis(dilation, rank, "dilation")
    reach = [(k - 1) * d + 1 for k, d in zip(window, spacing, strict=True)]
    if padding == "SAME":
        return tuple(n * s for n, s in zip(size, step, strict=True))
    if padding == "VALID":
        return tuple(n * s + max(r - s, 0) for n, s, r in zip(size, step, reach, strict=True))
    pads = resolve_padding(padding, size, window, step, spacing)
    return tuple((n - 1) * s + r - lo - hi for n, s, r, (lo, hi) in zip(size, step, reach, pads, strict=True))


def resolve_padding(
    padding: Padding, size: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Pairs:
    """Padding as (low, high) pairs, one per axis of space."""
    rank = len(size)
    if isinstance(padding, str):
        word = padding.upper()
        if word == "VALID":
            return ((0, 0),) * rank
        if word != "SAME":
            raise ConfigError(f"padding is 'SAME', 'VALID', an int or pairs of ints. Received: padding={padding!r}.")
        pairs = []
        for n, k, s, d in zip(size, window, strides, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            pairs.append((total // 2, total - total // 2))
        return tuple(pairs)
    values = (padding,) * rank if isinstance(padding, int) else tuple(padding)
    both = tuple((v, v) if isinstance(v, int) else tuple(v) for v in values)
    if len(both) != rank or any(len(pair) != 2 or min(pair) < 0 for pair in both):
        raise ConfigError(
            f"padding needs one non-negative int or (low, high) pair for each of {rank} axes. "
            f"Received: padding={padding!r}."
        )
    return tuple((int(pair[0]), int(pair[1])) for pair in both)


def per_axis(value: Ints, rank: int, name: str) -> tuple[int, ...]:
    """A size for each axis of space."""
    values = (value,) * rank if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) != rank or min(values) < 1:
        raise ConfigError(f"{name} needs one positive int for each of {rank} axes. Received: {name}={value!r}.")
    return values
