"""Convolutions over one, two or three axes of space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from lamina.errors import ConfigError, ShapeError
from lamina.initializers import HeNormal, Initializer, Zeros
from lamina.kernels.conv import conv, conv_transpose, transposed_size
from lamina.kernels.precision import add_bias
from lamina.layers._checks import check_floating, check_whole
from lamina.layers._windows import (
    PADDINGS,
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

__all__ = ["Conv", "ConvTranspose"]


@dataclass(frozen=True, repr=False)
class Conv(Layer):
    """Convolution: y[p, o] = b[o] + Σ x[p · stride + q · dilation, i] W[q, i, o] over window offsets q and channels i.

    (Strictly a cross-correlation, as everywhere in this field.) The input's rank decides between one, two and three
    dimensions. ``groups`` equal to the input's channels makes it depthwise.

    Source: LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition", Neural Computation
    1:541-551.

    Args:
        filters: number of output channels.
        kernel_size: of the window, an int or one for each axis of space.
        strides: step of the window, an int or one for each axis.
        padding: "SAME" (⌈size / stride⌉ outputs, the odd pixel of padding at the end), "VALID" (none), "CAUSAL" (one
            axis alone: output t sees inputs up to t · stride, none after it; van den Oord et al. 2016, "WaveNet",
            arXiv:1609.03499), an int, or for each axis an int or a pair (low, high).
        dilation: spacing of the window's elements, an int or one for each axis.
        groups: channels are split into this many groups that do not mix; it divides both inputs and ``filters``.
        use_bias: whether b is added.
        kernel_init, bias_init: initial values of W ``(*window, channels / groups, filters)`` and b ``(filters,)``.

    Shapes: ``(batch, *space, channels)`` → ``(batch, *space_out, filters)``,
    space_out = ⌊(size + low + high - (window - 1) dilation - 1) / stride⌋ + 1.

    Masked sequences ``(batch, steps, channels)`` keep their lengths, or what the strides leave of them. Each gives what
    it gives alone: what it was filled up with counts as zeros. Two departures: with strides, "SAME" pads
    ⌊(window - 1) dilation / 2⌋ before the first step, where for arrays it depends on the size; and with "VALID" or
    explicit padding a sequence shorter than the window gives one output.

    Raises:
        ShapeError: where the window does not fit into the input, or the groups do not divide its channels.
    """

    on_masked = "own"

    filters: int
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "SAME"
    dilation: Sizes = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer = HeNormal()
    bias_init: Initializer = Zeros()

    def __post_init__(self) -> None:
        check_whole("Conv", "filters", self.filters)
        check_whole("Conv", "groups", self.groups)
        for name in ("kernel_size", "strides", "dilation"):
            object.__setattr__(self, name, freeze_sizes("Conv", name, getattr(self, name)))
        object.__setattr__(self, "padding", freeze_padding("Conv", self.padding, (*PADDINGS, "CAUSAL")))
        if self.filters % self.groups:
            raise ConfigError(
                f"Conv's groups must divide its filters. Received: filters={self.filters}, groups={self.groups}."
            )

    def window(self) -> tuple[Any, Any, Any]:
        return self.kernel_size, self.strides, self.dilation

    def out_spec(self, in_spec: Spec) -> Spec:
        space = space_of("Conv", in_spec)
        rank = len(space)
        if in_spec.shape[-1] % self.groups:
            raise ShapeError(
                f"Conv splits its input's channels into {self.groups} groups, got {in_spec.shape[-1]} channels."
            )
        window, strides, dilation = self._slide(rank)
        pairs = self.pads(in_spec)
        sizes = slid_size("Conv", space, window, strides, dilation, pairs)
        made = spec((*sizes, self.filters), in_spec.dtype)
        return in_spec.with_values(made) if isinstance(in_spec, Masked) else made

    def _slide(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Window, strides and dilation for each axis of space."""
        window = per_axis("Conv", "kernel_size", self.kernel_size, rank)
        return (
            window,
            per_axis("Conv", "strides", self.strides, rank),
            per_axis("Conv", "dilation", self.dilation, rank),
        )

    def pads(self, in_spec: Spec) -> Pairs:
        """(low, high) of padding for each axis of space of an input, from its spec."""
        space = tuple(in_spec.shape[:-1])
        window, strides, dilation = self._slide(len(space))
        pairs = padding_pairs("Conv", self.padding, space, window, strides, dilation)
        if not isinstance(in_spec, Masked):
            return pairs
        return masked_pairs(self.padding, pairs, space[0], window[0], strides[0], dilation[0])

    def over_masked(self, x: Masked, convolve: Callable[[jax.Array, Pairs], jax.Array]) -> Masked:
        """``convolve(values, padding)`` over masked sequences, with the lengths of its outputs."""
        shape = tuple(x.shape[1:])
        space_of("Conv", Masked(spec(shape, x.dtype), None))
        window, strides, dilation = self._slide(len(shape) - 1)
        pairs = self.pads(Masked(spec(shape, x.dtype), None))
        lengths = masked_lengths(self.padding, x.lengths, pairs[0], window[0], strides[0], dilation[0])
        return Masked(convolve(x.emptied().values, pairs), lengths)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        window = per_axis("Conv", "kernel_size", self.kernel_size, len(in_spec.shape) - 1)
        shape = (*window, in_spec.shape[-1] // self.groups, self.filters)
        return _kernel_and_bias(key, shape, self), {}

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        if isinstance(x, Masked):
            return self.over_masked(x, partial(self._convolve, params)), state
        return self._convolve(params, x), state

    def _convolve(self, params: Params, x: jax.Array, pads: Pairs | None = None) -> jax.Array:
        _check_input(self, params, x, self.groups)
        pads = pads or self.pads(spec(x.shape[1:], x.dtype))
        y = conv(x, params["kernel"].astype(x.dtype), self.strides, pads, self.dilation, self.groups)
        return add_bias(y, params["bias"]) if self.use_bias else y


@dataclass(frozen=True, repr=False)
class ConvTranspose(Layer):
    """Transposed convolution, which upsamples: the adjoint of a Conv's map from space_out back to space.

    y[p · stride + q · dilation, o] = b[o] + Σ over channels i and all such (p, q) of x[p, i] W[q, i, o].

    Source: Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285, chapter 4.

    Args:
        filters: number of output channels.
        kernel_size: of the window, an int or one for each axis of space.
        strides: factor of upsampling, an int or one for each axis.
        padding: "SAME" (size · stride outputs), "VALID" (all of them, and at least size · stride), or what is cut off
            at the ends: an int, or for each axis an int or a pair (low, high), as in PyTorch.
        dilation: spacing of the window's elements, an int or one for each axis.
        use_bias: whether b is added.
        kernel_init, bias_init: initial values of W ``(*window, channels, filters)`` and b ``(filters,)``.

    Shapes: ``(batch, *space, channels)`` → ``(batch, *space_out, filters)``; for explicit padding
    space_out = (size - 1) stride + (window - 1) dilation + 1 - low - high.

    Raises:
        ShapeError: where nothing would be left of the output.
    """

    filters: int
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "SAME"
    dilation: Sizes = 1
    use_bias: bool = True
    kernel_init: Initializer = HeNormal()
    bias_init: Initializer = Zeros()

    def __post_init__(self) -> None:
        check_whole("ConvTranspose", "filters", self.filters)
        for name in ("kernel_size", "strides", "dilation"):
            object.__setattr__(self, name, freeze_sizes("ConvTranspose", name, getattr(self, name)))
        object.__setattr__(self, "padding", freeze_padding("ConvTranspose", self.padding))

    def out_spec(self, in_spec: Spec) -> Spec:
        space = space_of("ConvTranspose", in_spec)
        rank = len(space)
        window = per_axis("ConvTranspose", "kernel_size", self.kernel_size, rank)
        strides = per_axis("ConvTranspose", "strides", self.strides, rank)
        dilation = per_axis("ConvTranspose", "dilation", self.dilation, rank)
        padding_pairs("ConvTranspose", self.padding, space, window, strides, dilation)
        sizes = transposed_size(space, window, strides, self.padding, dilation)
        if min(sizes) < 1:
            raise ShapeError(f"ConvTranspose's padding={self.padding} cuts off all of the output for space {space}.")
        return spec((*sizes, self.filters), in_spec.dtype)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        window = per_axis("ConvTranspose", "kernel_size", self.kernel_size, len(in_spec.shape) - 1)
        return _kernel_and_bias(key, (*window, in_spec.shape[-1], self.filters), self), {}

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        _check_input(self, params, x, 1)
        y = conv_transpose(x, params["kernel"].astype(x.dtype), self.strides, self.padding, self.dilation)
        if self.use_bias:
            y = add_bias(y, params["bias"])
        return y, state


def _kernel_and_bias(key: jax.Array, shape: tuple[int, ...], layer: Conv | ConvTranspose) -> Params:
    kernel_key, bias_key = jax.random.split(key)
    params = {"kernel": layer.kernel_init(kernel_key, shape)}
    if layer.use_bias:
        params["bias"] = layer.bias_init(bias_key, (layer.filters,))
    return params


def _check_input(layer: Conv | ConvTranspose, params: Params, x: jax.Array, groups: int) -> None:
    who = type(layer).__name__
    check_floating(who, x.dtype)
    kernel = params["kernel"]
    if x.ndim != kernel.ndim or x.shape[-1] != kernel.shape[-2] * groups:
        raise ShapeError(
            f"{who} was made for inputs with {kernel.ndim - 2} axes of space and {kernel.shape[-2] * groups} channels "
            f"in the last axis, got shape {tuple(x.shape)}.",
            "Feed it the shape that the network was initialised with.",
        )
