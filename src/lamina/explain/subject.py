"""What is explained: one picture, and one output of a model for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from lamina import heads
from lamina.data.base import ArraySplit, Preprocessing
from lamina.errors import ConfigError, DataError, nearest
from lamina.layers import Layer, Tape
from lamina.model import Model, Predictions
from lamina.report.pictures import is_picture

__all__ = ["Subject", "check_model", "examine"]

_MEMORY = 256 << 20  # bytes of activations that are computed together
_MOST = 32  # examples computed together: more make no CPU faster


@dataclass(frozen=True, eq=False)
class Subject:
    """One picture, and the output of a model that is to be explained.

    Attributes:
        model: the model.
        raw: the picture as it was given.
        network: its network without a closing softmax or sigmoid, so that its outputs are logits (or values, in
            standard deviations).
        encoded: the picture as the preprocessing encodes it, ``(1, height, width, channels)``.
        x: the network's input, ``(height, width, channels)`` float32.
        predictions: what the model says of it.
        column: index of the class, label or value.
        direction: ``(units,)``: the score is outputs · direction. It picks one unit; the first class of a network with
            a single logit is that logit's negative.
    """

    model: Model
    raw: Any
    network: Layer
    encoded: np.ndarray
    x: jax.Array
    predictions: Predictions
    column: int
    direction: jax.Array

    @property
    def name(self) -> str:
        """Of the class, label or value."""
        return self.model.target.names[self.column]

    @property
    def answer(self) -> float:
        """What the model says: the probability of the class or label, or the value in its own unit."""
        said = self.predictions.probabilities if self.predictions.values is None else self.predictions.values
        assert said is not None
        return float(said[0, self.column])

    def read(self, outputs: np.ndarray) -> np.ndarray:
        """Raw outputs ``(n, units)`` → ``(n,)``: probabilities of the class or label, or values in their own unit."""
        column: np.ndarray = heads.answers(self.model.target, outputs)[:, self.column]
        return column

    @cached_property
    def portion(self) -> int:
        """How many pictures are computed together: their activations fit into a bounded memory."""

        def activations(params: Any, state: Any, x: jax.Array) -> Any:
            tape = Tape(tap_all=True)
            self.network.apply(params, state, x, tape=tape)
            return tape.taps

        shapes = jax.eval_shape(activations, self.model.params, self.model.state, self.x[None])
        size: int = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
        return max(1, min(_MOST, _MEMORY // max(size, 1)))


def examine(model: Model, x: Any, class_: str | int | None = None) -> Subject:
    """Prepare one picture, and decide which output is explained.

    Args:
        model: trained on pictures.
        x: one raw picture: a path, the bytes of a file, a Pillow image or an array.
        class_: name of a class, label or value; default: what the model predicts (the most probable class or label,
            the first value).

    Raises:
        ConfigError: for a model that does not look at pictures, or a class that it does not know.
        DataError: for what cannot be read as one picture.
    """
    check_model(model)
    encoded = _encode(model.preprocessing, x)
    outputs = model.outputs(_split(encoded))
    if not np.isfinite(outputs).all():
        raise ConfigError("The model's outputs for this picture are not finite: there is nothing to explain.")
    predictions = model.read(outputs)
    column = _column(model, predictions, class_)
    units = outputs.shape[1]
    direction = np.zeros(units, np.float32)
    direction[min(column, units - 1)] = -1.0 if units == 1 and model.target.units == 2 and column == 0 else 1.0
    network_input = jnp.asarray(model.preprocessing.transform(encoded), jnp.float32)[0]
    network = heads.logits_network(model.network, model.target)
    return Subject(model, x, network, encoded, network_input, predictions, column, jnp.asarray(direction))


def check_model(model: Model) -> None:
    """Refuse a model that does not look at pictures.

    Raises:
        ConfigError: with the shape of what it looks at.
    """
    if model.target.answer == "input":
        raise ConfigError(
            "An auto-encoder gives its input back: there is no answer to explain.",
            "lamina evaluate MODEL DATA --against pca shows its reconstructions and codes.",
        )
    spec = model.preprocessing.input_spec()
    if not is_picture(model.preprocessing) or not jnp.issubdtype(spec.dtype, jnp.floating):
        shape = f" of shape {tuple(spec.shape)}" if hasattr(spec, "shape") else ""
        raise ConfigError(
            f"This model does not look at pictures: its input is {model.preprocessing.kind} data{shape}.",
            "What it learned can be shown for inputs of (height, width, 1 or 3 channels), at least 4 pixels a side.",
        )


def _split(encoded: np.ndarray) -> ArraySplit:
    return ArraySplit(encoded, np.zeros(len(encoded), np.int32))


def _encode(preprocessing: Preprocessing, x: Any) -> np.ndarray:
    shape: tuple[int, ...] = preprocessing.input_spec().shape
    if preprocessing.kind != "image" and not isinstance(x, str | bytes | os.PathLike | Image.Image):
        array = np.asarray(x)
        if array.shape == shape[:2] and shape[2] == 1:
            array = array[..., None]
        x = array[None] if array.ndim == 3 else array
    elif isinstance(x, Sequence) and not isinstance(x, str | bytes) and not len(x):
        raise DataError("There is nothing to explain: the input holds no picture.")
    encoded = np.asarray(preprocessing.encode(x))
    if len(encoded) != 1:
        raise DataError(f"One picture is explained at a time. Received: {len(encoded)}.")
    return encoded


def _column(model: Model, predictions: Predictions, class_: str | int | None) -> int:
    names = model.target.names
    if class_ is None:
        return 0 if predictions.probabilities is None else int(predictions.probabilities[0].argmax())
    if str(class_) not in names:
        kind = {"class": "class", "labels": "label", "values": "value"}[model.target.answer]
        raise ConfigError(f"The model knows no {kind} {str(class_)!r}.", nearest(str(class_), names))
    return names.index(str(class_))
