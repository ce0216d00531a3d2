"""The batching rule of the convolution primitives: many convolutions as one wider one, or one after another.

A convolution has four sizes beside those of space: examples n, groups g, and channels in and out of a group, c and o.
Each of x, w and y lacks one of n, c and o, so that whichever two of them are batched share exactly one: the batch is
laid out along it. Where all three are batched, each has groups of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive

__all__ = ["rule", "separate", "stack"]

_ROLES = {"forward": ("x", "w", "y"), "data": ("y", "w", "x"), "weights": ("x", "y", "w")}  # operands and result
_SHARED = {frozenset("xy"): "n", frozenset("xw"): "c", frozenset("wy"): "o", frozenset("xwy"): "g"}
_CHANNELS = {"x": ("gc",), "w": ("c", "go"), "y": ("go",)}  # what the last axes are made of, outermost first

# Measured (docs/kernels.md): a call of our kernels costs microseconds, what is folded is moved in memory twice, and
# oneDNN's grouped kernels are slower than its others. Only channels too few to fill vectors are better together.
_IN_VECTORS = {"forward": "o", "data": "c", "weights": "o"}
_NARROW = 8


def rule(primitive: Primitive, direction: str) -> Callable[..., tuple[Any, int]]:
    """The batching rule of a primitive: "forward", "data" or "weights"."""
    first, second, result = _ROLES[direction]

    def batch(operands: Sequence[Any], dims: Sequence[Any], *, groups: int, **params: Any) -> tuple[Any, int]:
        plain = dict(zip((first, second), operands, strict=True))
        stacked = {
            role: jnp.moveaxis(plain[role], dim, 0)
            for role, dim in zip((first, second), dims, strict=True)
            if dim is not None
        }
        axis = _SHARED[frozenset((*stacked, result))]
        count = next(iter(stacked.values())).shape[0]
        if count and _folds(direction, axis, stacked, groups):
            wide = plain | {role: stack(value, role, axis, groups) for role, value in stacked.items()}
            all_groups = groups * count if axis == "g" else groups
            out = primitive.bind(wide[first], wide[second], groups=all_groups, **params)
            return separate(out, result, axis, count, groups), 0

        def one(index: jax.Array) -> Any:
            own = {role: lax.dynamic_index_in_dim(value, index, 0, keepdims=False) for role, value in stacked.items()}
            return primitive.bind(*(plain | own).values(), groups=groups, **params)

        return lax.map(one, jnp.arange(count)), 0

    return batch


def _folds(direction: str, axis: str, stacked: dict[str, jax.Array], groups: int) -> bool:
    """Whether one wide convolution is faster than one after another."""
    # Accelerators want one large operation, and JAX folds its own convolutions for them.
    if axis == "n" or jax.default_backend() != "cpu":
        return True
    if axis != _IN_VECTORS[direction] or groups > 1:
        return False
    ((role, value),) = stacked.items()
    names = _CHANNELS[role]
    sizes = zip(names, value.shape[-len(names) :], strict=True)
    return all(size <= _NARROW for name, size in sizes if axis in name)


def stack(values: jax.Array, role: str, axis: str, groups: int) -> jax.Array:
    """Lay ``(count, *shape)`` out along one of the sizes of an x, w or y of ``shape``."""
    names = _CHANNELS[role]
    count, *shape = values.shape
    if axis == "n":
        return values.reshape(count * shape[0], *shape[1:])
    lead, channels = shape[: -len(names)], shape[-len(names) :]
    split = values.reshape(count, *lead, *_parts(names, channels, groups))
    moved = jnp.moveaxis(split, 0, len(lead) + "".join(names).index(axis))
    return moved.reshape(*lead, *(n * count if axis in name else n for name, n in zip(names, channels, strict=True)))


def separate(value: jax.Array, role: str, axis: str, count: int, groups: int) -> jax.Array:
    """Undo `stack`. ``groups``: those of each."""
    names = _CHANNELS[role]
    if axis == "n":
        return value.reshape(count, value.shape[0] // count, *value.shape[1:])
    lead, wide = value.shape[: -len(names)], value.shape[-len(names) :]
    channels = [n // count if axis in name else n for name, n in zip(names, wide, strict=True)]
    parts, place = _parts(names, channels, groups), "".join(names).index(axis)
    split = value.reshape(*lead, *parts[:place], count, *parts[place:])
    return jnp.moveaxis(split, len(lead) + place, 0).reshape(count, *lead, *channels)


def _parts(names: Sequence[str], channels: Sequence[int], groups: int) -> list[int]:
    """The channels' axes cut up into groups and channels of a group."""
    sizes = []
    for name, n in zip(names, channels, strict=True):
        sizes += [groups, n // groups] if "g" in name else [n]
    return sizes
