"""Fitting a table's columns: what each one is, how it is scaled, which are of no use. Training rows only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from lamina.data.table_columns import (
    DATE_PARTS,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    as_dates,
    as_numbers,
    as_texts,
    date_format,
    date_part,
)

__all__ = ["Fitted", "bin_edges", "fit_columns", "leaks"]

_BINS = 32
_ROWS_A_BIN = 50
_MOST_BINS = 2048  # over all columns: the network's first layer stays small
_MOST_VALUES = 256  # categories with an input of their own
_RARE = 10  # rows; fewer in tables of less than a thousand
_NUMERIC = 0.95  # of a text column's values read as numbers: a column of numbers with slips
_UNIQUE = 0.9  # of a text column's values occur once: names, identifiers, free text
_ROW_NUMBERS = frozenset({"", "id", "index", "row", "row_id", "row_number", "rownames", "unnamed: 0", "column_1"})


@dataclass
class Fitted:
    """What was found.

    Attributes:
        columns: of use, in the table's order.
        dropped: name → why it is of no use.
    """

    columns: list[Column] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)


def fit_columns(frame: pl.DataFrame, scale: str) -> Fitted:
    """Fit every column of the training rows.

    Args:
        frame: without the target.
        scale: "auto": mean 0, standard deviation 1 and piecewise-linear bins; "standard": the former alone; "minmax":
            to the range 0 to 1; "none": numbers as they are.
    """
    fitted = Fitted()
    kinds = {name: _kind(frame[name]) for name in frame.columns}
    numbers = sum(kind == "number" for kind in kinds.values())
    bins = min(_BINS, frame.height // _ROWS_A_BIN, _MOST_BINS // max(1, numbers)) if scale == "auto" else 0
    fitters: dict[str, Callable[[pl.Series], Column | str]] = {
        "number": lambda series: _fit_number(series.name, as_numbers(series), scale, bins),
        "category": _fit_category,
        "date": lambda series: _fit_date(series, scale, bins),
    }
    for name, kind in kinds.items():
        column = fitters[kind](frame[name]) if kind in fitters else kind
        if isinstance(column, str):
            fitted.dropped[name] = column
        else:
            fitted.columns.append(column)
    return fitted


def _kind(series: pl.Series) -> str:
    """What a column is: number, category or date; or else why it is of no use."""
    known = series.drop_nulls()
    if not len(known):
        return "no value in the training split"
    if series.dtype.is_numeric():
        return _row_number(known) or "number"
    if series.dtype == pl.Boolean:
        return "category"
    if date_format(series) is not None:
        return "date"
    if series.dtype != pl.String:
        return f"values of type {series.dtype}"
    if np.isfinite(as_numbers(known)).mean() >= _NUMERIC:
        return _row_number(known) or "number"
    if known.n_unique() > max(_UNIQUE * len(known), 2):
        return "nearly every row has a text of its own"
    return "category"


def _row_number(known: pl.Series) -> str:
    numbers = as_numbers(known)
    if known.name.lower() in _ROW_NUMBERS and len(np.unique(numbers)) == len(numbers) > 10:
        span = numbers.max() - numbers.min() + 1
        # Training rows are a sample: of consecutive numbers it leaves at most a third out.
        if np.array_equal(numbers, np.round(numbers)) and span <= 1.5 * len(numbers):
            return "numbers the rows"
    return ""


def _fit_number(name: str, numbers: np.ndarray, scale: str, bins: int) -> NumberColumn | str:
    known = numbers[~np.isnan(numbers)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        missing = 0 < len(known) < len(numbers)
        if not missing:
            return "constant"
        return NumberColumn(name, low, 1.0, low, indicator=True)
    centre, spread = float(known.mean()), float(known.std())
    if scale == "minmax":
        centre, spread = low, high - low
    elif scale == "none":
        centre, spread = 0.0, 1.0
    edges = (bin_edges(known, bins) - centre) / spread if bins >= 2 else np.zeros(0)
    edges = edges[np.append(True, np.diff(edges.astype(np.float32)) > 1e-6)] if len(edges) else edges
    return NumberColumn(
        name,
        centre,
        spread,
        fill=float(np.median(known)),
        edges=tuple(edges.tolist()) if len(edges) > 2 else (),
        indicator=len(known) < len(numbers),
    )


def bin_edges(numbers: np.ndarray, bins: int) -> np.ndarray:
    """Edges of at most ``bins`` bins: all distinct numbers where they are few, else quantiles.

    A number that occurs often counts no more than one bin's share, so that a column that is mostly 0 is not left
    without bins where it is not.
    """
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) <= bins + 1:
        return values
    weights = counts.astype(np.float64)
    for _ in range(8):  # the share of a bin shrinks as the common numbers are cut down to it
        weights = np.minimum(weights, weights.sum() / bins)
    total = np.cumsum(weights)
    inner = np.searchsorted(total, total[-1] * np.arange(1, bins) / bins)
    edges: np.ndarray = values[np.unique(np.concatenate([[0], inner, [len(values) - 1]]))]
    return edges


def _fit_category(series: pl.Series) -> CategoryColumn | str:
    texts = as_texts(series)
    counts = texts.drop_nulls().value_counts().sort(["count", series.name], descending=[True, False])
    needed = min(_RARE, max(2, len(series) // 100))
    frequent = counts.filter(pl.col("count") >= needed).head(_MOST_VALUES)[series.name].to_list()
    rare = sorted(set(counts[series.name].to_list()) - set(frequent))
    column = CategoryColumn(series.name, tuple(sorted(frequent)), tuple(rare), missing=texts.null_count() > 0)
    if column.width >= 2:
        return column
    return "constant" if frequent else f"{len(rare)} different texts, none of them frequent"


def _fit_date(series: pl.Series, scale: str, bins: int) -> DateColumn | str:
    pattern = date_format(series) or ""
    dates = as_dates(series, pattern)
    parts = [
        _fit_number(f"{series.name}.{part}", as_numbers(date_part(dates, part)), scale, bins) for part in DATE_PARTS
    ]
    fitted = tuple(part for part in parts if isinstance(part, NumberColumn))
    return DateColumn(series.name, pattern, fitted) if fitted else "constant"


def leaks(frame: pl.DataFrame, columns: list[Column], target: np.ndarray) -> list[str]:
    """Columns that tell the target exactly: the answer under another name.

    Args:
        frame: the training rows.
        columns: fitted on them.
        target: class names ``(n,)``, or values ``(n, 1)`` to regress.
    """
    found = []
    values = target.ravel()
    for column in columns:
        if isinstance(column, NumberColumn) and values.dtype.kind == "f":
            numbers = as_numbers(frame[column.name])
            told = bool(np.abs(np.corrcoef(np.nan_to_num(numbers, nan=column.fill), values)[0, 1]) > 1 - 1e-9)
        elif isinstance(column, DateColumn) or values.dtype.kind == "f":
            told = False
        else:
            pairs = pl.DataFrame({"column": as_texts(frame[column.name]), "target": values})
            per_value = pairs.group_by("column").agg(pl.col("target").n_unique())
            told = bool(per_value["target"].max() == 1) and per_value.height <= max(20, 2 * len(np.unique(values)))
        if told:
            found.append(column.name)
    return found
