"""Rows of a table as a person would read them, from what the network gets of them."""

from __future__ import annotations

import datetime
import math

import numpy as np

from lamina.data.base import Preprocessing, Split

__all__ = ["read_rows"]

_COLUMNS = 24


def read_rows(
    split: Split, preprocessing: Preprocessing, indices: np.ndarray
) -> tuple[list[str], list[list[str]]] | None:
    """Column names, and for each index the values in the columns' own units; None where the data are no table.

    What the network does not see is not known here: rare categories are "(rare)", numbers beyond the limit of the
    preprocessing are shown at it.
    """
    if preprocessing.kind != "table":
        return None
    from lamina.data.table_preprocessing import TablePreprocessing

    if not isinstance(preprocessing, TablePreprocessing):
        return None
    encoded = split.read(indices)
    shown: dict[str, list[str]] = {}
    flags = iter(np.asarray(encoded["missing"]).T) if "missing" in encoded else iter(())
    for place, column in enumerate(preprocessing.numbers):
        values = np.asarray(encoded["numbers"], np.float64)[:, place] * column.spread + column.centre
        # float32 numbers in units of the spread: what is below their precision is noise. Adding 0 makes -0 a 0.
        rounded = np.round(values, 6 - math.ceil(math.log10(column.spread))) + 0.0
        missing = next(flags) > 0 if column.indicator else np.zeros(len(indices), bool)
        as_text = _date if column.name.endswith(".days") else _number
        shown[column.name] = [
            "missing" if absent else as_text(value) for value, absent in zip(rounded.tolist(), missing, strict=True)
        ]
    for place, category in enumerate(preprocessing.categories):
        codes = np.asarray(encoded["categories"])[:, place]
        shown[category.name] = [_category(category.values, bool(category.rare), code) for code in codes.tolist()]
    # In the table's own order; dates are their parts.
    order = {column.name: number for number, column in enumerate(preprocessing.columns)}
    names = sorted(shown, key=lambda name: order.get(name, order.get(name.rpartition(".")[0], len(order))))
    names = names[:_COLUMNS]
    return names, [[shown[name][row] for name in names] for row in range(len(indices))]


def _number(value: float) -> str:
    return f"{value:.7g}"


def _date(value: float) -> str:
    try:
        return (datetime.date(1970, 1, 1) + datetime.timedelta(days=round(value, 2) // 1)).isoformat()
    except (OverflowError, ValueError):
        return _number(value)


def _category(values: tuple[str, ...], rare: bool, code: int) -> str:
    if 0 <= code < len(values):
        return values[code]
    if code < 0:
        return "(none)"
    return "(rare)" if rare and code == len(values) else "missing"
