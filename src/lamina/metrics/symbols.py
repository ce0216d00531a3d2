"""Metrics of what comes next in a sequence, from the scores of pieces (see `lamina.heads.next_scores`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.errors import ShapeError
from lamina.metrics.base import Floats, MeanMetric, numbers

__all__ = ["CrossEntropy", "NextAccuracy", "Perplexity"]


class _Scored(MeanMetric):
    """Base: outputs are ``(n, 2)``, each piece's mean of −log p of what came next, in nats, and share guessed right."""

    column: int

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        scores = numbers(outputs, "scores")
        if scores.ndim != 2 or scores.shape[1] != 2:
            raise ShapeError(f"Metric {self.name!r} takes the scores of pieces (n, 2), got {scores.shape}.")
        return scores[:, self.column].astype(np.float64)


class CrossEntropy(_Scored):
    """Mean of −log of the probability of what came next, in nats a symbol."""

    name = "cross_entropy"
    higher_is_better = False
    column = 0


class Perplexity(CrossEntropy):
    """exp(cross-entropy): as if so many symbols were equally probable each time.

    Source: Jelinek, Mercer, Bahl & Baker 1977, Journal of the Acoustical Society of America 62:S63.
    """

    name = "perplexity"

    def value(self, totals: Floats, weight: Floats) -> Floats:
        return np.asarray(np.exp(super().value(totals, weight)))


class NextAccuracy(_Scored):
    """Share of the symbols that were held for the most probable."""

    name = "accuracy"
    column = 1
