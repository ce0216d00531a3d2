"""Losses of classes: cross-entropies, hinge, Kullback-Leibler divergence. All take logits or scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lamina.errors import ConfigError, ShapeError
from lamina.losses.base import Loss, average, floating, vectors

__all__ = ["BinaryCrossEntropy", "Hinge", "KLDivergence", "SoftmaxCrossEntropy"]


_NEAREST = 1e-7  # of a probability to 0 and 1


@dataclass(frozen=True, repr=False)
class BinaryCrossEntropy(Loss):
    """``−p·y·log σ(z) − (1 − y)·log(1 − σ(z))``, in nats, from logits z; averaged over trailing axes.

    Outputs ``(batch,)`` or ``(batch, 1)`` for one label, ``(batch, labels)`` for several; targets 0, 1 or
    between. Without p and smoothing its gradient by z is σ(z) − y.

    Args:
        label_smoothing: ε in [0, 1): the target becomes ``y(1 − ε) + ε/2``.
        positive_weight: p, what a positive counts beside a negative; above 0. The mean still divides by the number of
            examples.
        logits: False: the outputs are σ(z) themselves, as an auto-encoder gives them. What is within 1e-7 of 0 or 1
            counts as that far from it.
    """

    label_smoothing: float = 0.0
    positive_weight: float = 1.0
    logits: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("label_smoothing", 0, 1)
        self._check("positive_weight", 0, open_low=True)

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        logits, labels = self._pair(outputs, targets)
        labels = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.logits:
            on, off = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        else:
            share = jnp.clip(logits, _NEAREST, 1 - _NEAREST)
            on, off = jnp.log(share), jnp.log1p(-share)
        return average(-self.positive_weight * labels * on - (1 - labels) * off)


@dataclass(frozen=True, repr=False)
class SoftmaxCrossEntropy(Loss):
    """``−Σ_c w_c·y_c·log softmax(z)_c``, in nats, from logits z; averaged over trailing axes (positions).

    Outputs are ``(batch, ..., classes)``. Targets are integers ``(batch, ...)`` in [0, classes), or probabilities
    (one-hot or soft) ``(batch, ..., classes)``. Without weights and smoothing its gradient by z is softmax(z) − y.

    Args:
        label_smoothing: ε in [0, 1): the target becomes ``y(1 − ε) + ε/classes``.
        class_weights: w, one number above or equal to 0 for each class; None: all 1. The mean divides by the weights of
            the true classes, as PyTorch's does for integers; here a one-hot target gives the same.

    Source of label smoothing: Szegedy et al. 2016, CVPR, arXiv:1512.00567.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("label_smoothing", 0, 1)
        if self.class_weights is None:
            return
        try:
            weights = tuple(float(weight) for weight in self.class_weights)
        except (TypeError, ValueError):
            weights = ()
        if not weights or not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
            raise ConfigError(
                "SoftmaxCrossEntropy expects one finite number of at least 0 for each class, not all 0,"
                f" as class_weights. Received: class_weights={self.class_weights!r}."
            )
        object.__setattr__(self, "class_weights", weights)

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        logits, targets = floating(outputs), self._targets(outputs, targets)
        integers = targets.ndim < logits.ndim
        if integers and self.class_weights is None and self.label_smoothing == 0.0:
            return average(optax.losses.softmax_cross_entropy_with_integer_labels(logits, targets))
        classes = logits.shape[-1]
        labels = jax.nn.one_hot(targets, classes, dtype=logits.dtype) if integers else targets.astype(logits.dtype)
        labels = labels * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.class_weights is not None:
            labels = labels * jnp.asarray(self.class_weights, logits.dtype)
        return average(optax.losses.softmax_cross_entropy(logits, labels))

    def mass(self, outputs: Any, targets: Any) -> jax.Array | None:
        if self.class_weights is None:
            return None
        targets = self._targets(outputs, targets)
        weights: jax.Array = jnp.asarray(self.class_weights, floating(outputs).dtype)
        if targets.ndim < jnp.ndim(outputs):
            return average(weights[targets])
        return average(jnp.sum(targets.astype(weights.dtype) * weights, axis=-1))

    def _targets(self, outputs: Any, targets: Any) -> jax.Array:
        """Integers of one rank less than the outputs, or probabilities of the outputs' shape."""
        shape: tuple[int, ...] = jnp.shape(outputs)
        labels: jax.Array = jnp.asarray(targets)
        if self.class_weights is not None and shape[-1:] != (len(self.class_weights),):
            raise ShapeError(
                f"SoftmaxCrossEntropy has {len(self.class_weights)} class weights and got outputs of shape {shape}.",
                "Give one weight for each class.",
            )
        integers = jnp.issubdtype(labels.dtype, jnp.integer)
        if len(shape) >= 2 and (labels.shape == shape or (integers and labels.shape == shape[:-1])):
            return labels
        if integers and len(shape) >= 2 and labels.shape == (*shape[:-1], 1):
            return labels.reshape(shape[:-1])
        raise ShapeError(
            "SoftmaxCrossEntropy expects outputs (batch, ..., classes) and either integer targets (batch, ...) or"
            f" probabilities (batch, ..., classes); got outputs {shape} and targets {labels.shape} {labels.dtype}."
        )


