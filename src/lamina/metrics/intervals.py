"""How far a measured metric can be trusted: bootstrap intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lamina.errors import ConfigError
from lamina.metrics.base import Floats
from lamina.metrics.probabilities import CalibrationError, RocAuc
from lamina.metrics.standard import standard

__all__ = ["Interval", "bootstrap"]

_CHUNK = 300_000  # weights at a time: small enough for a cache
_AUC_BUDGET = 2_000_000_000  # examples x contests x resamples, some ten seconds


class Interval(NamedTuple):
    """A metric's value and the ends of its confidence interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None


def bootstrap(
    task: str,
    outputs: Any,
    targets: Any,
    classes: int = 0,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """The standard metrics of a task with percentile bootstrap intervals over examples.

    The data is drawn anew from itself, with replacement, ``resamples`` times; the interval holds the middle ``level``
    of the metric's values. Resamples in which a metric is undefined are left out of its interval. The calibration error
    of a resample is larger than that of the data, so its interval is the percentiles mirrored at the value, and widened
    to hold it. Where examples times classes are many millions, the area under the ROC curve takes fewer resamples, at
    least 100.

    Args:
        task: "classify", "multilabel" or "regress".
        outputs, targets: of all examples, as for `Metric.update`.
        classes: number of classes.
        resamples: at least 1.
        seed: the same seed gives the same intervals.
        level: in (0, 1).

    Returns:
        by metric: `Interval` (value, low, high).

    Source: Efron 1979, Annals of Statistics 7:1-26.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(
            "A bootstrap needs at least one resample and a level between 0 and 1."
            f" Received: resamples={resamples}, level={level}."
        )
    metrics = standard(task, classes)
    for metric in metrics.values():
        metric.update(outputs, targets)
    values = {name: metric.result() for name, metric in metrics.items()}
    count = len(targets)
    if count == 0:
        return {name: Interval(None, None, None) for name in metrics}

    functions = {name: metric.reweighted(outputs, targets) for name, metric in metrics.items()}
    wanted = dict.fromkeys(metrics, resamples)
    for name, metric in metrics.items():
        if isinstance(metric, RocAuc):
            wanted[name] = min(resamples, max(100, _AUC_BUDGET // np.size(outputs)))
    drawn: dict[str, list[Floats]] = {name: [] for name in metrics}
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        columns = min(step, resamples - start)
        weights = _resample(rng, count, columns)
        for name, function in functions.items():
            if start < wanted[name]:
                drawn[name].append(function(weights[:, : wanted[name] - start]))

    intervals = {}
    for name, value in values.items():
        samples = np.concatenate(drawn[name])
        samples = samples[~np.isnan(samples)]
        if value is None or not samples.size:
            intervals[name] = Interval(value, None, None)
            continue
        low, high = (float(end) for end in np.quantile(samples, [(1 - level) / 2, (1 + level) / 2]))
        if isinstance(metrics[name], CalibrationError):
            low, high = max(0.0, min(value, 2 * value - high)), max(value, 2 * value - low)
        intervals[name] = Interval(value, low, high)
    return intervals


def _resample(rng: np.random.Generator, count: int, columns: int) -> Floats:
    """How often each example is drawn, ``(count, columns)``."""
    drawn = rng.integers(0, count, size=(columns, count))
    return np.stack([np.bincount(row, minlength=count) for row in drawn], axis=1).astype(np.float64)
