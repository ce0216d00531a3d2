"""A table read as a series: one row a step, gaps filled and told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lamina.data.series_time import TimeColumn, check_order, find_times, fit_step, read_times, steps_of
from lamina.data.table_columns import as_numbers
from lamina.data.table_read import Table, read_table
from lamina.errors import DataError, nearest

__all__ = ["Series", "read_series", "read_training_series"]

_SPARSE = 0.1  # of a column's values, of which more may not be missing


@dataclass(frozen=True)
class Series:
    """Values at even steps.

    Attributes:
        source: for messages.
        column: that says when.
        times: ``(steps,)`` datetime64[us] or float64, of rows that are missing too.
        values: ``(steps, columns)`` float64, the one to forecast first; what was missing lies on a straight line
            between its neighbours.
        measured: ``(steps,)`` bool, where the first column was not missing.
        names: of the columns.
        warnings: sentences for the person.
    """

    source: str
    column: TimeColumn
    times: np.ndarray
    values: np.ndarray
    measured: np.ndarray
    names: tuple[str, ...]
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.times)

    def shown(self) -> tuple[str, ...]:
        """The times as text."""
        return self.column.write(self.times)


def read_training_series(source: Any, target: str | None, time_column: str | None) -> Series:
    """The series that a model is to be fitted to, with all numeric columns.

    Args:
        source: what `lamina.data.table_read.read_table` reads.
        target: the column to forecast; it can be left out where there is one numeric column beside the time.
        time_column: the column that says when; looked for where it is None.

    Raises:
        DataError: for a table without times, with times that do not rise or are uneven, or without the target.
    """
    table = read_table(source, target=target)
    frame = table.frame
    if target is not None and target not in frame.columns:
        raise DataError(f"{table.source} has no column {target!r}.", nearest(target, frame.columns))
    name, form, times = find_times(frame, time_column, target, table.source)
    if name == target:
        raise DataError(f"The column {name!r} of {table.source} cannot be both the time and what is forecast.")
    table, times = _in_order(table, times)
    frame = table.frame
    if len(times) < 3:
        raise DataError(f"{table.source} has {len(times)} rows: there is nothing to forecast from.")
    numeric = [column for column in frame.columns if column != name and _is_numeric(frame[column])]
    others = [column for column in frame.columns if column not in (name, target, *numeric)]
    if target is None:
        target = _only(numeric, table.source)
    check_order(
        times,
        TimeColumn(name, form, "seconds" if times.dtype.kind == "M" else "number", 1.0).write(times),
        table.source,
    )
    column = fit_step(name, form, times, table.source)
    names = (target, *(other for other in numeric if other != target))
    remarks = [f"Columns that are no numbers are not used: {', '.join(map(repr, others))}."] if others else []
    return _even(table, column, times, names, remarks)


def read_series(source: Any, column: TimeColumn, names: Sequence[str]) -> Series:
    """A series with the columns and the step that a model knows.

    Raises:
        DataError: for a column that is missing, times that do not rise, are uneven or keep another step.
    """
    table = read_table(source, names=[column.name, *names])
    absent = [name for name in (column.name, *names) if name not in table.frame.columns]
    if absent:
        raise DataError(
            f"{table.source} lacks the column {absent[0]!r}, which the model needs.",
            f"It reads {', '.join((column.name, *names))}.",
        )
    table, times = _in_order(table, _read_known(table, column))
    check_order(times, column.write(times), table.source)
    return _even(table, column, times, tuple(names), [])


def _read_known(table: Table, column: TimeColumn) -> np.ndarray:
    series = table.frame[column.name]
    typed = series.dtype != pl.String and column.format != "number"
    times = read_times(series, "" if typed else column.format, table.source)
    if (times.dtype.kind == "M") != (column.unit != "number"):
        raise DataError(f"The times of {table.source} are {'dates' if times.dtype.kind == 'M' else 'plain numbers'}; "
                        "those that the model was trained on were not.")  # fmt: skip
    return times


def _in_order(table: Table, times: np.ndarray) -> tuple[Table, np.ndarray]:
    """Both turned round where they run from the newest to the oldest row."""
    if len(times) > 1 and bool((times[1:] < times[:-1]).all()):
        return Table(table.frame.reverse(), table.source, table.header), times[::-1].copy()
    return table, times


def _even(table: Table, column: TimeColumn, times: np.ndarray, names: tuple[str, ...], remarks: list[str]) -> Series:
    steps = steps_of(column, times, table.source)
    rows = np.stack([_numbers(table, name, column.write(times)) for name in names], axis=1)
    present = np.flatnonzero(~np.isnan(rows[:, 0]))
    if not len(present):
        raise DataError(f"The column {names[0]!r} of {table.source} is empty.")
    first, last = int(present[0]), int(present[-1]) + 1
    cut = first + len(steps) - last
    if cut:
        remarks.append(f"{cut} rows at the ends of {table.source} have no {names[0]!r} and are left out.")
    steps, rows, times = steps[first:last] - steps[first], rows[first:last], times[first:last]
    values = np.full((int(steps[-1]) + 1, len(names)), np.nan)
    values[steps] = rows
    remarks += _gaps(table.source, column, steps, times)
    measured = ~np.isnan(values[:, 0])
    for place, name in enumerate(names):
        missing = int(np.isnan(rows[:, place]).sum())
        if missing > _SPARSE * len(rows):
            raise DataError(
                f"{missing:,} of {len(rows):,} values of {name!r} in {table.source} are missing.",
                "Complete the column, or leave it out.",
            )
        if missing:
            row = first + int(np.isnan(rows[:, place]).argmax()) + 1
            remarks.append(
                f"{missing} of {len(rows):,} values of {name!r} are missing, the first in row {row}: filled by "
                "straight lines" + (", and not forecast." if place == 0 else ".")
            )
        values[:, place] = _bridged(values[:, place])
    whole = np.concatenate([times[:1], column.after(times[0], len(values) - 1)])
    whole[steps] = times
    return Series(table.source, column, whole, values, measured, names, tuple(remarks))


def _gaps(source: str, column: TimeColumn, steps: np.ndarray, times: np.ndarray) -> list[str]:
    apart = np.diff(steps)
    places = np.flatnonzero(apart > 1)
    if not len(places):
        return []
    shown = [f"{apart[place] - 1} after {column.write(times[place : place + 1])[0]}" for place in places[:5]]
    listed = ", ".join(shown) + (", …" if len(places) > 5 else "")
    missing = int((apart - 1).sum())
    what = "step is" if missing == 1 else "steps are"
    return [
        f"{missing} of the {int(steps[-1]) + 1:,} {what} missing in {source} (of {column.describe()} each): {listed}. "
        "They are filled by straight lines, and not forecast."
    ]


def _numbers(table: Table, name: str, shown: Sequence[str]) -> np.ndarray:
    series = table.frame[name]
    numbers = as_numbers(series)
    broken = np.flatnonzero(np.isnan(numbers) & ~series.is_null().to_numpy())
    if len(broken):
        row = int(broken[0])
        raise DataError(
            f"The column {name!r} of {table.source} holds {series[row]!r} in row {row + 1} ({shown[row]}), which is no "
            f"number{f'; so do {len(broken) - 1} rows below it' if len(broken) > 1 else ''}.",
            "Mend it, or leave the cell empty.",
        )
    return numbers


def _bridged(values: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(values))
    return np.asarray(np.interp(np.arange(len(values)), known, values[known]))


def _is_numeric(series: pl.Series) -> bool:
    """Whether most of what is there are numbers; a column with a few broken ones is told of, not left out."""
    present = len(series) - series.null_count()
    return present > 0 and int((~np.isnan(as_numbers(series))).sum()) > present / 2


def _only(numeric: Sequence[str], source: str) -> str:
    if len(numeric) == 1:
        return numeric[0]
    shown = ", ".join(numeric[:20]) or "none"
    raise DataError(f"Which column of {source} is to be forecast?", f"Name the target; of numbers there are {shown}.")
