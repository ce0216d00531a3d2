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
from lamina.data.continuing import continues, run_streams
from lamina.errors import ConfigError, DataError
from lamina.evaluation import Predictor
from lamina.layers import Layer
from lamina.layers.autoencoder import autoencoder_in
from lamina.layers.base import Params, State
from lamina.metrics import Interval

__all__ = ["PIECES", "Model", "Predictions", "load"]

PIECES = 64  # of a long sequence that are scored together: their outputs are as many as their symbols


@dataclass(frozen=True)
class Predictions:
    """What a model says of some inputs.

    Attributes:
        labels: the most probable class of each input (classification), or a tuple of label names (multi-label).
        probabilities: ``(n, classes)``, float64; rows sum to one, except for multi-label.
        values: ``(n, values)`` in the target's own unit (regression, forecast), or an auto-encoder's reconstructions,
            in the input's shape.
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

    def _scored(self, x: Any) -> jax.Array:
        return heads.next_scores(self._predictor(x), x)

    def _scored_further(self, carried: Any, x: Any) -> tuple[jax.Array, Any]:
        outputs, carried = self._predictor.advance(carried, x)
        return heads.next_scores(outputs, x), carried

    def outputs(self, split: Split, batch_size: int = 256) -> np.ndarray:
        """The network's raw outputs (logits, or standardised values) for a split, ``(n, units)`` float32.

        Of a network that says what comes next after every step: the scores of pieces (see `heads.next_scores`).
        Reading and decoding the next batch overlaps with the computation of this one. A split that continues is read
        in order, each example with what recurrent layers remember of those before it (`lamina.data.continuing`).
        """
        forward: Callable[..., Any] = self._predictor
        advance: Callable[..., Any] = self._predictor.advance
        if self.target.answer == "next":
            batch_size = min(batch_size, PIECES)
            forward, advance = self._scored, self._scored_further
        if continues(split):
            return run_streams(advance, split, batch_size)
        return run_batches(forward, split, batch_size)

    def predict(self, x: Any, batch_size: int = 256) -> Predictions:
        """Answer for raw inputs: arrays, picture files, a data frame: what the model's preprocessing takes.

        Args:
            x: raw inputs, several at once.
            batch_size: examples computed together; it bounds the memory used.

        Raises:
            DataError: for inputs that cannot be used.
        """
        if self.target.answer == "next":
            raise DataError("This model goes on with a text, and answers nothing else.", 'Use sample("…").')
        outputs = list(self._computed(x, batch_size))
        if not outputs:
            raise DataError("There is nothing to predict: the input holds no example.")
        return self.read(np.concatenate(outputs))

    def stream(
        self, x: Any, batch_size: int = 256, skip: Callable[[int, str], object] | None = None
    ) -> Iterator[Predictions]:
        """`predict` batch by batch, in order; picture files are decoded while the batch before them is computed.

        Args:
            skip: told (index, reason) of an input that cannot be read; it is left out of the answers, and told of
                before those of its batch come. Without it such an input raises.
        """
        yield from map(self.read, self._computed(x, batch_size, skip))

    def _computed(
        self, x: Any, batch_size: int, skip: Callable[[int, str], object] | None = None
    ) -> Iterator[np.ndarray]:
        return run_inputs(self._predictor, self.preprocessing, x, batch_size, skip)

    @cached_property
    def _halves(self) -> tuple[Predictor, Callable[[Any], jax.Array], tuple[int, ...]]:
        """The way to codes, the way back, and a code's shape."""
        found = autoencoder_in(self.network, self.params, self.state)
        if found is None:
            raise ConfigError(
                f"Only an auto-encoder has a code; this model's network is a {type(self.network).__name__}.",
                "Train one with the task 'autoencode'. lamina.transfer.describe gives what other networks' layers say.",
            )
        network, params, state = found
        encoder, decoder = network.halves(params, state)
        shape = network.code_spec(self.preprocessing.input_spec()).shape
        return Predictor(*encoder, self.preprocessing.transform), Predictor(*decoder, lambda code: code), tuple(shape)

    def encode(self, x: Any, batch_size: int = 256) -> np.ndarray:
        """An auto-encoder's codes of raw inputs, ``(n, *code)`` float32; of a variational one the means.

        Args:
            x: a split, or raw inputs as for `predict`.
            batch_size: examples computed together.

        Raises:
            ConfigError: for a model that is no auto-encoder.
            DataError: for inputs that cannot be used.
        """
        encoder, _, _ = self._halves
        if hasattr(x, "read"):
            return run_batches(encoder, x, batch_size)
        codes = list(run_inputs(encoder, self.preprocessing, x, batch_size))
        if not codes:
            raise DataError("There is nothing to encode: the input holds no example.")
        return np.concatenate(codes)

    def decode(self, code: Any, batch_size: int = 256) -> np.ndarray:
        """An auto-encoder's outputs for codes ``(n, *code)``: ``(n, *input)`` float32, scaled as its inputs are.

        Raises:
            ConfigError: for a model that is no auto-encoder.
            DataError: for codes of another shape, or with NaN or infinity.
        """
        _, decoder, shape = self._halves
        codes = np.asarray(code, np.float32)
        if codes.shape[1:] != shape or not len(codes):
            raise DataError(f"Codes of this model have the shape {('n', *shape)}. Received: {codes.shape}.")
        if not np.isfinite(codes).all():
            raise DataError("A code has NaN or infinite numbers.")
        split = ArraySplit(codes, np.zeros(len(codes), np.int32))
        return run_batches(decoder, split, batch_size)

    def reconstruct(self, x: Any, batch_size: int = 256) -> np.ndarray:
        """What an auto-encoder gives back of raw inputs or a split: ``(n, *input)`` float32, scaled as its inputs are.

        Raises:
            ConfigError: for a model that is no auto-encoder.
            DataError: for inputs that cannot be used.
        """
        _ = self._halves
        if hasattr(x, "read"):
            return self.outputs(x, batch_size)
        outputs = list(self._computed(x, batch_size))
        if not outputs:
            raise DataError("There is nothing to reconstruct: the input holds no example.")
        return np.concatenate(outputs)

    def predict_split(self, split: Split, batch_size: int = 256) -> Predictions:
        """Answer for encoded inputs."""
        return self.read(self.outputs(split, batch_size))

    def read(self, outputs: np.ndarray) -> Predictions:
        """Raw outputs as answers."""
        answered = heads.answers(self.target, outputs)
        names: tuple[str, ...] = self.target.names
        if self.target.answer in ("values", "input"):
            return Predictions(None, None, answered, names)
        if isinstance(self.target, ClassTarget):
            return Predictions(np.asarray(names)[answered.argmax(axis=1)], answered, None, names)
        labels = np.empty(len(answered), object)
        labels[:] = [tuple(name for name, p in zip(names, row, strict=True) if p >= 0.5) for row in answered]
        return Predictions(labels, answered, None, names)

    def sample(self, prompt: str = "", length: int = 200, *, temperature: float = 1.0, seed: int = 0) -> str:
        """What follows a prompt, character by character drawn from the model's own probabilities.

        Args:
            prompt: what is gone on with; nothing: the beginning of a line.
            length: characters to draw, at least 1.
            temperature: 1 draws as the model expects, less is more cautious, 0 takes the most probable every time.
            seed: the same seed gives the same text.

        Returns:
            the drawn characters, without the prompt.

        Raises:
            DataError: for a prompt with characters that the model has never seen.
            ConfigError: for a model that generates nothing, or an option out of its range.
        """
        from lamina.sampling import sample

        network = heads.logits_network(self.network, self.target)
        return sample(network, self.params, self.state, self.preprocessing, prompt, length, temperature, seed)

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
        return self.score(self.outputs(split), self.truth(split), seed=seed)

    def truth(self, split: Split) -> np.ndarray:
        """What `score` compares a split's outputs with: its targets, or an auto-encoder's own inputs."""
        return heads.truth(self.target, self.preprocessing, split)

    def score(self, outputs: np.ndarray, targets: np.ndarray, *, seed: int = 0) -> dict[str, Interval]:
        """The metrics of raw outputs against encoded targets, with 95 % bootstrap intervals."""
        from lamina.metrics import bootstrap

        answered, truth = heads.answers(self.target, outputs), self.target.decode(targets)
        return bootstrap(self.target.task, answered, truth, len(self.target.names), seed=seed)

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


