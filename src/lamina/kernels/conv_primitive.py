"""Convolution as three bilinear primitives, each the transpose of the other two.

With y = conv(x, w): forward gives y from (x, w), the data gradient dx from (dy, w), the weight gradient dw from
(x, dy). Each is linear in both operands and its transposes are the other two, so that forward and reverse mode, the
gradient of a gradient, vmap, scan and remat follow. On a CPU each lowers to a kernel over oneDNN where there is one,
everywhere else to XLA's own convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lamina.kernels import conv_batching, conv_portable, native

__all__ = ["DATA_GRADIENT", "DIRECTIONS", "FORWARD", "WEIGHT_GRADIENT", "out_size", "packed_bytes", "plan"]

Pairs: TypeAlias = tuple[tuple[int, int], ...]

# By the library's numbers.
DIRECTIONS = (
    *("forward", "data", "weights"),
    *("forward with bias", "forward with bias and relu", "forward with bias and relu6"),
)
_EXACT = ("highest", "float32")  # of JAX's words for precision: no algorithm that rounds more than a sum does
_STATIC = ("strides", "padding", "dilation", "groups")


def out_size(
    size: Sequence[int], window: Sequence[int], strides: Sequence[int], padding: Pairs, dilation: Sequence[int]
) -> tuple[int, ...]:
    """Number of windows along each axis of space."""
    axes = zip(size, window, strides, padding, dilation, strict=True)
    return tuple((n + lo + hi - (k - 1) * d - 1) // s + 1 for n, k, s, (lo, hi), d in axes)


def plan(
    direction: str,
    x: Any,
    kernel: Any,
    y: Any,
    *,
    strides: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[native.Plan, tuple[int, ...]]:
    """The compiled kernel for a convolution, and the description that it is called with.

    Args:
        direction: one of `DIRECTIONS`.
        x, kernel, y: arrays or specs: what goes in, the window's weights, what comes out (or their gradients).
    """
    dtype = jnp.dtype(x.dtype).name
    if dtype not in native.TYPES:
        return native.Plan(-1, f"{dtype} is computed by XLA's own kernels"), ()
    if 0 in (*x.shape, *kernel.shape, *y.shape):
        return native.Plan(-1, "there is nothing to compute"), ()
    space = zip(x.shape[1:-1], y.shape[1:-1], kernel.shape[:-2], strides, padding, dilation, strict=True)
    axes = [value for n, o, k, s, (lo, hi), d in space for value in (n, o, k, s, lo, hi, d)]
    exact = jax.config.jax_default_matmul_precision in _EXACT  # type: ignore[attr-defined]
    head = (native.TYPES[dtype], native.threads(), exact, x.shape[0], x.shape[-1], y.shape[-1], groups)
    geometry = (*head, *axes)
    return native.plan("conv", DIRECTIONS.index(direction), geometry), geometry


def packed_bytes(direction: str, geometry: tuple[int, ...]) -> int:
    """Bytes of the weights as a planned kernel wants them; 0 where it takes them as they are."""
    return native.packed_bytes(DIRECTIONS.index(direction), geometry)


def _on_cpu(direction: str, portable: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The convolution as a call of our kernel, or as XLA's where there is none."""

    def run(a: jax.Array, b: jax.Array, **params: Any) -> jax.Array:
        shape = _SHAPES[direction](a, b, **params)
        result = jax.ShapeDtypeStruct(shape.shape, shape.dtype)
        x, kernel, y = {"forward": (a, b, result), "data": (result, b, a), "weights": (a, result, b)}[direction]
        options = {name: params[name] for name in _STATIC}
        found, geometry = plan(direction, x, kernel, y, **options)
        if found.scratch < 0:
            return portable(a, b, **params)
        target = f"lamina_conv_{direction}"
        return native.call(target, (result,), (a, b), found.scratch, geometry=np.asarray(geometry, np.int64))[0]  # type: ignore[no-any-return]

    return run


def _forward_shape(x: Any, kernel: Any, *, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    out = out_size(x.shape[1:-1], kernel.shape[:-2], strides, padding, dilation)
    return jax.core.ShapedArray((x.shape[0], *out, kernel.shape[-1]), x.dtype)


def _data_shape(dy: Any, kernel: Any, *, size: tuple[int, ...], groups: int, **_: Any) -> Any:
    return jax.core.ShapedArray((dy.shape[0], *size, kernel.shape[-2] * groups), dy.dtype)


def _weight_shape(x: Any, dy: Any, *, window: tuple[int, ...], groups: int, **_: Any) -> Any:
    return jax.core.ShapedArray((*window, x.shape[-1] // groups, dy.shape[-1]), x.dtype)


_SHAPES: dict[str, Callable[..., Any]] = {"forward": _forward_shape, "data": _data_shape, "weights": _weight_shape}


def _primitive(
    name: str, direction: str, portable: Callable[..., jax.Array], static: tuple[str, ...] = _STATIC
) -> Primitive:
    primitive = Primitive(name)
    primitive.def_abstract_eval(_SHAPES[direction])
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=static))
    mlir.register_lowering(primitive, mlir.lower_fun(portable, multiple_results=False))
    on_cpu = mlir.lower_fun(_on_cpu(direction, portable), multiple_results=False)
    mlir.register_lowering(primitive, on_cpu, platform="cpu")
    batching.primitive_batchers[primitive] = conv_batching.rule(primitive, direction)
    return primitive


FORWARD = _primitive("lamina_conv", "forward", conv_portable.forward)
DATA_GRADIENT = _primitive("lamina_conv_data_gradient", "data", conv_portable.data_gradient, (*_STATIC, "size"))
WEIGHT_GRADIENT = _primitive(
    "lamina_conv_weight_gradient", "weights", conv_portable.weight_gradient, (*_STATIC, "window")
)


def _space(value: Any) -> tuple[int, ...]:
    return tuple(value.aval.shape[1:-1])


def _window(value: Any) -> tuple[int, ...]:
    return tuple(value.aval.shape[:-2])


def _without(params: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key != name}


ad.defbilinear(
    FORWARD,
    lambda ct, x, w, **k: DATA_GRADIENT.bind(ct, w, size=_space(x), **k),
    lambda ct, x, w, **k: WEIGHT_GRADIENT.bind(x, ct, window=_window(w), **k),
)
ad.defbilinear(
    DATA_GRADIENT,
    lambda ct, dy, w, **k: FORWARD.bind(ct, w, **_without(k, "size")),
    lambda ct, dy, w, **k: WEIGHT_GRADIENT.bind(ct, dy, window=_window(w), **_without(k, "size")),
)
ad.defbilinear(
    WEIGHT_GRADIENT,
    lambda ct, x, dy, **k: DATA_GRADIENT.bind(dy, ct, size=_space(x), **_without(k, "window")),
    lambda ct, x, dy, **k: FORWARD.bind(x, ct, **_without(k, "window")),
)
