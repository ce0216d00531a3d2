"""Batch normalisation and its gradient: kernels of ours on a CPU, plain JAX elsewhere.

Three primitives: the normalisation, its linear part (a tangent to a tangent) and the transpose of that (the gradient).
The first and the last have kernels; every derivative beyond them is JAX's own, of the plain form.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lamina.kernels import native
from lamina.kernels.precision import widened

__all__ = ["batch_norm"]

Arrays: TypeAlias = tuple[jax.Array, ...]

_SMALLEST = 1 << 14  # numbers; below, XLA fuses it into its neighbours and is done sooner


def batch_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> Arrays:
    """Normalise each channel over all axes but the last: y = (x - mean) · scale / √(var + epsilon) + bias.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.

    Args:
        x: ``(batch, ..., channels)``, not empty.
        scale, bias: ``(channels,)``, float32 (float64 for a float64 x).
        epsilon: above 0.

    Returns:
        y in x's dtype, and the batch's mean and biased variance ``(channels,)`` in scale's dtype.
    """
    y, mean, var = _FORWARD.bind(x, scale, bias, epsilon=float(epsilon))
    return y, mean, var


def _axes(x: jax.Array) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, *, epsilon: float) -> Arrays:
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
    return y.astype(x.dtype), mean, var


def _linear(
    dx: jax.Array,
    d_scale: jax.Array,
    d_bias: jax.Array,
    x: jax.Array,
    scale: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    *,
    epsilon: float,
) -> Arrays:
    """Tangents of y, mean and var from those of x, scale and bias."""
    inverse = lax.rsqrt(var + epsilon)
    unit, wide = (widened(x) - mean) * inverse, widened(dx)
    d_mean, d_unit = jnp.mean(wide, _axes(x)), jnp.mean(unit * wide, _axes(x))
    gain = scale * inverse
    dy = gain * wide + unit * (d_scale - gain * d_unit) + (d_bias - gain * d_mean)
    return dy.astype(x.dtype), d_mean, 2 * d_unit / inverse


def _backward(
    dy: jax.Array, x: jax.Array, scale: jax.Array, mean: jax.Array, var: jax.Array, *, epsilon: float
) -> Arrays:
    """Gradients of x, scale and bias from that of y."""
    inverse = lax.rsqrt(var + epsilon)
    unit, wide = (widened(x) - mean) * inverse, widened(dy)
    d_bias, d_scale = jnp.sum(wide, _axes(x)), jnp.sum(unit * wide, _axes(x))
    rows = math.prod(x.shape[:-1])
    dx = scale * inverse * (wide - d_bias / rows - unit * (d_scale / rows))
    return dx.astype(x.dtype), d_scale, d_bias


def _plan(x: Any) -> tuple[int, np.ndarray] | None:
    """Scratch memory and description for the kernels, or None where there are none."""
    size = math.prod(x.shape)
    if native.native().library is None or jnp.dtype(x.dtype).name not in native.TYPES or size < _SMALLEST:
        return None
    channels = x.shape[-1]
    slices = native.threads()
    values = (native.TYPES[jnp.dtype(x.dtype).name], slices, size // channels, channels)
    lines = [slices * 2 * channels * 8, slices * 2 * channels * 4, *[channels * 4] * 4]
    return sum(-(-line // 64) * 64 for line in lines), np.asarray(values, np.int64)


def _on_cpu(target: str, portable: Callable[..., Arrays]) -> Callable[..., Arrays]:
    def run(*operands: jax.Array, epsilon: float) -> Arrays:
        found = _plan(operands[0])
        if found is None:
            return portable(*operands, epsilon=epsilon)
        scratch, shape = found
        x = operands[0]
        channel = jax.ShapeDtypeStruct(x.shape[-1:], jnp.float32)
        results = (jax.ShapeDtypeStruct(x.shape, x.dtype), channel, channel)
        return native.call(target, results, operands, scratch, shape=shape, epsilon=np.float32(epsilon))  # type: ignore[no-any-return]

    return run


def _abstract(portable: Callable[..., Arrays]) -> Callable[..., Any]:
    def shapes(*operands: Any, epsilon: float) -> Any:
        specs = [jax.ShapeDtypeStruct(operand.shape, operand.dtype) for operand in operands]
        made = jax.eval_shape(functools.partial(portable, epsilon=epsilon), *specs)
        return [jax.core.ShapedArray(one.shape, one.dtype) for one in made]

    return shapes


def _primitive(name: str, portable: Callable[..., Arrays], target: str = "") -> Primitive:
    """A primitive that is computed by ``portable``, or on a CPU by a kernel."""
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_abstract_eval(_abstract(portable))
    primitive.def_impl(jax.jit(primitive.bind, static_argnames="epsilon"))
    mlir.register_lowering(primitive, mlir.lower_fun(portable, multiple_results=True))
    if target:
        mlir.register_lowering(
            primitive, mlir.lower_fun(_on_cpu(target, portable), multiple_results=True), platform="cpu"
        )

    def batch(operands: Sequence[Any], dims: Sequence[Any], epsilon: float) -> tuple[Any, Any]:
        made = jax.vmap(functools.partial(portable, epsilon=epsilon), tuple(dims))(*operands)
        return made, [0] * len(made)

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], epsilon: float) -> tuple[Any, Any]:
        return jax.jvp(
            functools.partial(portable, epsilon=epsilon), tuple(primals), tuple(map(ad.instantiate_zeros, tangents))
        )

    batching.primitive_batchers[primitive] = batch
    ad.primitive_jvps[primitive] = jvp
    return primitive


_FORWARD = _primitive("lamina_batch_norm", _forward, "lamina_batch_norm_forward")
_LINEAR = _primitive("lamina_batch_norm_linear", _linear)
_BACKWARD = _primitive("lamina_batch_norm_gradient", _backward, "lamina_batch_norm_backward")


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], epsilon: float) -> tuple[Any, Any]:
    x, scale, bias = primals
    y, mean, var = _FORWARD.bind(x, scale, bias, epsilon=epsilon)
    dots = map(ad.instantiate_zeros, tangents)
    return (y, mean, var), _LINEAR.bind(*dots, x, scale, mean, var, epsilon=epsilon)


def _transpose(gradients: Sequence[Any], *operands: Any, epsilon: float) -> list[Any]:
    x, scale, mean, var = operands[3:]
    dy, d_mean, d_var = gradients
    if isinstance(dy, ad.Zero):
        dy = jnp.zeros(x.shape, x.dtype)
    dx, d_scale, d_bias = _BACKWARD.bind(dy, x, scale, mean, var, epsilon=epsilon)
    # Of the statistics themselves, which hardly anybody differentiates.
    rows = math.prod(x.shape[:-1])
    if not isinstance(d_mean, ad.Zero):
        dx = dx + (d_mean / rows).astype(dx.dtype)
    if not isinstance(d_var, ad.Zero):
        dx = dx + (2 / rows * d_var * (widened(x) - mean)).astype(dx.dtype)
    return [dx, d_scale, d_bias, None, None, None, None]


ad.primitive_jvps[_FORWARD] = _jvp
ad.primitive_transposes[_LINEAR] = _transpose