def run_inputs(
    forward: Callable[[Any], jax.Array],
    preprocessing: Preprocessing,
    x: Any,
    batch_size: int,
    skip: Callable[[int, str], object] | None = None,
) -> Iterator[np.ndarray]:
    """``forward(encoded)`` for raw inputs, batch by batch, as host arrays; see `Model.stream`."""
    return _compute(forward, _ahead(preprocessing.batches(x, batch_size, skip)), batch_size)


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
    batches = (
        split.read(np.arange(start, min(start + batch_size, len(split)))) for start in range(0, len(split), batch_size)
    )

    def checked(x: Any) -> jax.Array:
        before_each()
        return forward(x)

    return np.concatenate(list(_compute(checked, batches if split.in_memory else _ahead(batches), batch_size)))


def _compute(forward: Callable[[Any], jax.Array], batches: Iterator[Any], size: int) -> Iterator[np.ndarray]:
    """``forward(x)`` for each batch, as host arrays. Smaller ones are filled up with repetitions, to a shape of before.

    Args:
        size: examples in a whole batch. Where the first one is smaller, the shape is the next power of two.
    """
    shape = 0
    for x in batches:
        count = jax.tree.leaves(x)[0].shape[0]
        shape = max(shape, min(size, 1 << max(count - 1, 0).bit_length()))
        rows = np.minimum(np.arange(shape), count - 1)
        filled = x if count == shape else jax.tree.map(lambda leaf: leaf[rows], x)  # noqa: B023
        yield np.asarray(forward(filled))[:count]


def _ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches, two of them made beforehand by another thread."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(next, batches, end) for _ in range(2)]
        while (x := coming.pop(0).result()) is not end:
            coming.append(pool.submit(next, batches, end))
            yield x
