"""Metrics of decisions: accuracies, precision, recall, F1, the confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.errors import ConfigError, ShapeError, nearest
from lamina.metrics.base import (
    AdditiveMetric,
    Classified,
    Floats,
    MeanMetric,
    Reweighted,
    example_weights,
    group_sums,
    ratio,
)

__all__ = [
    "F1",
    "Accuracy",
    "BalancedAccuracy",
    "ConfusionMatrix",
    "ExactMatch",
    "Precision",
    "Recall",
    "TopK",
]


class Accuracy(MeanMetric):
    """Share of examples whose class is right; for several labels, share of labels that are right."""

    name = "accuracy"

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        read = Classified(outputs, targets)
        return np.asarray(read.right.mean(axis=1)) if read.several else read.right


class ExactMatch(MeanMetric):
    """Share of examples all of whose labels are right."""

    name = "exact_match"

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        read = Classified(outputs, targets)
        return read.right.min(axis=1) if read.several else read.right


class TopK(MeanMetric):
    """Share of examples whose class is among the k of highest score. Of equal scores, lower classes come first."""

    def __init__(self, k: int = 5) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ConfigError(f"TopK expects a whole number of at least 1. Received: k={k!r}.")
        self.k = k
        self.name = f"top{k}"
        super().__init__()

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        read = Classified(outputs, targets).single(self)
        true = read.of_target[:, None]
        earlier = np.arange(read.scores.shape[1]) < read.targets[:, None]
        ahead = (read.scores > true) | ((read.scores == true) & earlier)
        return np.asarray(ahead.sum(axis=1) < self.k, np.float64)


class _FromCounts(AdditiveMetric):
    """Base of metrics of the counts, for each class: true positives, predicted, actual."""

    def totals(self, outputs: Any, targets: Any) -> Reweighted:
        read = self._read(outputs, targets)
        if read.several:
            predicted, actual = read.predicted.T.astype(np.float64), read.targets.T.astype(np.float64)
            stacked = np.concatenate([predicted * actual, predicted, actual])
            return lambda weights: stacked @ weights
        classes = read.scores.shape[1]
        pair = read.targets * classes + read.predicted
        actual, predicted = np.divmod(np.unique(pair), classes)
        hits = np.flatnonzero(actual == predicted)
        sums = group_sums(pair)

        def count(weights: Floats) -> Floats:
            by_pair = sums(weights)
            counts = np.zeros((3 * classes, weights.shape[1]))
            counts[actual[hits]] = by_pair[hits]
            np.add.at(counts, classes + predicted, by_pair)
            np.add.at(counts, 2 * classes + actual, by_pair)
            return counts

        return count

    def value(self, totals: Floats, weight: Floats) -> Floats:
        hits, predicted, actual = totals.reshape(3, -1, totals.shape[-1])
        return self._of_counts(hits, predicted, actual)

    def _read(self, outputs: Any, targets: Any) -> Classified:
        return Classified(outputs, targets)

    def _of_counts(self, hits: Floats, predicted: Floats, actual: Floats) -> Floats:
        raise NotImplementedError


class BalancedAccuracy(_FromCounts):
    """Mean over the classes that occur of the share of their examples that is right (mean recall)."""

    name = "balanced_accuracy"

    def _read(self, outputs: Any, targets: Any) -> Classified:
        return Classified(outputs, targets).single(self)

    def _of_counts(self, hits: Floats, predicted: Floats, actual: Floats) -> Floats:
        return ratio(ratio(hits, actual, 0.0).sum(axis=0), (actual > 0).sum(axis=0).astype(np.float64), np.nan)


class _Averaged(_FromCounts):
    """Base of precision, recall and F1: hits of a class over a number of the class, averaged over classes."""

    kind = ""

    def __init__(self, average: str = "macro") -> None:
        choices = ("macro", "micro", "weighted", "binary")
        if average not in choices:
            raise ConfigError(f"Unknown average {average!r}.", nearest(str(average), choices))
        self.average = average
        self.name = self.kind if average == "macro" else f"{self.kind}_{average}"
        super().__init__()

    def _read(self, outputs: Any, targets: Any) -> Classified:
        read = Classified(outputs, targets)
        if self.average == "binary" and (read.several or read.scores.shape[1] != 2):
            raise ShapeError(
                f"{type(self).__name__} with average='binary' needs two classes, got outputs {np.shape(outputs)}.",
                "Take average='macro', 'micro' or 'weighted'.",
            )
        return read

    def _of_counts(self, hits: Floats, predicted: Floats, actual: Floats) -> Floats:
        if self.average == "binary":
            hits, predicted, actual = hits[1:], predicted[1:], actual[1:]
        if self.average == "micro":
            hits, predicted, actual = (counts.sum(axis=0, keepdims=True) for counts in (hits, predicted, actual))
        of_class = ratio(hits, self._base(predicted, actual), 0.0)
        share = actual if self.average == "weighted" else (predicted + actual > 0).astype(np.float64)
        return ratio((share * of_class).sum(axis=0), share.sum(axis=0), np.nan)

    def _base(self, predicted: Floats, actual: Floats) -> Floats:
        raise NotImplementedError


class Precision(_Averaged):
    """Of the examples given a class, the share that has it: TP / (TP + FP).

    Args:
        average: "macro", the plain mean over the classes that occur in targets or predictions (two classes too: both
            count alike); "weighted", weighted by how often a class occurs; "micro", over all decisions together;
            "binary", of class 1 of two. A class that occurs and is never predicted has precision 0.
    """

    kind = "precision"

    def _base(self, predicted: Floats, actual: Floats) -> Floats:
        return predicted


class Recall(_Averaged):
    """Of the examples of a class, the share that was given it: TP / (TP + FN).

    Args:
        average: as for `Precision`. A class that is predicted and never occurs has recall 0.
    """

    kind = "recall"

    def _base(self, predicted: Floats, actual: Floats) -> Floats:
        return actual


class F1(_Averaged):
    """The harmonic mean of precision and recall of a class: 2 TP / (2 TP + FP + FN).

    Args:
        average: as for `Precision`. "macro" is the mean of the classes' F1.
    """

    kind = "f1"

    def _base(self, predicted: Floats, actual: Floats) -> Floats:
        return (predicted + actual) / 2


class ConfusionMatrix:
    """How often each class (row) was given each class (column)."""

    name = "confusion_matrix"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._counts: Floats | None = None
        self._weighted = False

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Take in a batch; arguments as for `Metric.update`, one class an example."""
        read = Classified(outputs, targets)
        if read.several:
            raise ShapeError(f"A confusion matrix needs one class an example; got labels {read.targets.shape}.")
        classes = read.scores.shape[1]
        pair, weight = read.targets * classes + read.predicted, example_weights(weights, len(read.targets))
        counts: Floats = np.asarray(np.bincount(pair, weight, classes**2), np.float64).reshape(classes, classes)
        if self._counts is not None and self._counts.shape != counts.shape:
            raise ShapeError(f"The confusion matrix is {self._counts.shape}, and a batch has {classes} classes.")
        self._counts = counts if self._counts is None else self._counts + counts
        self._weighted |= weights is not None

    def result(self) -> NDArray[Any] | None:
        """``(classes, classes)``: int64 counts, or float64 where weights were given; None before the first batch."""
        if self._counts is None:
            return None
        return self._counts.copy() if self._weighted else self._counts.astype(np.int64)
