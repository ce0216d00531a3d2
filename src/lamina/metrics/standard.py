"""Which metrics every task is measured by, under the names used everywhere."""

from __future__ import annotations

from collections.abc import Callable

from lamina.errors import ConfigError, nearest
from lamina.metrics.base import Metric
from lamina.metrics.decisions import F1, Accuracy, BalancedAccuracy, ExactMatch, Precision, Recall, TopK
from lamina.metrics.probabilities import Brier, CalibrationError, LogLoss, RocAuc
from lamina.metrics.symbols import CrossEntropy, NextAccuracy, Perplexity
from lamina.metrics.values import (
    R2,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SumSquaredError,
    VarianceExplained,
)

__all__ = ["higher_is_better", "main_metric", "standard"]

_TASKS: dict[str, tuple[Callable[[], Metric], ...]] = {
    "classify": (
        Accuracy,
        BalancedAccuracy,
        Precision,
        Recall,
        F1,
        RocAuc,
        LogLoss,
        Brier,
        CalibrationError,
    ),
    "multilabel": (Accuracy, ExactMatch, F1, RocAuc, LogLoss),
    "regress": (MeanSquaredError, RootMeanSquaredError, MeanAbsoluteError, R2),
    "forecast": (MeanAbsoluteError, RootMeanSquaredError, MeanSquaredError, R2),
    "autoencode": (SumSquaredError, RootMeanSquaredError, VarianceExplained),
    "generate": (CrossEntropy, Perplexity, NextAccuracy),
}
_MAIN = {
    "classify": "accuracy",
    "multilabel": "f1",
    "regress": "r2",
    "forecast": "mae",
    "autoencode": "squared_error",
    "generate": "cross_entropy",
}


def standard(task: str, classes: int = 0) -> dict[str, Metric]:
    """New metrics of a task, by name.

    - "classify": accuracy, balanced_accuracy, precision, recall, f1 (macro means over the classes, with two classes
      too), auc, log_loss, brier, ece, and top5 where there are more than 5 classes.
    - "multilabel": accuracy (of labels), exact_match, f1 and auc (means over labels), log_loss.
    - "regress": mse, rmse, mae, r2; "forecast": the same.
    - "autoencode": squared_error (the sum over an input's numbers, averaged over the inputs), rmse, variance_explained.
    - "generate": cross_entropy (nats a symbol), perplexity, accuracy, of the scores of pieces.

    Args:
        task: one of these.
        classes: number of classes.

    Raises:
        ConfigError: for another task.
    """
    metrics = [make() for make in _TASKS[_known(task)]]
    if task == "classify" and classes > 5:
        metrics.append(TopK(5))
    return {metric.name: metric for metric in metrics}


def main_metric(task: str) -> str:
    """The name of the metric that a task's models are compared by, such as "accuracy" or "r2"."""
    return _MAIN[_known(task)]


def higher_is_better(name: str) -> bool:
    """Whether more of the metric called ``name`` is better; "loss" is known too.

    Raises:
        ConfigError: for an unknown name; near ones are offered.
    """
    known = {metric.name: metric.higher_is_better for task in _TASKS for metric in standard(task, 6).values()}
    known["loss"] = False
    if name not in known:
        raise ConfigError(f"Unknown metric {name!r}.", nearest(name, known))
    return known[name]


def _known(task: str) -> str:
    if task not in _TASKS:
        raise ConfigError(f"No standard metrics for task {task!r}.", nearest(task, _TASKS))
    return task
