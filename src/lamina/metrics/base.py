"""What a metric is, and how outputs and targets are read."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lamina.errors import BadInputError, ShapeError

__all__ = ["AdditiveMetric", "MeanMetric", "Metric"]

Floats: TypeAlias = NDArray[np.float64]
Reweighted: TypeAlias = Callable[[Floats], Floats]
"""From weights ``(examples, columns)`` to one value, or one row of totals, for each column."""


class Metric(abc.ABC):
    """Base of all metrics: ``update`` with each batch, then ``result``. Batches may be of any size.

    Attributes:
        name: the metric's name in tables and files.
        higher_is_better: True where more is better.
    """

    name: str = ""
    higher_is_better: bool = True

    @abc.abstractmethod
    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Take in a batch.

        Args:
            outputs: probabilities of classes ``(n, classes)``, or ``(n,)`` or ``(n, 1)`` of class 1; probabilities of
                several labels ``(n, labels)``; or predicted values ``(n, ...)``.
            targets: integer classes ``(n,)``; labels of 0 and 1 ``(n, labels)``; or values ``(n, ...)``.
            weights: what every example counts, ``(n,)``, at least 0; 0 leaves an example out (padding).

        Raises:
            ShapeError: when the shapes do not fit each other.
            BadInputError: for outputs that are not finite or not probabilities, or targets out of range.
        """

    @abc.abstractmethod
    def result(self) -> float | None:
        """The metric over all batches since the last reset; None where it is undefined."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Forget all batches."""

    @abc.abstractmethod
    def reweighted(self, outputs: Any, targets: Any) -> Reweighted:
        """The metric as a function of the examples' weights: what a bootstrap calls.

        Returns:
            a function from weights ``(n, columns)`` to values ``(columns,)``, NaN where undefined.
        """


class AdditiveMetric(Metric):
    """Base of metrics that follow from weighted sums over examples."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._totals: Floats | None = None
        self._weight = 0.0

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        counts = example_weights(weights, len(targets))[:, None]
        if not counts.size:
            return
        totals = self.totals(outputs, targets)(counts)
        if self._totals is not None and self._totals.shape != totals.shape:
            raise ShapeError(
                f"Metric {self.name!r} got outputs of shape {np.shape(outputs)}, unlike those of the batches before."
            )
        self._totals = totals if self._totals is None else self._totals + totals
        self._weight += float(counts.sum())

    def result(self) -> float | None:
        if self._totals is None or self._weight == 0.0:
            return None
        value = float(self.value(self._totals, np.array([self._weight]))[0])
        return None if np.isnan(value) else value

    def reweighted(self, outputs: Any, targets: Any) -> Reweighted:
        totals = self.totals(outputs, targets)
        return lambda weights: self.value(totals(weights), weights.sum(axis=0))

    @abc.abstractmethod
    def totals(self, outputs: Any, targets: Any) -> Reweighted:
        """A function from weights ``(n, columns)`` to sums ``(sums, columns)``."""

    @abc.abstractmethod
    def value(self, totals: Floats, weight: Floats) -> Floats:
        """The metric from sums ``(sums, columns)`` and total weights ``(columns,)``; NaN where undefined."""


class MeanMetric(AdditiveMetric):
    """Base of metrics that are the mean of a number that each example has."""

    @abc.abstractmethod
    def per_example(self, outputs: Any, targets: Any) -> Floats:
        """The number of each example, ``(n,)``."""

    def totals(self, outputs: Any, targets: Any) -> Reweighted:
        values = self.per_example(outputs, targets)[None]
        return lambda weights: values @ weights

    def value(self, totals: Floats, weight: Floats) -> Floats:
        return ratio(totals[0], weight, np.nan)


def ratio(numerator: Floats, denominator: Floats, otherwise: float) -> Floats:
    """The quotient, and ``otherwise`` where the denominator is 0."""
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, numerator / safe, otherwise)


def group_sums(groups: NDArray[np.int64]) -> Reweighted:
    """A function from weights ``(n, columns)`` to their sums by group ``(groups, columns)``, in the groups' order."""
    order = np.argsort(groups, kind="stable")
    starts = np.unique(groups[order], return_index=True)[1]
    return lambda weights: np.add.reduceat(weights[order], starts, axis=0)


