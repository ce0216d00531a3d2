"""From labels and values to a `Target`: which task they ask for, what they may not be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from lamina.data.base import ClassTarget, MultiLabelTarget, Target, Task, ValueTarget
from lamina.errors import ConfigError, DataError, nearest

__all__ = [
    "check_finite",
    "check_task",
    "class_names",
    "class_texts",
    "encode_labels",
    "fit_target",
    "guess_task",
    "needs_logarithm",
    "normal_labels",
]

_MAGNITUDES = 1000.0


def check_task(task: str) -> None:
    """Raise `ConfigError` for a task that is not known."""
    known = ("auto", *get_args(Task))
    if task not in known:
        raise ConfigError(f"Unknown task {task!r}.", nearest(task, known))


def check_finite(array: np.ndarray, what: str) -> None:
    """Raise `DataError` where a floating-point array has NaN or infinity, with their count and the first place."""
    if array.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(axis[0]) for axis in np.nonzero(bad))
        raise DataError(
            f"{what} has {int(bad.sum())} NaN or infinite numbers, the first at index {first}.",
            "Replace them or leave these examples out.",
        )


def class_texts(labels: Any, what: str = "The target") -> np.ndarray:
    """Labels ``(n,)`` as text: whole numbers (also 3.0) as "3", text as it stands, truth as "False" and "True".

    Raises:
        DataError: for labels that are missing, or numbers that are not whole.
    """
    array = np.asarray(labels)
    if array.dtype == object:
        missing = [index for index, label in enumerate(array) if label is None or label != label]
        if missing:
            raise DataError(f"{what} is missing in {len(missing)} examples, the first at index {missing[0]}.")
    check_finite(array, what)
    if array.dtype.kind == "f":
        broken = np.flatnonzero(array != np.round(array))
        if len(broken):
            raise DataError(
                f"{what} has values that are no class labels: {array[broken[0]]} at index {broken[0]} is not whole.",
                "Give whole numbers or text for classes, or the task 'regress' for values.",
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in "biuOUS":
        raise DataError(f"{what} has the dtype {array.dtype}, which is neither text nor whole numbers.")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return array.astype(str)


def guess_task(y: np.ndarray) -> Task:
    """Text, truth, whole numbers and one-hot rows: classify; other rows of 0 and 1: multilabel; the rest: regress."""
    if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf" and np.isin(y, (0, 1)).all():
        return "classify" if (y.sum(axis=1) == 1).all() else "multilabel"
    if y.dtype.kind == "f" or (y.ndim == 2 and y.shape[1] > 1):
        return "regress"
    return "classify"


def normal_labels(y: Any, task: str, names: Sequence[str], what: str) -> np.ndarray:
    """Labels and values in one form a task: text ``(n,)``, 0/1 float32 ``(n, labels)`` or float64 ``(n, values)``.

    Args:
        y: as users give it; one-hot rows are classes too.
        task: classify, multilabel or regress.
        names: of the labels 0, 1, …; empty where each label is its own name.
        what: the subject of the error messages.

    Raises:
        DataError: for labels or values that the task has no use for.
    """
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim > 2:
        raise DataError(f"{what} has the shape {array.shape}; expected one label or one row of values an example.")
    if task == "regress":
        if array.dtype.kind not in "biuf":
            raise DataError(f"{what} has the dtype {array.dtype}; expected numbers to regress.")
        check_finite(array, what)
        return array.astype(np.float64).reshape(len(array), -1)
    if array.ndim == 2:
        rows = array.dtype.kind in "biuf" and bool(np.isin(array, (0, 1)).all())
        if not rows or (task == "classify" and not (array.sum(axis=1) == 1).all()):
            kind = "a single 1" if task == "classify" else "0 or 1 for each label"
            raise DataError(f"{what} has the shape {array.shape}; expected rows of {kind}.")
        if names and array.shape[1] != len(names):
            raise DataError(f"{what} has {array.shape[1]} columns; expected {len(names)}, one a label.")
        if task == "multilabel":
            return array.astype(np.float32)
        array = array.argmax(axis=1)
    elif task == "multilabel":
        raise DataError(f"{what} has the shape {array.shape}; expected rows of 0 or 1, one column a label.")
    texts = class_texts(array, what)
    if names and array.dtype.kind in "biuf":
        wrong = np.flatnonzero((array < 0) | (array >= len(names)))
        if len(wrong):
            raise DataError(
                f"{what} has {len(wrong)} labels out of range, the first {array[wrong[0]]} at index {wrong[0]}; "
                f"expected 0 to {len(names) - 1}."
            )
        texts = np.asarray(names)[array.astype(np.int64)]
    return texts


def fit_target(labels: np.ndarray, task: str, what: str, names: Sequence[str] = ()) -> Target:
    """The target of training labels or values in their normal form.

    Args:
        labels: from `normal_labels`.
        task: classify, multilabel or regress.
        what: the subject of the error messages.
        names: of the values to regress, of the labels, or of all classes, where they are known.

    Raises:
        DataError: where there is nothing to learn: one class, a class with one example, a constant.
    """
    if task == "classify":
        found = _fit_classes(labels, what)
        return ClassTarget(tuple(names)) if names else found
    width = labels.shape[1]
    if task == "multilabel":
        return MultiLabelTarget(tuple(names) or tuple(str(index) for index in range(width)))
    return _fit_values(labels, names or (["value"] if width == 1 else [f"value {i}" for i in range(width)]), what)


def encode_labels(target: Target, labels: np.ndarray) -> np.ndarray:
    """Labels or values in their normal form → arrays for the loss."""
    return labels if isinstance(target, MultiLabelTarget) else target.encode(labels)


def _fit_classes(labels: np.ndarray, what: str) -> ClassTarget:
    """The classes among the labels: numbers in order of size, then text."""
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise DataError(
            f"{what} has one class only, {str(names[0])!r}: there is nothing to tell apart.",
            "Give examples of at least two classes.",
        )
    lonely = names[counts == 1]
    if len(lonely):
        shown = ", ".join(repr(str(name)) for name in lonely[:5]) + (", …" if len(lonely) > 5 else "")
        subject = "The class" if len(lonely) == 1 else f"{len(lonely)} classes"
        raise DataError(
            f"{subject} with one example only: {shown}. One example cannot be both learned from and measured on.",
            "Add examples or leave these out; where the target is a number to predict, set the task to 'regress'.",
        )
    return ClassTarget(class_names(names))


def class_names(labels: np.ndarray) -> tuple[str, ...]:
    """The different labels among these: numbers in order of size, then text."""
    return tuple(sorted({str(label) for label in labels}, key=_by_number))


def _by_number(name: str) -> tuple[bool, float, str]:
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


def _fit_values(values: np.ndarray, names: Sequence[str], what: str) -> ValueTarget:
    check_finite(values, what)
    values = values.astype(np.float64).reshape(len(values), len(names))
    log = needs_logarithm(values)
    if log:
        values = np.log(values)
    std = values.std(axis=0)
    for name, spread, value in zip(names, std, values[0], strict=True):
        if spread <= 1e-12 * max(1.0, abs(value)):
            label = "" if len(names) == 1 else f" (column {name})"
            raise DataError(
                f"{what}{label} is constant in the training split: there is nothing to learn.",
                "Name another target, or give more examples.",
            )
    return ValueTarget(tuple(names), tuple(values.mean(axis=0).tolist()), tuple(std.tolist()), log)


def needs_logarithm(values: np.ndarray) -> bool:
    """Whether to learn log(value): all are positive, and their 1 % and 99 % quantiles three magnitudes apart.

    On less skewed values the logarithm costs more than it gains: an error in a large logarithm is a large error.
    """
    if len(values) < 8 or np.any(values <= 0):
        return False
    low, high = np.quantile(values, (0.01, 0.99), axis=0)
    return bool(np.all(high >= _MAGNITUDES * low))
