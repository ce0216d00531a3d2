"""Batch normalisation, what often follows it, and the gradient: kernels of ours on a CPU, plain JAX elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.interpreters import ad

from lamina.kernels import native
from lamina.kernels.differentiable import Arrays, primitive
from lamina.kernels.precision import widened

__all__ = ["batch_norm", "plan"]

_SMALLEST = 1 << 14  # numbers; below, XLA fuses it into its neighbours and is done sooner
_AFTER = ("nothing", "relu", "sum and relu")  # by the library's numbers
_STATIC = ("epsilon", "after", "bound")


def batch_norm(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
    *,
    bound: float | None = None,
    added: jax.Array | None = None,
) -> Arrays:
    """Normalise each channel over all axes but the last: y = (x - mean) · scale / √(var + epsilon) + bias.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.

    Args:
        x: ``(batch, ..., channels)``, not empty.
        scale, bias: ``(channels,)``, float32 (float64 for a float64 x).
        epsilon: above 0.
        bound: y is min(max(that, 0), bound), ReLU with infinity and ReLU6 with 6; its gradient at both ends is 0.
        added: an array like x that is added before ReLU; only with a ``bound``.

    Returns:
        y in x's dtype, and the batch's mean and biased variance ``(channels,)`` in scale's dtype.
    """
    more = () if added is None else (added,)
    after = "nothing" if bound is None else _AFTER[1 + len(more)]
    static = {"epsilon": float(epsilon), "after": after, "bound": math.inf if bound is None else float(bound)}
    y, mean, var = _FORWARD.bind(x, scale, bias, *more, **static)
    return y, mean, var


def _axes(x: jax.Array) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))


def _forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, *added: jax.Array, epsilon: float, after: str, bound: float
) -> Arrays:
    """In one pass over x for both moments.

    The mean of squares loses its digits where the mean is large against the spread; any value of the channel taken
    off first prevents it.
    """
    wide = widened(x)
    shift = wide[(0,) * (x.ndim - 1)]
    shifted = wide - shift
    first = jnp.mean(shifted, _axes(x))
    var = jnp.maximum(jnp.mean(jnp.square(shifted), _axes(x)) - jnp.square(first), 0)
    mean = first + shift
    y = (wide - mean) * (scale * lax.rsqrt(var + epsilon)) + bias
    for more in added:
        y = y + widened(more)
    y = y if after == "nothing" else jnp.clip(y, 0, bound)
    return y.astype(x.dtype), mean, var


def _linear(
    dx: jax.Array,
    d_scale: jax.Array,
    d_bias: jax.Array,
    *others: jax.Array,
    epsilon: float,
    after: str,
    bound: float,
) -> Arrays:
    """Tangents of y, mean and var from those of x, scale, bias and what is added.

    Args:
        others: the tangent of what is added, if anything is; then x, scale, bias, mean, var and, with ReLU, y.
    """
    count = after == "sum and relu"
    x, scale, _, mean, var, *y = others[count:]
    inverse = lax.rsqrt(var + epsilon)
    unit, wide = (widened(x) - mean) * inverse, widened(dx)
    d_mean, d_unit = jnp.mean(wide, _axes(x)), jnp.mean(unit * wide, _axes(x))
    gain = scale * inverse
    dy = gain * wide + unit * (d_scale - gain * d_unit) + (d_bias - gain * d_mean)
    for more in others[:count]:
        dy = dy + widened(more)
    return _passed(dy, y, bound).astype(x.dtype), d_mean, 2 * d_unit / inverse


def _backward(
    dy: jax.Array,
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    *y: jax.Array,
    epsilon: float,
    after: str,
    bound: float,
) -> Arrays:
    """Gradients of x, scale and bias, and of what is added, if anything is, from that of y."""
    inverse = lax.rsqrt(var + epsilon)
    unit, wide = (widened(x) - mean) * inverse, _passed(widened(dy), y, bound)
    d_bias, d_scale = jnp.sum(wide, _axes(x)), jnp.sum(unit * wide, _axes(x))
    rows = math.prod(x.shape[:-1])
    dx = scale * inverse * (wide - d_bias / rows - unit * (d_scale / rows))
    return dx.astype(x.dtype), d_scale, d_bias, *((wide.astype(x.dtype),) if after == "sum and relu" else ())


def _passed(d: jax.Array, y: Sequence[jax.Array], bound: float) -> jax.Array:
    """What ReLU lets through: all without one."""
    return jnp.where((y[0] > 0) & (y[0] < bound), d, 0) if y else d


def plan(x: Any, after: str) -> tuple[native.Plan, tuple[int, ...]]:
    """The kernel for an array ``(batch, ..., channels)`` and the description that it is called with."""
    size, dtype = math.prod(x.shape), jnp.dtype(x.dtype).name
    if dtype not in native.TYPES:
        return native.Plan(-1, f"{dtype} is computed by XLA's own kernels"), ()
    if size < _SMALLEST:
        return native.Plan(-1, "XLA is faster with so few numbers"), ()
    channels = x.shape[-1]
    values = (native.TYPES[dtype], native.threads(), _AFTER.index(after), size // channels, channels)
    return native.plan("batch_norm", 0, values), values


def _forward_on_cpu(x: jax.Array, *others: jax.Array, after: str, **static: Any) -> Arrays:
    found, shape = plan(x, after)
    if found.scratch < 0:
        return _forward(x, *others, after=after, **static)
    scale, bias, added, *_ = *others, x  # x stands where nothing is added
    channel = jax.ShapeDtypeStruct(x.shape[-1:], jnp.float32)
    results = (jax.ShapeDtypeStruct(x.shape, x.dtype), channel, channel)
    return _call("forward", results, (x, scale, bias, added), found, shape, static)


def _backward_on_cpu(dy: jax.Array, x: jax.Array, *others: jax.Array, after: str, **static: Any) -> Arrays:
    found, shape = plan(x, after)
    if found.scratch < 0:
        return _backward(dy, x, *others, after=after, **static)
    sums = after == "sum and relu"
    y = others[4] if sums else dy  # without a sum it is not read: where ReLU cuts off follows from x
    channel, whole = jax.ShapeDtypeStruct(x.shape[-1:], jnp.float32), jax.ShapeDtypeStruct(x.shape, x.dtype)
    results = (whole, channel, channel, whole if sums else jax.ShapeDtypeStruct((0,), x.dtype))
    return _call("backward", results, (dy, x, *others[:4], y), found, shape, static)[: 3 + sums]


def _call(
    direction: str,
    results: Sequence[Any],
    operands: Arrays,
    found: native.Plan,
    shape: Sequence[int],
    static: dict[str, Any],
) -> Arrays:
    attributes = {"shape": np.asarray(shape, np.int64)} | {name: np.float32(value) for name, value in static.items()}
    return tuple(native.call(f"lamina_batch_norm_{direction}", results, operands, found.scratch, **attributes))


_FORWARD = primitive("lamina_batch_norm", _forward, _STATIC, on_cpu=_forward_on_cpu)
_LINEAR = primitive("lamina_batch_norm_linear", _linear, _STATIC)
_BACKWARD = primitive("lamina_batch_norm_gradient", _backward, _STATIC, on_cpu=_backward_on_cpu)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **static: Any) -> tuple[Any, Any]:
    x, scale, bias, *_ = primals
    y, mean, var = _FORWARD.bind(*primals, **static)
    dots = map(ad.instantiate_zeros, tangents)
    kept = () if static["after"] == "nothing" else (y,)
    return (y, mean, var), _LINEAR.bind(*dots, x, scale, bias, mean, var, *kept, **static)


def _transpose(gradients: Sequence[Any], *operands: Any, **static: Any) -> list[Any]:
    count = 3 + (static["after"] == "sum and relu")
    x, scale, bias, mean, var, *y = operands[count:]
    dy, d_mean, d_var = gradients
    if isinstance(dy, ad.Zero):
        dy = jnp.zeros(x.shape, x.dtype)
    dx, *others = _BACKWARD.bind(dy, x, scale, bias, mean, var, *y, **static)
    # Of the statistics themselves, which hardly anybody differentiates.
    rows = math.prod(x.shape[:-1])
    if not isinstance(d_mean, ad.Zero):
        dx = dx + (d_mean / rows).astype(dx.dtype)
    if not isinstance(d_var, ad.Zero):
        dx = dx + (2 / rows * d_var * (widened(x) - mean)).astype(dx.dtype)
    return [dx, *others] + [None] * (len(operands) - count)


ad.primitive_jvps[_FORWARD] = _jvp
ad.primitive_transposes[_LINEAR] = _transpose
