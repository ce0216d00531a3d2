"""Metrics of values: mean squared and absolute error, R²."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.errors import ShapeError
from lamina.metrics.base import Floats, MeanMetric, Metric, Reweighted, example_weights, numbers, ratio

__all__ = [
    "R2",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "RootMeanSquaredError",
    "SumSquaredError",
    "VarianceExplained",
]


class MeanSquaredError(MeanMetric):
    """Mean of ``(ŷ − y)²`` over examples and outputs, in the target's unit squared."""

    name = "mse"
    higher_is_better = False

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        predicted, true = _pair(outputs, targets)
        return np.asarray(np.square(predicted - true).mean(axis=1))


class SumSquaredError(MeanMetric):
    """Sum of ``(ŷ − y)²`` over an example's outputs, averaged over the examples: an auto-encoder's error a picture."""

    name = "squared_error"
    higher_is_better = False

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        predicted, true = _pair(outputs, targets)
        return np.asarray(np.square(predicted - true).sum(axis=1))


class RootMeanSquaredError(MeanSquaredError):
    """Square root of the mean squared error over examples and outputs, in the target's unit."""

    name = "rmse"

    def value(self, totals: Floats, weight: Floats) -> Floats:
        return np.sqrt(super().value(totals, weight))


class MeanAbsoluteError(MeanMetric):
    """Mean of ``|ŷ − y|`` over examples and outputs, in the target's unit."""

    name = "mae"
    higher_is_better = False

    def per_example(self, outputs: Any, targets: Any) -> Floats:
        predicted, true = _pair(outputs, targets)
        return np.asarray(np.abs(predicted - true).mean(axis=1))


class R2(Metric):
    """Share of the target's variance that is explained: ``1 − Σ (ŷ − y)² / Σ (y − ȳ)²``; the mean over outputs.

    At most 1; 0 for always predicting the mean. Outputs whose target is constant are left out, and None is the result
    where none is left. Sums of squares are merged between batches without cancellation.

    Source of the merging: Chan et al. 1983, The American Statistician 37:242-247.
    """

    name = "r2"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._weight = 0.0
        self._mean = self._spread = self._residual = np.zeros(0)
        self._low = self._high = np.zeros(0)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        predicted, true = _pair(outputs, targets)
        counts = example_weights(weights, len(true))
        predicted, true, counts = predicted[counts > 0], true[counts > 0], counts[counts > 0]
        if not len(true):
            return
        if self._weight == 0.0:
            self._mean = self._spread = self._residual = np.zeros(true.shape[1])
            self._low, self._high = true[0], true[0]
        elif self._mean.shape != true.shape[1:]:
            raise ShapeError(f"Metric 'r2' got outputs of shape {np.shape(outputs)}, unlike the batches before.")
        weight = float(counts.sum())
        mean = counts @ true / weight
        together = self._weight + weight
        shift = mean - self._mean
        spread = counts @ np.square(true - mean)
        self._spread = self._spread + spread + np.square(shift) * (self._weight * weight / together)
        self._mean = self._mean + shift * (weight / together)
        self._residual = self._residual + counts @ np.square(predicted - true)
        self._low, self._high = np.minimum(self._low, true.min(axis=0)), np.maximum(self._high, true.max(axis=0))
        self._weight = together

    def result(self) -> float | None:
        varies = self._low < self._high
        if not varies.any():
            return None
        return float(np.mean(1 - self._residual[varies] / self._spread[varies]))

    def reweighted(self, outputs: Any, targets: Any) -> Reweighted:
        predicted, true = _pair(outputs, targets)
        centred = true - true.mean(axis=0)
        residual = np.square(predicted - true)

        def value(weights: Floats) -> Floats:
            weight = np.maximum(weights.sum(axis=0), 1e-300)
            squares = np.square(centred).T @ weights
            spread = squares - np.square(centred.T @ weights) / weight
            # What rounding leaves of a resample that drew one target over and over is not variance.
            varies = spread > 1e-12 * squares
            explained = np.where(varies, 1 - (residual.T @ weights) / np.where(varies, spread, 1.0), 0.0)
            return ratio(explained.sum(axis=0), varies.sum(axis=0).astype(np.float64), np.nan)

        return value


class VarianceExplained(R2):
    """Share of the inputs' variance that an auto-encoder gives back: ``1 − Σ (ŷ − y)² / Σ (y − ȳ)²`` over all outputs.

    At most 1; 0 for always giving the mean. Outputs that hardly vary, such as a picture's corners, hardly count, where
    in R² each output counts alike. None where all are constant.
    """

    name = "variance_explained"

    def result(self) -> float | None:
        varies = self._low < self._high
        if not varies.any():
            return None
        return float(1 - self._residual.sum() / self._spread.sum())

    def reweighted(self, outputs: Any, targets: Any) -> Reweighted:
        predicted, true = _pair(outputs, targets)
        centred = true - true.mean(axis=0)
        residual, square = np.square(predicted - true).sum(axis=1), np.square(centred).sum(axis=1)

        def value(weights: Floats) -> Floats:
            weight = np.maximum(weights.sum(axis=0), 1e-300)
            squares = square @ weights
            spread = squares - np.square(centred.T @ weights).sum(axis=0) / weight
            varies = spread > 1e-12 * squares
            return np.where(varies, 1 - (residual @ weights) / np.where(varies, spread, 1.0), np.nan)

        return value


def _pair(outputs: Any, targets: Any) -> tuple[Floats, Floats]:
    """Outputs and targets as float64 ``(n, outputs)``."""
    predicted = numbers(outputs, "outputs").astype(np.float64)
    true = numbers(targets, "targets").astype(np.float64)
    if predicted.shape != true.shape and (*predicted.shape, 1) != true.shape and predicted.shape != (*true.shape, 1):
        raise ShapeError(
            f"Expected outputs and targets of one shape, got outputs {predicted.shape} and targets {true.shape}."
        )
    if predicted.ndim == 0:
        raise ShapeError("Expected arrays of examples, got single numbers.")
    width = int(np.prod(true.shape[1:])) if true.ndim > 1 else 1
    return predicted.reshape(len(predicted), width), true.reshape(len(true), width)
