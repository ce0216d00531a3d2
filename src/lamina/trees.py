"""Nested dictionaries of arrays, as flat tables of dotted paths and as bytes in the safetensors format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina.errors import ModelFileError

__all__ = ["fill", "flatten", "from_bytes", "merge", "nested", "paths", "to_bytes", "without"]


def paths(tree: Any) -> list[str]:
    """The dotted path of every leaf, in the order of `jax.tree.leaves`."""
    return [jax.tree_util.keystr(key, simple=True, separator=".") for key, _ in jax.tree.leaves_with_path(tree)]


def flatten(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Dotted path → host array for every leaf; random keys as their data."""
    table = {}
    for path, leaf in zip(paths(tree), jax.tree.leaves(tree), strict=True):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        table[f"{prefix}{path}"] = np.asarray(leaf)
    return table


def nested(table: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`: nested dictionaries from dotted paths."""
    tree: dict[str, Any] = {}
    for path, value in table.items():
        *above, name = path.split(".")
        inner = tree
        for part in above:
            inner = inner.setdefault(part, {})
        inner[name] = value
    return tree


def merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested dictionaries as one; where both have a leaf, the second's counts."""
    merged = dict(first)
    for name, value in second.items():
        before = merged.get(name)
        merged[name] = merge(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged


def without(tree: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Nested dictionaries but for what lies at one dotted path."""
    name, _, rest = path.partition(".")
    kept = {own: value for own, value in tree.items() if own != name}
    return kept | {name: without(tree[name], rest)} if rest else kept


def fill(like: Any, table: Mapping[str, np.ndarray], prefix: str = "") -> Any:
    """A tree of the structure of ``like`` with the arrays of ``table``.

    Args:
        like: a tree of arrays or `jax.ShapeDtypeStruct`.

    Raises:
        ModelFileError: for a path that is missing, or an array of another shape or dtype.
    """
    leaves = []
    for path, leaf in zip(paths(like), jax.tree.leaves(like), strict=True):
        value = table.get(f"{prefix}{path}")
        if value is None:
            raise ModelFileError(f"The weights have no entry {prefix}{path}.")
        if value.shape != leaf.shape or value.dtype != leaf.dtype:
            raise ModelFileError(
                f"The weights' entry {prefix}{path} is {value.shape} {value.dtype}; "
                f"the network needs {leaf.shape} {leaf.dtype}."
            )
        leaves.append(jnp.asarray(value))
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def to_bytes(table: Mapping[str, np.ndarray]) -> bytes:
    """Arrays in the safetensors format."""
    from safetensors.numpy import save

    # Not np.ascontiguousarray, which makes a vector of a scalar.
    return save({name: np.asarray(array, order="C") for name, array in table.items()})


def from_bytes(data: bytes) -> dict[str, np.ndarray]:
    """The inverse of `to_bytes`. Raises `ModelFileError` for anything that is not a whole safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"The weights cannot be read: {error}.") from error