def example_weights(weights: Any, count: int) -> Floats:
    """Weights as float64 ``(n,)``; ones where none are given."""
    if weights is None:
        return np.ones(count)
    array = np.asarray(weights, np.float64)
    if array.shape != (count,):
        raise ShapeError(f"Expected one weight for each of {count} examples, got weights of shape {array.shape}.")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise BadInputError("Weights of examples must be finite and at least 0.")
    return array


def numbers(values: Any, what: str) -> NDArray[Any]:
    """Finite float32 or float64, from whatever the network gave (bfloat16 too)."""
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype.kind not in "iu" else np.float64)
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise BadInputError(
            f"{bad} of {array.size} {what} are NaN or infinite.",
            "Look at the data, or train with a lower learning rate or clip_norm.",
        )
    return array


class Classified:
    """Outputs and targets of a classification, read.

    Attributes:
        scores: ``(n, classes)``; one unit's probability p is read as (1 − p, p).
        targets: ``(n,)`` classes, or ``(n, labels)`` of 0 and 1.
        several: several labels an example, in place of one class.
        eps: the least number that the outputs' dtype tells from 0 beside 1.
    """

    def __init__(self, outputs: Any, targets: Any, *, probabilities: bool = False) -> None:
        scores, labels = numbers(outputs, "outputs"), np.asarray(targets)
        self.eps = float(np.finfo(scores.dtype).eps)
        one_unit = scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1)
        self.several = not one_unit and labels.shape == scores.shape and scores.ndim == 2
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if not self.several and (scores.ndim not in (1, 2) or labels.shape != scores.shape[:1]):
            raise ShapeError(
                "Expected outputs (n, classes) with targets (n,), or outputs and targets (n, labels);"
                f" got outputs {scores.shape} and targets {np.shape(targets)}."
            )
        if (probabilities or one_unit or self.several) and scores.size:
            low, high = float(scores.min()), float(scores.max())
            if low < -1e-3 or high > 1 + 1e-3:
                raise BadInputError(
                    f"Expected probabilities, got outputs between {low:g} and {high:g}.",
                    "Apply softmax or sigmoid to logits first.",
                )
        if one_unit:
            positive = scores.reshape(-1).astype(np.float64)
            scores = np.stack([1 - positive, positive], axis=1)
        self.scores: NDArray[Any] = scores
        self.targets: NDArray[np.int64] = _whole(labels, 2 if self.several else scores.shape[1])

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The class of the highest score ``(n,)`` (the first of equals), or 1 for the labels above one half."""
        return (self.scores > 0.5).astype(np.int64) if self.several else self.scores.argmax(axis=1)

    @property
    def right(self) -> Floats:
        """1 where the prediction is the target, else 0: ``(n,)`` or ``(n, labels)``."""
        return np.asarray(self.predicted == self.targets, np.float64)

    @property
    def of_target(self) -> Floats:
        """The score of the true class, ``(n,)``."""
        return np.take_along_axis(self.scores, self.targets[:, None], axis=1)[:, 0].astype(np.float64)

    def single(self, metric: Metric) -> Classified:
        """Itself, where each example has one class."""
        if self.several:
            raise ShapeError(
                f"Metric {metric.name!r} needs one class an example; got several labels {self.targets.shape}."
            )
        return self


def _whole(labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    if labels.dtype.kind not in "biuf" or (labels.dtype.kind == "f" and not (labels == np.round(labels)).all()):
        raise BadInputError(f"Expected classes as whole numbers from 0 to {classes - 1}, got {labels.dtype} targets.")
    whole = labels.astype(np.int64)
    if whole.size and (whole.min() < 0 or whole.max() >= classes):
        raise BadInputError(
            f"Expected classes from 0 to {classes - 1}, got targets from {whole.min()} to {whole.max()}.",
            "Let the network have as many outputs as there are classes.",
        )
    return whole
