"""Weights that people have, into a network of the zoo, and a network's weights into a file that torchvision loads."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import jax
import numpy as np

from lamina import trees
from lamina.errors import ModelFileError
from lamina.files import write_atomically
from lamina.layers import Layer
from lamina.layers.base import Params, State
from lamina.zoo.naming import Entry, entries

__all__ = ["assign", "save"]

_IGNORED = ("num_batches_tracked",)  # BatchNorm's counter, which nothing needs


def assign(
    network: Layer,
    in_shape: tuple[int, ...],
    tensors: Mapping[str, np.ndarray],
    unnamed: frozenset[str] = frozenset(),
    *,
    source: str = "the file",
) -> tuple[Params, State]:
    """The network's params and state, from PyTorch's tensors.

    Args:
        in_shape: of an example, ``(height, width, channels)``.
        tensors: by their names in torchvision.
        unnamed: containers that torchvision's network does not have.
        source: what to call the tensors' origin in an error.

    Raises:
        ModelFileError: naming the tensors that are missing, that nothing asks for, or whose shapes differ.
    """
    wanted = {entry.name: entry for entry in entries(network, in_shape, unnamed)}
    given = {name: value for name, value in tensors.items() if not name.endswith(_IGNORED)}
    missing = [f"{name} {entry.torch_shape}" for name, entry in wanted.items() if name not in given]
    extra = [f"{name} {value.shape}" for name, value in given.items() if name not in wanted]
    wrong = [
        f"{name} is {given[name].shape}, expected {entry.torch_shape}"
        for name, entry in wanted.items()
        if name in given and given[name].shape != entry.torch_shape
    ]
    problems = [
        f"{what}: {_listed(found)}"
        for what, found in (("missing", missing), ("not in the network", extra), ("of another shape", wrong))
        if found
    ]
    if problems:
        raise ModelFileError(
            f"{source} does not hold the weights of this network. " + "; ".join(problems) + ".",
            "Give the architecture and the number of classes that it was trained with.",
        )
    params, state = jax.eval_shape(lambda key: network.init(key, in_shape), jax.random.key(0))
    for name, entry in wanted.items():
        _put(state if entry.running else params, entry, entry.from_torch(given[name]))
    return params, state


def save(
    path: str | PathLike[str],
    network: Layer,
    in_shape: tuple[int, ...],
    params: Params,
    state: State,
    unnamed: frozenset[str] = frozenset(),
) -> None:
    """Write a safetensors file with torchvision's names and layouts, whole or not at all.

    Raises:
        ModelFileError: for a layer that PyTorch's files are not known to hold.
        BadInputError: where the path cannot be written.
    """
    tensors = {}
    for entry in entries(network, in_shape, unnamed):
        value: Any = state if entry.running else params
        for part in entry.path:
            value = value[part]
        tensors[entry.name] = entry.to_torch(np.asarray(value))
    write_atomically(path, trees.to_bytes(tensors))


def _put(tree: dict[str, Any], entry: Entry, value: np.ndarray) -> None:
    for part in entry.path[:-1]:
        tree = tree[part]
    tree[entry.path[-1]] = value


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
