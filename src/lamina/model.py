"""A trained network with all that is needed to use it: weights, preprocessing, labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any

import jax
import numpy as np

from lamina import heads, modelfile
from lamina.data.base import ArraySplit, ClassTarget, Preprocessing, Split, Target
from lamina.errors import DataError
from lamina.evaluation import Predictor
from lamina.layers import Layer
from lamina.layers.base import Params, State
from lamina.metrics import Interval

__all__ = ["Model", "Predictions", "load"]


@dataclass(frozen=True)
class Predictions:
    """What a model says of some inputs.

    Attributes:
        labels: the most probable class of each input (classification), or a tuple of label names (multi-label).
        probabilities: ``(n, classes)``, float64; rows sum to one, except for multi-label.
        values: ``(n, values)`` in the target's own unit (regression).
        classes: names of the columns.
    """

    labels: np.ndarray | None
    probabilities: np.ndarray | None
    values: np.ndarray | None
    classes: tuple[str, ...]

    def __len__(self) -> int:
        answered = self.values if self.values is not None else self.probabilities
        return 0 if answered is None else len(answered)

    def top(self, k: int) -> list[list[tuple[str, float]]]:
        """For each input the ``k`` most probable classes with their probabilities."""
        if self.probabilities is None:
            return [[] for _ in range(len(self))]
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return [
            [(self.classes[column], float(self.probabilities[row, column])) for column in columns]
            for row, columns in enumerate(order)
        ]


@dataclass(frozen=True)
class Model:
    """A network, its weights, the preprocessing fitted with it and the names of its answers.

    Attributes:
        network: as it was given to `lamina.fit`.
        params, state: its weights and running statistics.
        preprocessing: from raw input to network input.
        target: the classes or values it was trained on.
        card: JSON-able facts: metrics, versions, seed, data.
    """

    network: Layer
    params: Params
    state: State
    preprocessing: Preprocessing
    target: Target
    card: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _predictor(self) -> Predictor:
        network = heads.logits_network(self.network, self.target)
        return Predictor(network, self.params, self.state, self.preprocessing.transform)

    def outputs(self, split: Split, batch_size: int = 256) -> np.ndarray:
        """The network's raw outputs (logits, or standardised values) for a split, ``(n, units)`` float32.

        Reading and decoding the next batch overlaps with the computation of this one.
        """
        return run_batches(self._predictor, split, batch_size)

    def predict(self, x: Any, batch_size: int = 256) -> Predictions:
        """Answer for raw inputs: arrays, picture files, a data frame: what the model's preprocessing takes.

        Args:
            x: raw inputs, several at once.
            batch_size: examples computed together; it bounds the memory used.

        Raises:
            DataError: for inputs that cannot be used.
        """
        encoded = self.preprocessing.encode(x)
        n = jax.tree.leaves(encoded)[0].shape[0]
        if n == 0:
            raise DataError("There is nothing to predict: the input holds no example.")
        return self.predict_split(ArraySplit(encoded, np.zeros(n, np.int32)), batch_size)

    def predict_split(self, split: Split, batch_size: int = 256) -> Predictions:
        """Answer for encoded inputs."""
        return self.read(self.outputs(split, batch_size))

    def read(self, outputs: np.ndarray) -> Predictions:
        """Raw outputs as answers."""
        answered = heads.answers(self.target, outputs)
        names: tuple[str, ...] = self.target.names
        if self.target.task == "regress":
            return Predictions(None, None, answered, names)
        if isinstance(self.target, ClassTarget):
            return Predictions(np.asarray(names)[answered.argmax(axis=1)], answered, None, names)
        labels = np.empty(len(answered), object)
        labels[:] = [tuple(name for name, p in zip(names, row, strict=True) if p >= 0.5) for row in answered]
        return Predictions(labels, answered, None, names)

    def evaluate(self, data: Any, *, seed: int = 0) -> dict[str, Interval]:
        """All metrics of the task on labelled data, each with its 95 % bootstrap interval.

        Args:
            data: a split, or what `lamina.data.load_split` reads: a folder, a table, a built-in name, ``(x, y)``.
            seed: of the bootstrap's resampling.

        Returns:
            ``{metric: (value, low, high)}``; None where a metric is undefined on this data.
        """
        from lamina.data import load_split

        split = data if hasattr(data, "read") else load_split(data, self.preprocessing, self.target)[0]
        return self.score(self.outputs(split), split.targets, seed=seed)

    def score(self, outputs: np.ndarray, targets: np.ndarray, *, seed: int = 0) -> dict[str, Interval]:
        """The metrics of raw outputs against encoded targets, with 95 % bootstrap intervals."""
        from lamina.metrics import bootstrap

        answered, truth = self._comparable(outputs, targets)
        return bootstrap(self.target.task, answered, truth, self.target.units, seed=seed)

    def _comparable(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return heads.answers(self.target, outputs), self.target.decode(targets)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a ``.lamina`` file: to a temporary name first, then renamed.

        Raises:
            ConfigError: for a network that holds a bare function or a foreign module.
            BadInputError: where the path cannot be written.
        """
        modelfile.write(
            path,
            network=self.network,
            params=self.params,
            state=self.state,
            preprocessing=self.preprocessing,
            target=self.target,
            card=self.card,
        )


def load(path: str | PathLike[str]) -> Model:
    """Read a ``.lamina`` file. Nothing in it is executed or imported.

    Raises:
        ModelFileError: for a file that is cut short, corrupt, from a newer Lamina, or no model.
    """
    return Model(**modelfile.read(path))


def run_batches(
    forward: Callable[[Any], jax.Array],
    split: Split,
    batch_size: int,
    before_each: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """``forward(x)`` over a whole split in batches of one shape, as host arrays.

    Args:
        before_each: called before every batch; what it raises ends the pass.
    """
    n = len(split)
    size = min(batch_size, 1 << max(n - 1, 0).bit_length())
    results = []
    for count, x in _batches(split, size):
        before_each()
        results.append(np.asarray(forward(x))[:count])
    return np.concatenate(results)


def _batches(split: Split, size: int) -> Iterator[tuple[int, Any]]:
    """Batches of ``size`` with the number of examples that count; the last one is filled up with repetitions."""

    def read(start: int) -> tuple[int, Any]:
        count = min(size, len(split) - start)
        return count, split.read(np.minimum(np.arange(start, start + size), len(split) - 1))

    starts = range(0, len(split), size)
    if split.in_memory:
        yield from map(read, starts)
        return
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(read, start) for start in starts[:2]]
        for start in starts[2:]:
            yield coming.pop(0).result()
            coming.append(pool.submit(read, start))
        for future in coming:
            yield future.result()
