"""How numbers and names are written in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = [
    "amount", "count", "duration", "interval", "is_share", "metric_label", "metric_value", "percent", "shorten",
    "unbroken",
]  # fmt: skip

_NARROW = "\u202f"
_PERCENT = frozenset({"accuracy", "balanced_accuracy", "precision", "recall", "f1", "exact_match"})
_PLACES = frozenset({"auc", "cross_entropy", "log_loss", "brier", "ece", "r2"})
_LABELS = {
    "f1": "F1",
    "auc": "Area under the ROC curve",
    "cross_entropy": "Cross-entropy, nats a character",
    "log_loss": "Log-loss, nats",
    "brier": "Brier score",
    "ece": "Calibration error",
    "mse": "Mean squared error",
    "rmse": "Root mean squared error",
    "mae": "Mean absolute error",
    "r2": "R²",
}


def is_share(name: str) -> bool:
    """Whether a metric says how much of something is right: 1 is all of it."""
    return _in_percent(name) or name in ("auc", "r2")


def metric_label(name: str) -> str:
    """A metric's name for people: "Balanced accuracy"."""
    if name.startswith("top") and name[3:].isdigit():
        return f"Right class among the top {name[3:]}"
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def metric_value(name: str, value: float | None) -> str:
    """A metric's value: shares in percent, the rest as they are."""
    if value is None:
        return "undefined"
    if _in_percent(name):
        return percent(value)
    return f"{value:.3f}" if name in _PLACES and abs(value) < 1000 else amount(value)


def _in_percent(name: str) -> bool:
    return name in _PERCENT or name.startswith("top")


def interval(name: str, bounds: Sequence[float | None]) -> str:
    """The ends of a 95 % interval: "96.1 to 99.4 %"."""
    low, high = bounds[-2], bounds[-1]
    if low is None or high is None:
        return "–"
    first, last = metric_value(name, low), metric_value(name, high)
    return f"{first.removesuffix(f'{_NARROW}%')} to {last}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent: "98.3 %". What is not quite all or nothing never reads "100 %" or "0 %"."""
    if value is None or math.isnan(value):
        return "–"
    step = 10.0**-digits
    shown = round(100 * value, digits)
    if shown >= 100 and value < 1:
        shown = 100 - step
    if shown <= 0 and value > 0:
        return f"<{_NARROW}{step:g}{_NARROW}%"
    return f"{shown:.{digits}f}{_NARROW}%"


def amount(value: float) -> str:
    """A number with four digits that count: "1,234", "0.01235", "−3.4e+08"."""
    if value == 0:
        return "0"
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}".replace(",", _NARROW).replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def count(value: int) -> str:
    """A whole number in groups of three digits."""
    return f"{value:,}".replace(",", _NARROW)


def duration(seconds: float) -> str:
    """A time for people: "4.2 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f}{_NARROW}s" if seconds >= 0.1 else f"{1000 * seconds:.0f}{_NARROW}ms"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{_NARROW}min {whole % 60}{_NARROW}s"
    return f"{whole // 3600}{_NARROW}h {whole % 3600 // 60}{_NARROW}min"


def unbroken(sentence: str) -> str:
    """The sentence with its percent signs kept on the line of their numbers."""
    return sentence.replace(" %", f"{_NARROW}%")


def shorten(text: str, limit: int = 28) -> str:
    """The text, or its beginning and end where it is longer than ``limit``."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[-(limit - 1 - head) :]}"
