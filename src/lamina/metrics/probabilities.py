"""Metrics of probabilities: log-loss, Brier score, calibration error, area under the ROC curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.errors import ConfigError, ShapeError
from lamina.metrics.base import (
    AdditiveMetric,
    Classified,
    Floats,
    MeanMetric,
    Metric,
    Reweighted,
    example_weights,
    group_sums,
    ratio,
)

__all__ = ["Brier", "CalibrationError", "LogLoss", "RocAuc"]


class LogLoss(MeanMetric):
    """Mean of −log of the true class's probability, in nats; for several labels, the mean over them.

    Probabilities below the dtype's epsilon (1.2e-7 for float32) count as that, so that no single example makes it
    infinite.
    """

    name = "log_loss"
    higher_is_better = False

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        read = Classified(outputs, targets, probabilities=True)
        if read.several:
            positive = read.scores.astype(np.float64)
            true = np.where(read.targets == 1, positive, 1 - positive)
        else:
            true = read.of_target
        surprise: Floats = -np.log(np.clip(true, read.eps, 1.0))
        return np.asarray(surprise.mean(axis=1)) if read.several else surprise


class Brier(MeanMetric):
    """Mean squared error of probabilities: ``Σ_c (p_c − y_c)²``, in [0, 2]; of two classes ``(p₁ − y)²``, in [0, 1].

    Two classes give the same whether the network ends in one unit or in two; several labels give their mean.

    Source: Brier 1950, Monthly Weather Review 78:1-3; halved for two classes, as is usual.
    """

    name = "brier"
    higher_is_better = False

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        read = Classified(outputs, targets, probabilities=True)
        scores = read.scores.astype(np.float64)
        if read.several:
            return np.asarray(np.square(scores - read.targets).mean(axis=1))
        if scores.shape[1] == 2:
            return np.asarray(np.square(scores[:, 1] - read.targets))
        # Σ (p − y)² = Σ p² − 2 p_true + 1, without the one-hot targets.
        return np.asarray(np.square(scores).sum(axis=1) - 2 * read.of_target + 1)


class CalibrationError(AdditiveMetric):
    """Expected calibration error: ``Σ_b (n_b / n) · |accuracy_b − confidence_b|`` over bins b of confidence.

    Confidence is the highest class's probability; bins are of equal width and closed on the right.

    Source: Guo et al. 2017, ICML, arXiv:1706.04599.

    Args:
        bins: number of bins in [0, 1].
    """

    name = "ece"
    higher_is_better = False

    def __init__(self, bins: int = 15) -> None:
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
            raise ConfigError(f"CalibrationError expects a whole number of at least 1. Received: bins={bins!r}.")
        self.bins = bins
        super().__init__()

    def totals(self, outputs: Any, targets: Any) -> Reweighted:
        read = Classified(outputs, targets, probabilities=True).single(self)
        confidence = read.scores.max(axis=1).astype(np.float64)
        bins = np.digitize(confidence, np.linspace(0, 1, self.bins + 1)[1:-1], right=True)
        gaps, sums = (read.right - confidence)[:, None], group_sums(bins)
        filled = np.unique(bins)

        def by_bin(weights: Floats) -> Floats:
            out = np.zeros((self.bins, weights.shape[1]))
            out[filled] = sums(gaps * weights)
            return out

        return by_bin

    def value(self, totals: Floats, weight: Floats) -> Floats:
        return ratio(np.abs(totals).sum(axis=0), weight, np.nan)


class RocAuc(Metric):
    """Area under the ROC curve: the probability that a positive scores higher than a negative, ties counting half.

    Exact: all scores are kept until `reset`. For more than two classes, the mean over classes of each against the rest;
    for several labels, the mean over labels. Those without a positive or without a negative are left out, and None is
    the result where none is left.

    Source: Hanley and McNeil 1982, Radiology 143:29-36.
    """

    name = "auc"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._scores: list[NDArray[Any]] = []
        self._targets: list[NDArray[np.int64]] = []
        self._weights: list[Floats] = []

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        scores, positive = _contests(outputs, targets)
        if self._scores and self._scores[0].shape[1] != scores.shape[1]:
            raise ShapeError(f"Metric 'auc' got outputs of shape {np.shape(outputs)}, unlike the batches before.")
        self._scores.append(scores)
        self._targets.append(positive)
        self._weights.append(example_weights(weights, len(scores)))

    def result(self) -> float | None:
        if not self._scores:
            return None
        weights = np.concatenate(self._weights)[:, None]
        value = float(_auc(np.concatenate(self._scores), np.concatenate(self._targets))(weights)[0])
        return None if np.isnan(value) else value

    def reweighted(self, outputs: Any, targets: Any) -> Reweighted:
        return _auc(*_contests(outputs, targets))


def _contests(outputs: Any, targets: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Scores ``(n, contests)``, and either labels of the same shape or the class ``(n,)``.

    Two classes are one contest, with labels ``(n, 1)``.
    """
    read = Classified(outputs, targets)
    if read.several or read.scores.shape[1] != 2:
        return read.scores, read.targets
    # The scores may be any numbers; of two, the difference tells the order.
    first, second = read.scores[:, 0].astype(np.float64), read.scores[:, 1].astype(np.float64)
    return (second - first)[:, None], read.targets[:, None]


def _auc(scores: NDArray[Any], targets: NDArray[np.int64]) -> Reweighted:
    contests = []
    for index in range(scores.shape[1]):
        positive = targets == index if targets.ndim == 1 else targets[:, index] == 1
        order = np.argsort(scores[:, index], kind="stable")
        ranked = scores[order, index]
        winners = np.flatnonzero(positive)
        below = np.searchsorted(ranked, scores[winners, index], side="left")
        upto = np.searchsorted(ranked, scores[winners, index], side="right")
        if 0 < len(winners) < len(positive):
            contests.append((order, winners, below, upto))

    def value(weights: Floats) -> Floats:
        columns = weights.shape[1]
        areas, defined = np.zeros(columns), np.zeros(columns)
        everything = weights.sum(axis=0)
        passed = np.zeros((len(weights) + 1, columns))
        for order, winners, below, upto in contests:
            np.cumsum(weights[order], axis=0, out=passed[1:])
            own = weights[winners]
            positives = own.sum(axis=0)
            negatives = everything - positives
            # Positives among themselves, ties and each with itself counted half, make positives² / 2 wins.
            wins = np.einsum("nc,nc->c", own, passed[below] + passed[upto]) / 2 - positives**2 / 2
            fought = (positives > 0) & (negatives > 0)
            areas += np.where(fought, wins / np.where(fought, positives * negatives, 1.0), 0.0)
            defined += fought
        return np.where(defined > 0, areas / np.maximum(defined, 1), np.nan)

    return value
