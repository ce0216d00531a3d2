"""Metrics of networks, in NumPy: streaming, exact over uneven batches, None where undefined (never NaN)."""

from __future__ import annotations

from lamina.metrics.base import AdditiveMetric, MeanMetric, Metric
from lamina.metrics.decisions import (
    F1,
    Accuracy,
    BalancedAccuracy,
    ConfusionMatrix,
    ExactMatch,
    Precision,
    Recall,
    TopK,
)
from lamina.metrics.intervals import Interval, bootstrap
from lamina.metrics.probabilities import Brier, CalibrationError, LogLoss, RocAuc
from lamina.metrics.standard import higher_is_better, main_metric, standard
from lamina.metrics.symbols import CrossEntropy, NextAccuracy, Perplexity
from lamina.metrics.values import (
    R2,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SumSquaredError,
    VarianceExplained,
)

__all__ = [
    "F1",
    "R2",
    "Accuracy",
    "AdditiveMetric",
    "BalancedAccuracy",
    "Brier",
    "CalibrationError",
    "ConfusionMatrix",
    "CrossEntropy",
    "ExactMatch",
    "Interval",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanMetric",
    "MeanSquaredError",
    "Metric",
    "NextAccuracy",
    "Perplexity",
    "Precision",
    "Recall",
    "RocAuc",
    "RootMeanSquaredError",
    "SumSquaredError",
    "TopK",
    "VarianceExplained",
    "bootstrap",
    "higher_is_better",
    "main_metric",
    "standard",
]
