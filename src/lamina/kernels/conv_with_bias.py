"""Convolution with bias and ReLU in one pass over its result: for evaluation, where nothing in between is needed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina.kernels import conv_portable, native
from lamina.kernels.conv import Ints, Padding, per_axis, resolve_padding
from lamina.kernels.conv_primitive import out_size, plan

__all__ = ["conv_with_bias"]


def conv_with_bias(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    *,
    relu: bool,
    strides: Ints = 1,
    padding: Padding = "SAME",
    dilation: Ints = 1,
    groups: int = 1,
) -> jax.Array:
    """``conv(x, kernel, …) + bias``, and the maximum of that and 0 where ``relu``. It has no gradient on a CPU.

    Args:
        x, kernel, strides, padding, dilation, groups: as for `lamina.kernels.conv`, and of sizes that fit.
        bias: ``(channels_out,)``, float32.

    Returns:
        ``(batch, *space_out, channels_out)`` of x's dtype.
    """
    rank = x.ndim - 2
    step, spacing = per_axis(strides, rank, "strides"), per_axis(dilation, rank, "dilation")
    pads = resolve_padding(padding, x.shape[1:-1], kernel.shape[:-2], step, spacing)
    options: dict[str, Any] = {"strides": step, "padding": pads, "dilation": spacing, "groups": groups}
    size = out_size(x.shape[1:-1], kernel.shape[:-2], step, pads, spacing)
    result = jax.ShapeDtypeStruct((x.shape[0], *size, kernel.shape[-1]), x.dtype)
    direction = "forward with bias and relu" if relu else "forward with bias"
    found, geometry = plan(direction, x, kernel, result, **options)

    def portable(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        y = conv_portable.forward(x, kernel, **options)
        y = y + bias.astype(y.dtype)
        return jnp.maximum(y, 0) if relu else y

    if found.scratch < 0:
        return portable(x, kernel, bias)

    def ours(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        described = np.asarray(geometry, np.int64)
        (y,) = native.call(
            "lamina_conv_with_bias", (result,), (x, kernel, bias), found.scratch, geometry=described, relu=relu
        )
        return y  # type: ignore[no-any-return]

    return lax.platform_dependent(x, kernel, bias, cpu=ours, default=portable)  # type: ignore[no-any-return]
