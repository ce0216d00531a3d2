"""Which pixels an answer depends on, by gradients: saliency and integrated gradients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina.errors import ConfigError
from lamina.explain.subject import Subject, examine
from lamina.layers import Layer
from lamina.layers.base import Params, State
from lamina.model import Model

__all__ = ["Attribution", "integrated_gradients", "saliency"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """A score, shared out among the numbers of the network's input.

    Attributes:
        values: ``(height, width, channels)`` float64; positive where the input speaks for the class.
        score: of the picture: the class's logit, or the value in standard deviations.
        baseline_score: of the baseline.
    """

    values: np.ndarray
    score: float
    baseline_score: float

    @property
    def gap(self) -> float:
        """How far the values are from adding up: Σ values − (score − baseline score); 0 in exact arithmetic."""
        return float(self.values.sum()) - (self.score - self.baseline_score)


def saliency(model: Model, x: Any, class_: str | int | None = None) -> np.ndarray:
    """How strongly the class's score reacts to a small change of each pixel: max over channels of |∂score/∂x|.

    Source: Simonyan, Vedaldi & Zisserman 2014, "Deep inside convolutional networks", arXiv:1312.6034.

    Args:
        model: trained on pictures.
        x: one raw picture: a path, the bytes of a file, a Pillow image or an array.
        class_: name of a class, label or value; default: what the model predicts. The score is its logit, before the
            softmax or sigmoid, or the standardised value.

    Returns:
        ``(height, width)`` float32 of the network's input, at least 0.

    Raises:
        ConfigError: for a model that does not look at pictures, or an unknown class.
        DataError: for what cannot be read as one picture.
    """
    subject = examine(model, x, class_)
    one = jnp.ones(1, jnp.float32)
    gradient = _path_gradient(*_arguments(subject), jnp.zeros_like(subject.x), one, one)
    return np.asarray(jnp.abs(gradient).max(axis=-1))


def integrated_gradients(
    model: Model, x: Any, class_: str | int | None = None, baseline: Any = 0.0, steps: int = 64
) -> Attribution:
    """What each pixel adds to the class's score on the way from a baseline to the picture.

    (x − b) · ∫₀¹ ∂score/∂x at b + t (x − b) dt, for each number of the network's input, by Gauss-Legendre quadrature.

    Source: Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks", arXiv:1703.01365.
    Departure: the paper sums at equal steps.

    Args:
        model, x, class_: as for `saliency`.
        baseline: an input without meaning, in the space of the network's input and broadcast to its shape. Its 0 is
            the mean colour of the training pictures where the model standardises them, as it does by default.
        steps: points of the quadrature; more make the gap smaller.

    Returns:
        The attribution; its ``gap`` says how far it is from adding up to score − baseline score.

    Raises:
        ConfigError: as `saliency`, and for a baseline of another shape or fewer than one step.
        DataError: for what cannot be read as one picture.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"Integrated gradients take a whole number of steps, at least 1. Received: steps={steps!r}.")
    subject = examine(model, x, class_)
    start = _baseline(baseline, subject.x.shape)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    size = min(subject.portion, steps)
    extra = -steps % size  # points of no weight fill the last portion: one shape is compiled
    points = np.pad((nodes + 1) / 2, (0, extra)).reshape(-1, size).astype(np.float32)
    shares = np.pad(weights / 2, (0, extra)).reshape(-1, size).astype(np.float32)
    mean = np.zeros(subject.x.shape, np.float64)
    for at, share in zip(points, shares, strict=True):
        mean += np.asarray(_path_gradient(*_arguments(subject), start, jnp.asarray(at), jnp.asarray(share)))
    ends = np.asarray(_scores(*_arguments(subject), start), np.float64)
    values = mean * np.asarray(subject.x - start, np.float64)
    return Attribution(values, float(ends[0]), float(ends[1]))


def _baseline(given: Any, shape: tuple[int, ...]) -> jax.Array:
    try:
        start = np.broadcast_to(np.asarray(given, np.float32), shape)
    except (TypeError, ValueError):
        raise ConfigError(
            f"The baseline must be a number or an array that broadcasts to the network's input {shape}. "
            f"Received: {f'shape {np.shape(given)}' if isinstance(given, np.ndarray) else repr(given)}."
        ) from None
    if not np.isfinite(start).all():
        raise ConfigError("The baseline has NaN or infinite values.")
    return jnp.asarray(start)


def _arguments(subject: Subject) -> tuple[Layer, Params, State, jax.Array, jax.Array]:
    return subject.network, subject.model.params, subject.model.state, subject.direction, subject.x


@partial(jax.jit, static_argnums=0)
def _path_gradient(
    network: Layer,
    params: Params,
    state: State,
    direction: jax.Array,
    x: jax.Array,
    start: jax.Array,
    points: jax.Array,
    weights: jax.Array,
) -> jax.Array:
    """Σ weights · ∂score/∂x at start + points (x − start), all points as one batch."""
    inputs = start + points[:, None, None, None] * (x - start)

    def score(inputs: jax.Array) -> jax.Array:
        outputs, _ = network.apply(params, state, inputs)
        return jnp.vdot(outputs @ direction, weights)

    total: jax.Array = jax.grad(score)(inputs).sum(axis=0)
    return total


@partial(jax.jit, static_argnums=0)
def _scores(
    network: Layer, params: Params, state: State, direction: jax.Array, x: jax.Array, start: jax.Array
) -> jax.Array:
    outputs, _ = network.apply(params, state, jnp.stack([x, start]))
    scores: jax.Array = outputs @ direction
    return scores
