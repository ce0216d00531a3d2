"""What layers that slide a window share: sizes per axis, padding, output sizes, and the words when they do not fit."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError, nearest
from lamina.kernels.conv import resolve_padding
from lamina.layers._checks import check_floating, is_whole
from lamina.layers.base import Spec
from lamina.layers.masked import Masked

Sizes: TypeAlias = int | tuple[int, ...]
# "SAME", "VALID", one number for all sides, one number an axis, or a pair (low, high) an axis
Padding: TypeAlias = str | int | tuple[int, ...] | tuple[tuple[int, int], ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]

PADDINGS = ("SAME", "VALID")


def freeze_sizes(who: str, name: str, value: Any) -> Sizes:
    """An int, or a tuple of ints, all at least 1 (a list becomes a tuple)."""
    sizes = tuple(value) if isinstance(value, list | tuple) else value
    many = sizes if isinstance(sizes, tuple) else (sizes,)
    if not many or not all(is_whole(size, 1) for size in many):
        raise ConfigError(
            f"{who} needs a positive whole number, or one for each axis, for {name}. Received: {name}={value!r}."
        )
    return sizes


def freeze_padding(who: str, value: Any, words: tuple[str, ...] = PADDINGS) -> Padding:
    """The padding with lists turned into tuples; ConfigError unless it is one of the known forms."""
    if isinstance(value, str):
        if value not in words:
            raise ConfigError(f"{who} has no padding {value!r}.", nearest(value.upper(), words))
        return value
    if is_whole(value, 0):
        return int(value)
    if isinstance(value, list | tuple) and value:
        frozen = tuple(tuple(item) if isinstance(item, list | tuple) else item for item in value)
        pairs = all(isinstance(item, tuple) and len(item) == 2 for item in frozen)
        flat = [number for item in frozen for number in (item if pairs else (item,))]
        if all(is_whole(number, 0) for number in flat):
            return frozen
    raise ConfigError(
        f"{who} takes padding 'SAME', 'VALID', a number, a number for each axis, or a pair (low, high) for each axis. "
        f"Received: padding={value!r}."
    )


def per_axis(who: str, name: str, value: Sizes, rank: int) -> tuple[int, ...]:
    """One size for each of ``rank`` axes."""
    sizes = value if isinstance(value, tuple) else (value,) * rank
    if len(sizes) != rank:
        raise ShapeError(f"{who} has {name}={value} for {len(sizes)} axes, but the input has {rank} axes of space.")
    return sizes


def padding_pairs(
    who: str,
    padding: Padding,
    space: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Pairs:
    """(low, high) for each axis; "SAME" pads the odd pixel at the high end, "CAUSAL" all of it at the low one."""
    rank = len(space)
    if padding == "CAUSAL":
        if rank != 1:
            raise ShapeError(f"{who}'s padding='CAUSAL' is for sequences (steps, channels), got space {space}.")
        return (((window[0] - 1) * dilation[0], 0),)
    if isinstance(padding, tuple) and len(padding) != rank:
        raise ShapeError(
            f"{who} has padding={padding} for {len(padding)} axes, but the input has {rank} axes of space."
        )
    return resolve_padding(padding, space, window, strides, dilation)


def space_of(who: str, in_spec: Spec, ranks: tuple[int, ...] = (1, 2, 3)) -> tuple[int, ...]:
    """The spatial sizes of a channels-last spec of floats; ShapeError where their number is not one of ``ranks``."""
    rank = len(in_spec.shape) - 1
    if isinstance(in_spec, Masked) and rank > 1:
        raise ShapeError(
            f"{who} would slide over the steps of sequences and over what each step holds, (steps, "
            f"{', '.join(map(str, in_spec.shape[1:]))}).",
            f"TimeDistributed({who}(...)) slides over each step by itself.",
        )
    if rank not in ranks:
        raise ShapeError(
            f"{who} expects inputs (batch, space..., channels) with 1 to {max(ranks)} axes of space, "
            f"got (batch, {', '.join(map(str, in_spec.shape)) or '-'}).",
            "Data is channels-last; a picture in grey has one channel: (height, width, 1)." if rank == 0 else "",
        )
    check_floating(who, in_spec.dtype)
    return tuple(in_spec.shape[:-1])


def slid_size(
    who: str,
    space: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    pairs: Pairs,
) -> tuple[int, ...]:
    """Output sizes ⌊(size + padding - reach) / stride⌋ + 1, reach = (window - 1) dilation + 1."""
    sizes = []
    for size, width, stride, spread, (low, high) in zip(space, window, strides, dilation, pairs, strict=True):
        reach = (width - 1) * spread + 1
        if size < 1 or size + low + high < reach:
            raise ShapeError(
                f"{who}'s window reaches over {reach} positions, but the input has only {size}"
                + (f" (and {low + high} of padding)" if low + high else "")
                + f": its space is {space}.",
                "Use a smaller window, padding='SAME', or fewer layers that shrink the input before it.",
            )
        sizes.append((size + low + high - reach) // stride + 1)
    return tuple(sizes)


# Windows that slide over sequences of unequal length.


def masked_pairs(
    padding: Padding, pairs: Pairs, steps: int, window: int, stride: int, dilation: int
) -> tuple[tuple[int, int]]:
    """(low, high) for `Masked` sequences, where ``pairs`` would be that of arrays.

    "SAME" puts ⌊(reach - 1) / 2⌋ before the first step whatever the number of steps, so that what a sequence gives
    does not depend on how far it was filled up.
    """
    if padding != "SAME":
        return (pairs[0],)
    reach = (window - 1) * dilation + 1
    low = (reach - 1) // 2
    return ((low, max((-(-steps // stride) - 1) * stride + reach - steps - low, 0)),)


def masked_lengths(
    padding: Padding, lengths: jax.Array, pair: tuple[int, int], window: int, stride: int, dilation: int
) -> jax.Array:
    """How many outputs each sequence has: ⌈length / stride⌉ for "SAME" and "CAUSAL", else those windows that fit.

    At least one: a sequence shorter than the window counts as filled up with zeros.
    """
    if padding in ("SAME", "CAUSAL"):
        return -(-lengths // stride)
    reach = (window - 1) * dilation + 1
    return jnp.maximum((lengths + sum(pair) - reach) // stride + 1, 1)
