"""Pooling: each channel is made smaller by its maximum or mean over windows of space."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lamina.errors import ShapeError
from lamina.kernels import pooling
from lamina.kernels.precision import widened
from lamina.layers._windows import (
    Padding,
    Pairs,
    Sizes,
    freeze_padding,
    freeze_sizes,
    masked_lengths,
    masked_pairs,
    padding_pairs,
    per_axis,
    slid_size,
    space_of,
)
from lamina.layers.base import Context, Layer, Params, Spec, State, spec
from lamina.layers.masked import Masked

__all__ = ["AdaptiveAvgPool", "AdaptiveMaxPool", "AvgPool", "GlobalAvgPool", "GlobalMaxPool", "MaxPool"]


@dataclass(frozen=True, repr=False)
class _Pool(Layer):
    pool_size: Sizes
    strides: Sizes | None = None
    padding: Padding = "VALID"
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        who = type(self).__name__
        object.__setattr__(self, "pool_size", freeze_sizes(who, "pool_size", self.pool_size))
        if self.strides is not None:
            object.__setattr__(self, "strides", freeze_sizes(who, "strides", self.strides))
        object.__setattr__(self, "padding", freeze_padding(who, self.padding))

    def window(self) -> tuple[Any, Any, Any]:
        return self.pool_size, self.pool_size if self.strides is None else self.strides, 1

    on_masked = "own"

    def _plan(self, space: tuple[int, ...], masked: bool = False) -> tuple[tuple[int, ...], tuple[int, ...], Pairs]:
        """Window, strides and padding for each axis of space."""
        who = type(self).__name__
        size, step, _ = self.window()
        window = per_axis(who, "pool_size", size, len(space))
        strides = per_axis(who, "strides", step, len(space))
        pairs = padding_pairs(who, self.padding, space, window, strides, (1,) * len(space))
        if masked:
            pairs = masked_pairs(self.padding, pairs, space[0], window[0], strides[0], 1)
        for width, pair in zip(window, pairs, strict=True):
            if max(pair) >= width:
                raise ShapeError(f"{who}'s padding must be smaller than its window of {width}, got {pair}.")
        return window, strides, pairs

    def out_spec(self, in_spec: Spec) -> Spec:
        who = type(self).__name__
        space = space_of(who, in_spec)
        window, strides, pairs = self._plan(space, isinstance(in_spec, Masked))
        slid_size(who, space, window, strides, (1,) * len(space), pairs)
        sizes = [
            pooling.pooled_size(size, width, stride, low, high, self.ceil_mode)
            for size, width, stride, (low, high) in zip(space, window, strides, pairs, strict=True)
        ]
        made = spec((*sizes, in_spec.shape[-1]), in_spec.dtype)
        return in_spec.with_values(made) if isinstance(in_spec, Masked) else made

    def _over_masked(self, x: Masked, pool: Callable[..., jax.Array], fill: float) -> Masked:
        """``pool(values, window, strides, pairs)`` over masked sequences filled up with ``fill``."""
        who = type(self).__name__
        space = space_of(who, Masked(spec(tuple(x.shape[1:]), x.dtype), None))
        if self.ceil_mode:
            raise ShapeError(f"{who} with ceil_mode takes no sequences of unequal length.", "Use padding='SAME'.")
        window, strides, pairs = self._plan(space, masked=True)
        lengths = masked_lengths(self.padding, x.lengths, pairs[0], window[0], strides[0], 1)
        return Masked(pool(x.emptied(fill).values, window, strides, pairs), lengths).emptied()


@dataclass(frozen=True, repr=False)
class MaxPool(_Pool):
    """y = the maximum of each channel over each window. Padding never wins.

    The gradient goes to the window's largest element; among equals to the first in row-major order, as in PyTorch.

    Source: Riesenhuber & Poggio 1999, "Hierarchical models of object recognition in cortex", Nature Neuroscience
    2:1019-1025.

    Args:
        pool_size: size of the window, an int or one for each axis of space.
        strides: step of the window, an int or one for each axis; None: the window's size.
        padding: "VALID" (none), "SAME" (⌈size / stride⌉ outputs), an int, or for each axis an int or a pair
            (low, high); smaller than the window.
        ceil_mode: also keep a last window that reaches beyond the input, as in PyTorch.

    Shapes: ``(batch, *space, channels)`` with one to three axes of space → ``(batch, *space_out, channels)``,
    space_out = ⌊(size + low + high - window) / stride⌋ + 1, or ⌈…⌉ with ``ceil_mode``. Masked sequences
    ``(batch, steps, channels)`` are pooled over their own steps alone, and each gets the length of its output; padding
    and sequences shorter than the window are as in `Conv`.

    Raises:
        ShapeError: where the window does not fit into the input; for masked sequences with ``ceil_mode``.
    """

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        if isinstance(x, Masked):
            return self._over_masked(x, pooling.max_pool, -math.inf), state
        return pooling.max_pool(x, *self._plan(x.shape[1:-1]), self.ceil_mode), state


@dataclass(frozen=True, repr=False)
class AvgPool(_Pool):
    """y = the mean of each channel over each window.

    Source: LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition", Neural Computation
    1:541-551.
    Departure from PyTorch: padding does not count by default (as in Keras); say ``count_include_pad=True`` for
    PyTorch's default.

    Args:
        pool_size, strides, padding, ceil_mode: as for `MaxPool`.
        count_include_pad: padding counts as zeros, rather than not at all. What ``ceil_mode`` reaches beyond the
            padding never counts.

    Shapes: as for `MaxPool`, masked sequences too.

    Raises:
        ShapeError: where the window does not fit into the input; for masked sequences with ``ceil_mode`` or
            ``count_include_pad``.
    """

    count_include_pad: bool = False

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        if isinstance(x, Masked):
            if self.count_include_pad:
                raise ShapeError("AvgPool with count_include_pad takes no sequences of unequal length.")

            def mean(values: jax.Array, *plan: Any) -> jax.Array:
                inside = x.mask()[..., None].astype(widened(values).dtype)
                real = jnp.maximum(pooling.avg_pool(inside, *plan), 1 / plan[0][0])
                return (widened(pooling.avg_pool(values, *plan)) / real).astype(values.dtype)

            return self._over_masked(x, mean, 0.0), state
        plan = self._plan(x.shape[1:-1])
        return pooling.avg_pool(x, *plan, self.ceil_mode, self.count_include_pad), state


@dataclass(frozen=True, repr=False)
class _AdaptivePool(Layer):
    output_size: Sizes

    def __post_init__(self) -> None:
        sizes = freeze_sizes(type(self).__name__, "output_size", self.output_size)
        object.__setattr__(self, "output_size", sizes)

    def _sizes(self, rank: int) -> tuple[int, ...]:
        return per_axis(type(self).__name__, "output_size", self.output_size, rank)

    def out_spec(self, in_spec: Spec) -> Spec:
        space = space_of(type(self).__name__, in_spec)
        _check_not_empty(self, space)
        return spec((*self._sizes(len(space)), in_spec.shape[-1]), in_spec.dtype)


@dataclass(frozen=True, repr=False)
class AdaptiveMaxPool(_AdaptivePool):
    """Maximum over windows chosen so that the output has a given size, whatever the input's.

    Output i of n over a size s is the maximum over positions ⌊i s / n⌋ to ⌈(i + 1) s / n⌉ - 1, as in PyTorch.

    Args:
        output_size: an int or one for each axis of space.

    Shapes: ``(batch, *space, channels)`` → ``(batch, *output_size, channels)``.
    """

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        return pooling.adaptive_max_pool(x, self._sizes(x.ndim - 2)), state


@dataclass(frozen=True, repr=False)
class AdaptiveAvgPool(_AdaptivePool):
    """Mean over windows chosen so that the output has a given size, whatever the input's.

    Output i of n over a size s is the mean over positions ⌊i s / n⌋ to ⌈(i + 1) s / n⌉ - 1, as in PyTorch.

    Args:
        output_size: an int or one for each axis of space.

    Shapes: ``(batch, *space, channels)`` → ``(batch, *output_size, channels)``.
    """

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        return pooling.adaptive_avg_pool(x, self._sizes(x.ndim - 2)), state


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(Layer):
    """y = the mean of each channel over all of space.

    Source: Lin, Chen & Yan 2014, "Network in network", arXiv:1312.4400.

    Shapes: ``(batch, *space, channels)`` with one to three axes of space → ``(batch, channels)``. Of masked sequences
    ``(batch, steps, channels)`` the mean over each one's own steps.
    """

    on_masked = "own"

    def out_spec(self, in_spec: Spec) -> Spec:
        _check_not_empty(self, space_of("GlobalAvgPool", in_spec))
        return spec(in_spec.shape[-1:], in_spec.dtype)

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[jax.Array, State]:
        if isinstance(x, Masked):
            _check_steps(self, x)
            total = jnp.sum(widened(x.emptied().values), axis=1)
            return (total / jnp.maximum(x.lengths, 1)[:, None].astype(total.dtype)).astype(x.dtype), state
        # jnp.mean adds half precision up in float32.
        return jnp.mean(x, axis=tuple(range(1, x.ndim - 1))), state


@dataclass(frozen=True, repr=False)
class GlobalMaxPool(Layer):
    """y = the maximum of each channel over all of space. Equal maxima share the gradient evenly.

    Shapes: ``(batch, *space, channels)`` with one to three axes of space → ``(batch, channels)``. Of masked sequences
    ``(batch, steps, channels)`` the maximum over each one's own steps.
    """

    on_masked = "own"

    def out_spec(self, in_spec: Spec) -> Spec:
        _check_not_empty(self, space_of("GlobalMaxPool", in_spec))
        return spec(in_spec.shape[-1:], in_spec.dtype)

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[jax.Array, State]:
        if isinstance(x, Masked):
            _check_steps(self, x)
            return jnp.max(x.emptied(-math.inf).values, axis=1), state
        return jnp.max(x, axis=tuple(range(1, x.ndim - 1))), state


def _check_steps(owner: Layer, x: Masked) -> None:
    space_of(type(owner).__name__, Masked(spec(tuple(x.shape[1:]), x.dtype), None))


def _check_not_empty(owner: Layer, space: tuple[int, ...]) -> None:
    if 0 in space:
        raise ShapeError(f"{type(owner).__name__} cannot pool over nothing: its input's space is {space}.")
