"""Descriptors: what a trained network's inner layer says of an example, as a vector."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lamina
from lamina import trees
from lamina.config import to_json
from lamina.data.base import ArraySplit, Split
from lamina.errors import BadInputError, ConfigError, DataError
from lamina.evaluation import Predictor
from lamina.files import write_atomically
from lamina.layers import GlobalAvgPool, Layer, Sequential
from lamina.layers.base import Params, State
from lamina.layers.surgery import head_path, upto
from lamina.model import Model, run_batches, run_inputs
from lamina.transfer.encoders import body_of

__all__ = ["Describer", "describe", "descriptor_network", "free_name"]

_BATCH = 128  # examples that are computed, and kept on disk, together
_CACHE_BYTES = 2 << 30


def describe(model: Model, x: Any, layer: str | None = None) -> np.ndarray:
    """The descriptors of raw inputs: what comes out of one of the model's layers.

    Source: Razavian et al. 2014, "CNN features off-the-shelf", arXiv:1403.6382.

    Args:
        model: its network is a chain (`Sequential`), or an auto-encoder, which describes with its code.
        x: raw inputs, several at once, as for `Model.predict`.
        layer: its path in the network, at which a chain can be cut; default: all before the last Dense or Conv layer.

    Returns:
        ``(n, features)`` float32. Maps are averaged over space.

    Raises:
        ConfigError: for a network that cannot be cut there.
        DataError: for inputs that cannot be used.
    """
    model = body_of(model)
    return Describer(model, descriptor_network(model, layer))(x)


def descriptor_network(model: Model, layer: str | None = None) -> Sequential:
    """The model's network up to a layer, and an average over space where that gives maps.

    Args:
        layer: as for `describe`.

    Raises:
        ConfigError: for a network that cannot be cut there.
    """
    if layer is None:
        body = upto(model.network, head_path(model.network), included=False)
    else:
        body = upto(model.network, layer)
    shape = getattr(body.out_spec(model.preprocessing.input_spec()), "shape", ())
    if len(shape) == 3:
        return Sequential(**dict(body.layers), **{free_name(body, "descriptor_pool"): GlobalAvgPool()})
    if len(shape) != 1:
        raise ConfigError(f"A descriptor is a vector, or maps to average; layer {layer!r} gives the shape {shape}.")
    return body


class Describer:
    """A part of a model's network, from its input on, as a function of examples.

    Args:
        model: whose weights and preprocessing are used.
        network: the part, such as `descriptor_network` gives.

    Attributes:
        params, state: the part's own weights.
    """

    def __init__(self, model: Model, network: Sequential) -> None:
        self.model, self.network = model, network
        self.params, self.state = weights_of(network, model)

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self.network, self.params, self.state, self.model.preprocessing.transform)

    def __call__(self, x: Any, skip: Callable[[int, str], object] | None = None) -> np.ndarray:
        """What the part gives for raw inputs, as `Model.predict` takes them.

        Args:
            skip: as for `Model.stream`.
        """
        outputs = list(run_inputs(self._predictor, self.model.preprocessing, x, _BATCH, skip))
        if not outputs:
            raise DataError("There is nothing to describe: the input holds no example that can be read.")
        return np.concatenate(outputs)

    def compute(self, split: Split) -> np.ndarray:
        """What the part gives for a split, ``(n, …)`` float32."""
        return run_batches(self._predictor, split, _BATCH)

    def cached(self, split: Split) -> np.ndarray:
        """The same, kept on disk from one run to the next.

        What is kept is found by its content: the network with its weights, the preprocessing, and the examples as they
        are encoded. ``LAMINA_DESCRIPTOR_CACHE=off`` leaves the disk alone.
        """
        folder = _cache_folder()
        if folder is None:
            return self.compute(split)
        found = []
        for start in range(0, len(split), _BATCH):
            indices = np.arange(start, min(start + _BATCH, len(split)))
            encoded = split.read(indices)
            path = folder / f"{self._key(encoded)}.safetensors"
            vectors = _read(path)
            if vectors is None or len(vectors) != len(indices):
                vectors = self.compute(ArraySplit(encoded, np.zeros(len(indices), np.int32)))
                _write(path, vectors)
            found.append(vectors)
        _shrink(folder)
        return np.concatenate(found)

    @cached_property
    def _own_key(self) -> bytes:
        parts = {
            "lamina": lamina.__version__,
            "network": to_json(self.network),
            "preprocessing": to_json(self.model.preprocessing),
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for path, value in trees.flatten({"params": self.params, "state": self.state}).items():
            digest.update(path.encode())
            digest.update(np.ascontiguousarray(value).data)
        return digest.digest()

    def _key(self, encoded: Any) -> str:
        digest = hashlib.sha256(self._own_key)
        for leaf in jax.tree.leaves(encoded):
            digest.update(f"{leaf.shape}{leaf.dtype}".encode())
            digest.update(np.ascontiguousarray(leaf).data)
        return digest.hexdigest()[:40]


def weights_of(network: Layer, model: Model) -> tuple[Params, State]:
    """The model's weights that a part of its network needs."""
    spec = model.preprocessing.input_spec()
    wanted = jax.eval_shape(lambda key: network.init(key, spec), jax.random.key(0))
    given = trees.flatten({"params": model.params, "state": model.state})
    filled = trees.fill({"params": wanted[0], "state": wanted[1]}, given)
    return filled["params"], filled["state"]


def free_name(network: Sequential, name: str) -> str:
    """The name, or one like it that no layer of the chain has."""
    taken = dict(network.layers)
    while name in taken:
        name += "_"
    return name


def _cache_folder() -> Path | None:
    if os.environ.get("LAMINA_DESCRIPTOR_CACHE", "").lower() in {"off", "0", "no"}:
        return None
    from platformdirs import user_cache_path

    folder = user_cache_path("lamina") / "descriptors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


def _read(path: Path) -> np.ndarray | None:
    try:
        vectors: np.ndarray = trees.from_bytes(path.read_bytes())["descriptors"]
        os.utime(path)  # used last: the last to go
    except (OSError, KeyError, BadInputError):
        return None
    return vectors


def _write(path: Path, vectors: np.ndarray) -> None:
    try:
        write_atomically(path, trees.to_bytes({"descriptors": vectors}))
    except BadInputError:
        return  # the cache is a convenience


def _shrink(folder: Path) -> None:
    """Remove what was used longest ago, until the rest is within bounds."""
    try:
        files = sorted(((file.stat(), file) for file in folder.iterdir()), key=lambda pair: pair[0].st_mtime)
        total = sum(status.st_size for status, _ in files)
        for status, file in files:
            if total <= _CACHE_BYTES:
                return
            file.unlink(missing_ok=True)
            total -= status.st_size
    except OSError:
        return
