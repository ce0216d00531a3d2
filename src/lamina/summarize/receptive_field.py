"""How much of the input a number depends on."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeAlias

import jax

from lamina.layers import (
    Activation,
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    BatchNorm,
    ConvTranspose,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    LayerNorm,
    Maxout,
    Merge,
    PRelu,
    Reshape,
)
from lamina.layers.base import Call

__all__ = ["ALL", "UNKNOWN", "Field", "grown", "itself", "of_rank", "shown", "widest"]

ALL = "all"
UNKNOWN = "?"

_POINTWISE = (Activation, BatchNorm, Dense, Dropout, Embedding, Flatten, LayerNorm, Maxout, Merge, PRelu, Reshape)

# The receptive field of a number: (size, jump) on each axis of space; ALL; or UNKNOWN. The jump is the distance, in
# positions of the network's input, between neighbours of the map that the number lies in.
Axes: TypeAlias = tuple[tuple[int, Fraction], ...]
Field: TypeAlias = Axes | str


def itself(rank: int) -> Axes:
    """The field of an input number, on ``rank`` axes of space: the number alone."""
    return ((1, Fraction(1)),) * max(rank, 0)


def grown(call: Call, before: Field) -> Field:
    """The field of a layer's output, from that of its input."""
    layer = call.layer
    if before == ALL or isinstance(layer, GlobalAvgPool | GlobalMaxPool):
        return ALL
    flat = max(len(leaf.shape) for leaf in jax.tree.leaves(call.inputs)) <= 2
    if isinstance(layer, Dense | Maxout) and flat:
        return ALL
    if isinstance(before, str):
        return UNKNOWN
    window = layer.window()
    if window is not None:
        size, strides, dilation = (_per_axis(value, len(before)) for value in window)
        return tuple(_slid(*axis) for axis in zip(before, size, strides, dilation, strict=True))
    if isinstance(layer, ConvTranspose):
        fields = (layer.kernel_size, layer.strides, layer.dilation)
        size, strides, dilation = (_per_axis(value, len(before)) for value in fields)
        return tuple(_upsampled(*axis) for axis in zip(before, size, strides, dilation, strict=True))
    if isinstance(layer, AdaptiveAvgPool | AdaptiveMaxPool):
        axes = zip(before, call.inputs.shape[1:-1], call.output.shape[1:-1], strict=True)
        return tuple(_slid(field, _stretch(n, out), Fraction(n, out), 1) for field, n, out in axes)
    return before if isinstance(layer, _POINTWISE) else UNKNOWN


def _slid(field: tuple[int, Fraction], size: int, stride: int | Fraction, dilation: int) -> tuple[int, Fraction]:
    seen, jump = field
    return math.ceil(seen + (size - 1) * dilation * jump), jump * stride


def _upsampled(field: tuple[int, Fraction], size: int, stride: int, dilation: int) -> tuple[int, Fraction]:
    seen, jump = field
    # One in so many taps meets an input, the others the zeros between two.
    every = stride // math.gcd(stride, dilation)
    inputs = (size - 1) // every * every * dilation // stride
    return math.ceil(seen + inputs * jump), jump / stride


def _stretch(size: int, outputs: int) -> int:
    return max(-(-(i + 1) * size // outputs) - i * size // outputs for i in range(outputs))


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def of_rank(field: Field, rank: int) -> Field:
    """The field on the last ``rank`` axes; a flattened map keeps what its numbers saw."""
    if isinstance(field, str) or rank == 0:
        return field
    return itself(rank - len(field)) + field[-rank:]


def widest(fields: list[Field]) -> Field:
    """The field of what several numbers are joined into."""
    for extreme in (ALL, UNKNOWN):
        if extreme in fields:
            return extreme
    sized = [field for field in fields if not isinstance(field, str)]
    rank = max((len(field) for field in sized), default=0)
    padded = [field + itself(rank - len(field)) for field in sized]
    return tuple((max(size for size, _ in axis), max(jump for _, jump in axis)) for axis in zip(*padded, strict=True))


def shown(field: Field) -> str:
    """A field in words: ``5×5``."""
    return field if isinstance(field, str) else "×".join(str(size) for size, _ in field)
