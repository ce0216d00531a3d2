"""Convolution as three bilinear primitives, each the transpose of the other two.

With y = conv(x, w): forward gives y from (x, w), the data gradient dx from (dy, w), the weight gradient dw from
(x, dy). Each is linear in both operands and its transposes are the other two, so that forward and reverse mode, the
gradient of a gradient, vmap, scan and remat follow. Each lowers to one explicit, well-laid-out convolution: inside a
loop XLA:CPU keeps the gradients that JAX derives in layouts for which it has only a slow single-threaded path
(jax #12868, #23713).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lamina.errors import ConfigError, ShapeError

__all__ = ["conv", "conv_transpose", "resolve_padding", "transposed_size"]

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
    step, spacing = _per_axis(strides, rank, "strides"), _per_axis(dilation, rank, "dilation")
    pads = resolve_padding(padding, x.shape[1:-1], kernel.shape[:-2], step, spacing)
    out = _out_size(x.shape[1:-1], kernel.shape[:-2], step, pads, spacing)
    if min(out) < 1:
        raise ShapeError(
            f"the window {kernel.shape[:-2]} with dilation {spacing} does not fit into {x.shape[1:-1]} "
            f"padded by {pads}."
        )
    return _FORWARD.bind(x, kernel, strides=step, padding=pads, dilation=spacing, groups=groups)  # type: ignore[no-any-return]


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
    step, spacing = _per_axis(strides, rank, "strides"), _per_axis(dilation, rank, "dilation")
    window = kernel.shape[:-2]
    size = transposed_size(x.shape[1:-1], window, step, padding, spacing)
    if min(size) < 1:
        raise ShapeError(f"conv_transpose of {x.shape[1:-1]} with padding {padding} leaves no output ({size}).")
    pads = resolve_padding(padding, size, window, step, spacing)
    swapped = jnp.swapaxes(kernel, -1, -2)
    return _DATA_GRADIENT.bind(  # type: ignore[no-any-return]
        x, swapped, strides=step, padding=pads, dilation=spacing, groups=1, size=size
    )


def transposed_size(
    size: Sequence[int], window: Sequence[int], strides: Ints, padding: Padding, dilation: Ints
) -> tuple[int, ...]:
    """Output size of `conv_transpose` along the axes of space."""
    rank = len(size)
    step, spacing = _per_axis(strides, rank, "strides"), _per_axis(dilation, rank, "dilation")
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


def _per_axis(value: Ints, rank: int, name: str) -> tuple[int, ...]:
    values = (value,) * rank if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) != rank or min(values) < 1:
        raise ConfigError(f"{name} needs one positive int for each of {rank} axes. Received: {name}={value!r}.")
    return values


def _out_size(
    size: Sequence[int], window: Sequence[int], strides: Sequence[int], padding: Pairs, dilation: Sequence[int]
) -> tuple[int, ...]:
    axes = zip(size, window, strides, padding, dilation, strict=True)
    return tuple((n + lo + hi - (k - 1) * d - 1) // s + 1 for n, k, s, (lo, hi), d in axes)


def _channels_last(rank: int) -> lax.ConvDimensionNumbers:
    space = tuple(range(1, rank + 1))
    kernel = (rank + 1, rank, *range(rank))
    return lax.ConvDimensionNumbers((0, rank + 1, *space), kernel, (0, rank + 1, *space))


def _forward(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_channels_last(len(strides)),
        feature_group_count=groups,
    )


def _data_gradient(
    dy: jax.Array,
    kernel: jax.Array,
    *,
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    size: tuple[int, ...],
) -> jax.Array:
    rank = len(strides)
    window = kernel.shape[:rank]
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


def _weight_gradient(
    x: jax.Array,
    dy: jax.Array,
    *,
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    window: tuple[int, ...],
) -> jax.Array:
    rank = len(strides)
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


def _forward_shape(x: Any, kernel: Any, *, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    out = _out_size(x.shape[1:-1], kernel.shape[:-2], strides, padding, dilation)
    return jax.core.ShapedArray((x.shape[0], *out, kernel.shape[-1]), x.dtype)


def _data_shape(dy: Any, kernel: Any, *, size: tuple[int, ...], groups: int, **_: Any) -> Any:
    return jax.core.ShapedArray((dy.shape[0], *size, kernel.shape[-2] * groups), dy.dtype)


def _weight_shape(x: Any, dy: Any, *, window: tuple[int, ...], groups: int, **_: Any) -> Any:
    return jax.core.ShapedArray((*window, x.shape[-1] // groups, dy.shape[-1]), x.dtype)


def _primitive(
    name: str, portable: Callable[..., jax.Array], shape: Callable[..., Any], static: tuple[str, ...], folds: bool
) -> Primitive:
    """A primitive that lowers to ``portable``. ``folds``: a batch of first operands alone folds into its batch."""
    primitive = Primitive(name)
    primitive.def_abstract_eval(shape)
    primitive.def_impl(jax.jit(portable, static_argnames=static))
    mlir.register_lowering(primitive, mlir.lower_fun(portable, multiple_results=False))

    def batch(operands: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple[Any, int]:
        a, b = operands
        if folds and dims[1] is None:
            a = jnp.moveaxis(a, dims[0], 0)
            out = primitive.bind(a.reshape(-1, *a.shape[2:]), b, **params)
            return out.reshape(a.shape[0], a.shape[1], *out.shape[1:]), 0

        # One after the other: XLA:CPU has no fast grouped convolution to fold two batched operands into.
        def one(index: jax.Array) -> Any:
            parts = [
                value if dim is None else lax.dynamic_index_in_dim(value, index, dim, keepdims=False)
                for value, dim in zip((a, b), dims, strict=True)
            ]
            return primitive.bind(*parts, **params)

        (count,) = {value.shape[dim] for value, dim in zip((a, b), dims, strict=True) if dim is not None}
        return lax.map(one, jnp.arange(count)), 0

    batching.primitive_batchers[primitive] = batch
    return primitive


_STATIC = ("strides", "padding", "dilation", "groups")
_FORWARD = _primitive("lamina_conv", _forward, _forward_shape, _STATIC, folds=True)
_DATA_GRADIENT = _primitive("lamina_conv_data_gradient", _data_gradient, _data_shape, (*_STATIC, "size"), folds=True)
_WEIGHT_GRADIENT = _primitive(
    "lamina_conv_weight_gradient", _weight_gradient, _weight_shape, (*_STATIC, "window"), folds=False
)


def _space(value: Any) -> tuple[int, ...]:
    return tuple(value.aval.shape[1:-1])


def _window(value: Any) -> tuple[int, ...]:
    return tuple(value.aval.shape[:-2])


def _without(params: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key != name}


ad.defbilinear(
    _FORWARD,
    lambda ct, x, w, **k: _DATA_GRADIENT.bind(ct, w, size=_space(x), **k),
    lambda ct, x, w, **k: _WEIGHT_GRADIENT.bind(x, ct, window=_window(w), **k),
)
ad.defbilinear(
    _DATA_GRADIENT,
    lambda ct, dy, w, **k: _FORWARD.bind(ct, w, **_without(k, "size")),
    lambda ct, dy, w, **k: _WEIGHT_GRADIENT.bind(ct, dy, window=_window(w), **_without(k, "size")),
)
ad.defbilinear(
    _WEIGHT_GRADIENT,
    lambda ct, x, dy, **k: _DATA_GRADIENT.bind(dy, ct, size=_space(x), **_without(k, "window")),
    lambda ct, x, dy, **k: _FORWARD.bind(x, ct, **_without(k, "window")),
)