@dataclass(frozen=True, repr=False)
class Hinge(Loss):
    """``max(0, margin − s·z)`` with s = 2y − 1; for several classes ``max(0, margin + max_{j≠y} z_j − z_y)``.

    Outputs are scores z: ``(batch,)`` or ``(batch, 1)`` with targets 0 or 1, or ``(batch, ..., classes)`` with integer
    targets ``(batch, ...)``. Targets of the outputs' shape are separate labels of 0 or 1. Margin 0 gives the
    perceptron's criterion. On the edge, s·z = margin, the gradient is −s: a perceptron that starts at zero learns.

    Source: Crammer and Singer 2001, JMLR 2:265-292; margin 0: Rosenblatt 1958, Psychological Review 65:386-408.

    Args:
        margin: how far the right side must win; at least 0.
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("margin", 0)

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        scores, labels = floating(outputs), jnp.asarray(targets)
        if scores.shape in (labels.shape, (*labels.shape, 1)):
            scores, labels = self._pair(scores, labels)
            shortfall = self.margin - (2 * labels - 1) * scores
        elif scores.shape[:-1] == labels.shape and jnp.issubdtype(labels.dtype, jnp.integer):
            true = jax.nn.one_hot(labels, scores.shape[-1], dtype=jnp.bool_)
            best_other = jnp.max(jnp.where(true, -jnp.inf, scores), axis=-1)
            shortfall = self.margin + best_other - jnp.sum(jnp.where(true, scores, 0), axis=-1)
        else:
            raise ShapeError(
                "Hinge expects outputs (batch, 1) with targets 0 or 1 (batch,), or outputs (batch, ..., classes) with"
                f" integer targets (batch, ...); got outputs {scores.shape} and targets {labels.shape} {labels.dtype}."
            )
        return average(jnp.where(shortfall >= 0, shortfall, 0))


@dataclass(frozen=True, repr=False)
class KLDivergence(Loss):
    """``Σ_c y_c·(log y_c − log softmax(z)_c)``, in nats, from logits z; averaged over trailing axes (positions).

    Outputs and targets are ``(batch, ..., classes)``; targets are probabilities. Its gradient by z is that of
    `SoftmaxCrossEntropy`, and its least value is 0.

    Source: Kullback and Leibler 1951, Annals of Mathematical Statistics 22:79-86.
    """

    def per_example(self, outputs: Any, targets: Any) -> jax.Array:
        logits, labels = vectors(self, outputs, targets)
        return average(optax.losses.kl_divergence(jax.nn.log_softmax(logits), labels))
