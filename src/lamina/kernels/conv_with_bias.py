"""Convolution with bias and ReLU or ReLU6 in one pass over its result: for evaluation alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina.kernels import conv_portable, native
from lamina.kernels.conv import Ints, Padding, per_axis, resolve_padding
from lamina.kernels.conv_primitive import DIRECTIONS, out_size, packed_bytes, plan

__all__ = ["Packed", "conv_with_bias", "pack"]

# By the upper bound of the ReLU.
_DIRECTIONS = {
    None: "forward with bias",
    math.inf: "forward with bias and relu",
    6.0: "forward with bias and relu6",
}


@partial(jax.tree_util.register_dataclass, data_fields=["data"], meta_fields=["shape"])
@dataclass(frozen=True)
class Packed:
    """A kernel in the layout that one convolution wants, `pack`'s result.

    Attributes:
        data: bytes.
        shape: ``(*window, channels_in / groups, channels_out)``, as it was.
    """

    data: jax.Array
    shape: tuple[int, ...]


def conv_with_bias(
    x: jax.Array,
    kernel: jax.Array | Packed,
    bias: jax.Array,
    *,
    bound: float | None,
    strides: Ints = 1,
    padding: Padding = "SAME",
    dilation: Ints = 1,
    groups: int = 1,
) -> jax.Array:
    """``conv(x, kernel, …) + bias``, then perhaps ``min(max(y, 0), bound)``. It has no gradient on a CPU.

    Args:
        x, kernel, strides, padding, dilation, groups: as for `lamina.kernels.conv`, and of sizes that fit.
        bias: ``(channels_out,)``, float32.
        bound: infinity for ReLU, 6 for ReLU6, None for neither.

    Returns:
        ``(batch, *space_out, channels_out)`` of x's dtype.
    """
    options = _options(x, kernel, strides, padding, dilation, groups)
    result, found, geometry = _planned(x, kernel, bound, options)
    described = np.asarray(geometry, np.int64)

    def ours(x: jax.Array, kernel: jax.Array, bias: jax.Array, packed: bool = False) -> jax.Array:
        attributes = {"geometry": described, "direction": _number(bound), "packed": packed}
        (y,) = native.call("lamina_conv_with_bias", (result,), (x, kernel, bias), found.scratch, **attributes)
        return y  # type: ignore[no-any-return]

    if isinstance(kernel, Packed):
        return ours(x, kernel.data, bias, packed=True)

    def portable(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        y = conv_portable.forward(x, kernel, **options)
        y = y + bias.astype(y.dtype)
        return y if bound is None else jnp.clip(y, 0, bound)

    if found.scratch < 0:
        return portable(x, kernel, bias)
    return lax.platform_dependent(x, kernel, bias, cpu=ours, default=portable)  # type: ignore[no-any-return]


def pack(
    x: jax.ShapeDtypeStruct,
    kernel: jax.Array,
    *,
    bound: float | None,
    strides: Ints = 1,
    padding: Padding = "SAME",
    dilation: Ints = 1,
    groups: int = 1,
) -> jax.Array | Packed:
    """The kernel as `conv_with_bias` with the same arguments wants it, made once instead of at every call.

    Args:
        x: what will be convolved, with its batch. The rest as for `conv_with_bias`.

    Returns:
        The kernel itself where it is wanted as it is, and where no kernel of ours computes.
    """
    if jax.default_backend() != "cpu":
        return kernel
    cast = kernel.astype(x.dtype)
    _, found, geometry = _planned(x, cast, bound, _options(x, cast, strides, padding, dilation, groups))
    size = packed_bytes(_DIRECTIONS[bound], geometry) if found.scratch >= 0 else 0
    if not size:
        return kernel
    result = jax.ShapeDtypeStruct((size,), jnp.uint8)
    attributes = {"geometry": np.asarray(geometry, np.int64), "direction": _number(bound)}
    (data,) = native.call("lamina_conv_pack", (result,), (cast,), found.scratch, **attributes)
    return Packed(data, kernel.shape)


def _number(bound: float | None) -> np.int64:
    return np.int64(DIRECTIONS.index(_DIRECTIONS[bound]))


def _options(x: Any, kernel: Any, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> dict[str, Any]:
    rank = len(x.shape) - 2
    step, spacing = per_axis(strides, rank, "strides"), per_axis(dilation, rank, "dilation")
    pads = resolve_padding(padding, x.shape[1:-1], kernel.shape[:-2], step, spacing)
    return {"strides": step, "padding": pads, "dilation": spacing, "groups": groups}


def _planned(
    x: Any, kernel: Any, bound: float | None, options: dict[str, Any]
) -> tuple[jax.ShapeDtypeStruct, native.Plan, tuple[int, ...]]:
    size = out_size(x.shape[1:-1], kernel.shape[:-2], options["strides"], options["padding"], options["dilation"])
    result = jax.ShapeDtypeStruct((x.shape[0], *size, kernel.shape[-1]), x.dtype)
    return result, *plan(_DIRECTIONS[bound], x, kernel, result, **options)
