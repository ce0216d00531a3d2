"""A network's tensors as PyTorch's torchvision names and lays them out, and back.

Kernels are (out, in, *window) there and (*window, in, out) here; a dense layer's (out, in) and (in, out). What is
flattened is channels-first there and channels-last here, so the first dense layer after it has its inputs in another
order. BatchNorm's scale is called weight, its running statistics running_mean and running_var.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from lamina.errors import ModelFileError
from lamina.layers import BatchNorm, Conv, ConvTranspose, Dense, Flatten, Layer, Tape

__all__ = ["Entry", "entries"]


@dataclass(frozen=True)
class Entry:
    """One tensor.

    Attributes:
        path: in params or state: the layer's path and the name.
        name: in PyTorch.
        shape: here.
        running: whether it is one of BatchNorm's running statistics, kept in the state.
        flattened: ``(*space, channels)`` of what a dense layer's inputs were flattened from, or ().
    """

    path: tuple[str, ...]
    name: str
    shape: tuple[int, ...]
    running: bool
    flattened: tuple[int, ...] = ()

    @property
    def kernel(self) -> bool:
        return self.path[-1] == "kernel"

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """Its shape in PyTorch."""
        return (self.shape[-1], self.shape[-2], *self.shape[:-2]) if self.kernel else self.shape

    def from_torch(self, value: np.ndarray) -> np.ndarray:
        """PyTorch's tensor of `torch_shape` as ours, float32."""
        value = np.asarray(value, np.float32)
        if not self.kernel:
            return value
        if self.flattened:
            *space, channels = self.flattened
            value = value.reshape(len(value), channels, *space)
            value = np.moveaxis(value, 1, -1).reshape(len(value), -1)
        return np.ascontiguousarray(value.transpose(*range(2, value.ndim), 1, 0))

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        """The inverse of `from_torch`."""
        value = np.asarray(value, np.float32)
        if not self.kernel:
            return value
        value = value.transpose(-1, -2, *range(value.ndim - 2))
        if self.flattened:
            value = value.reshape(len(value), *self.flattened)
            value = np.moveaxis(value, -1, 1).reshape(len(value), -1)
        return np.ascontiguousarray(value)


_NAMES = {"kernel": "weight", "bias": "bias", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def entries(network: Layer, in_shape: Any, unnamed: frozenset[str]) -> tuple[Entry, ...]:
    """All tensors of a network for inputs of one shape, in the order of its layers.

    Args:
        unnamed: names of containers that PyTorch's network does not have: they are left out of its names.

    Raises:
        ModelFileError: for a layer that PyTorch's files are not known to hold.
    """
    params, state = jax.eval_shape(lambda key: network.init(key, in_shape), jax.random.key(0))
    return tuple(_entries(network, in_shape, params, state, unnamed))


def _entries(network: Layer, in_shape: Any, params: Any, state: Any, unnamed: frozenset[str]) -> Iterator[Entry]:
    calls: list[Any] = []

    def run(params: Any, state: Any, x: Any, key: Any) -> Any:
        tape = Tape(record_calls=True)
        outputs = network.apply(params, state, x, train=True, key=key, tape=tape)[0]
        calls.extend((call.path, call.layer, getattr(call.inputs, "shape", ())[1:]) for call in tape.calls)
        return outputs

    x = jax.ShapeDtypeStruct((2, *in_shape), np.float32)
    jax.eval_shape(run, params, state, x, jax.random.key(0))
    flattened: tuple[int, ...] = ()
    for path, layer, shape in calls:
        if isinstance(layer, Flatten):
            flattened = shape if len(shape) > 1 else flattened
            continue
        parts = path.split(".")
        own = [
            (name, leaf, running)
            for running, tree in ((False, params), (True, state))
            for name, leaf in _at(tree, parts)
        ]
        if not own:
            continue
        if not isinstance(layer, Conv | ConvTranspose | Dense | BatchNorm) or isinstance(layer, ConvTranspose):
            raise ModelFileError(f"the weights of a {type(layer).__name__} ('{path}') have no form in PyTorch's files.")
        prefix = ".".join("downsample" if part == "shortcut" else part for part in parts if part not in unnamed)
        spatial = flattened if isinstance(layer, Dense) else ()
        for name, leaf, running in own:
            entry = Entry(
                (*parts, name), f"{prefix}.{_NAMES[name]}", leaf.shape, running, spatial if name == "kernel" else ()
            )
            yield entry
        if isinstance(layer, Dense):
            flattened = ()


def _at(tree: Any, parts: list[str]) -> list[tuple[str, Any]]:
    for part in parts:
        tree = tree.get(part, {})
    return [(name, leaf) for name, leaf in tree.items() if not isinstance(leaf, dict)]
