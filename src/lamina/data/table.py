"""Tables as data: CSV and Parquet files, polars and pandas frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from lamina.data.array_preprocessing import check_scale
from lamina.data.arrays import RowNames
from lamina.data.base import ArraySplit, Data, DataCard, Target
from lamina.data.splits import divide, fill_card, find_duplicates
from lamina.data.table_columns import CategoryColumn, DateColumn, NumberColumn, as_numbers, as_texts
from lamina.data.table_fit import Fitted, fit_columns, leaks
from lamina.data.table_preprocessing import TablePreprocessing
from lamina.data.table_read import Table, read_table
from lamina.data.targets import check_task, encode_labels, fit_target, normal_labels
from lamina.errors import ConfigError, DataError, nearest

__all__ = [
    "TablePreprocessing",
    "column_labels",
    "guess_column_task",
    "load_table",
    "load_table_split",
    "rows_with_target",
    "target_column",
]

_FEW = 20  # distinct whole numbers that may be classes
_SHARE = 0.05  # of the rows: more distinct whole numbers than this are no classes
_LIMIT = 10.0  # standard deviations to which numbers are clipped


def load_table(
    source: Any,
    *,
    target: str | None = None,
    task: str = "auto",
    scale: str = "auto",
    seed: int = 0,
    test: Any = None,
) -> Data:
    """Data from a table.

    Text, truth, and at most 20 distinct whole numbers (at most 5 % of the rows) as the target ask to classify, other
    numbers to regress. Rows without a target are left out.

    Args:
        source: the path of a `.csv`, `.tsv` or `.parquet` file, a polars or pandas frame, a mapping of columns, or
            ``(frame, y)``.
        target: the column to predict; column_1, column_2, … where the file has no header line.
        task: "auto", "classify" or "regress".
        scale: "auto": mean 0 and standard deviation 1, and a piecewise-linear encoding beside it; "standard": the
            former alone; "minmax": to the range 0 to 1; "none".
        seed: of the split.
        test: another source of the same columns, to keep as the test part.

    Raises:
        DataError: for a table that cannot be read or learned from.
        ConfigError: for an unknown option value.
    """
    check_task(task)
    check_scale(scale)
    if task == "multilabel":
        raise ConfigError("The task 'multilabel' is not for tables.", "Use 'classify' or 'regress'.")
    tables = {"train": _read(source, target)}
    name = target_column(tables["train"], target)
    if test is not None:
        tables["test"] = _read(test, name)
        _check_alike(tables["train"], tables["test"], name)
    warnings: list[str] = []
    rows = {part: rows_with_target(table, name, warnings) for part, table in tables.items()}
    frames = {part: table.frame[rows[part]] for part, table in tables.items()}
    what = f"The target {name!r} of {tables['train'].source}"
    task = guess_column_task(frames["train"][name]) if task == "auto" else task
    labels = {part: column_labels(frame[name], task, f"The target {name!r}") for part, frame in frames.items()}
    found = fit_target(labels["train"], task, what, [name] if task == "regress" else ())
    groups = _groups(frames)
    chosen, rule = divide(labels, groups["train"], seed, stratify=task == "classify")

    origin, training = chosen["train"]
    fitting = frames[origin][training].drop(name)
    fitted = fit_columns(fitting, scale)
    if not fitted.columns:
        reasons = ", ".join(f"{column!r} ({reason})" for column, reason in fitted.dropped.items())
        raise DataError(
            f"No column of {tables['train'].source} but the target is of use: {reasons or 'there is none'}."
        )
    answers = labels[origin][training]
    fitted_target = fit_target(answers, task, what, [name]) if task == "regress" else found
    preprocessing = TablePreprocessing(
        tuple(fitted.columns), name, tuple(fitted.dropped), _LIMIT if scale == "auto" else None
    )
    splits = {}
    for part, (given, indices) in chosen.items():
        prefix = "row" if len(tables) == 1 else f"{given} row"
        inputs = preprocessing.encode_frame(frames[given][indices])
        targets = encode_labels(fitted_target, labels[given][indices])
        splits[part] = ArraySplit(inputs, targets, RowNames(prefix, rows[given][indices] + 1))
    card = DataCard(tables["train"].source, "table", split_rule=rule, warnings=warnings)
    card.facts = _facts(frames["train"], name, fitted)
    card.warnings += _remarks(tables["train"], fitted, leaks(fitting, fitted.columns, answers), name)
    card.warnings += preprocessing.remarks(fitting)
    if "test" in frames:
        card.warnings += [f"{tables['test'].source}: {remark}" for remark in preprocessing.remarks(frames["test"])]
    repeats = {part: groups[given][indices] for part, (given, indices) in chosen.items()}
    fill_card(card, splits, repeats, getattr(fitted_target, "names", ()) if task == "classify" else ())
    return Data(splits["train"], splits["validation"], splits.get("test"), preprocessing, fitted_target, card)


def load_table_split(source: Any, preprocessing: TablePreprocessing, target: Target) -> tuple[ArraySplit, DataCard]:
    """All rows of a table that have a target, as a trained model takes them.

    Raises:
        DataError: for a table that cannot be read, or does not fit the model.
    """
    table = preprocessing.read(_joined(source, preprocessing.target))
    name = preprocessing.target
    if name not in table.frame.columns:
        raise DataError(f"{table.source} has no column {name!r} to compare predictions with.")
    warnings: list[str] = []
    rows = rows_with_target(table, name, warnings)
    frame = table.frame[rows]
    labels = column_labels(frame[name], target.task, f"The target {name!r} of {table.source}")
    split = ArraySplit(preprocessing.encode_frame(frame), encode_labels(target, labels), RowNames("row", rows + 1))
    card = DataCard(table.source, "table", split_rule=f"All {len(split)} rows.", warnings=warnings)
    card.warnings += preprocessing.remarks(frame)
    names = getattr(target, "names", ()) if target.task == "classify" else ()
    fill_card(card, {"test": split}, _groups({"test": frame}), names)
    return split, card


def _read(source: Any, target: str | None) -> Table:
    return read_table(_joined(source, target or "target"), target=target)


def _joined(source: Any, target: str) -> Any:
    """``(frame, y)`` → one frame with y under the target's name."""
    if not isinstance(source, tuple):
        return source
    frame, y = source
    table = read_table(frame)
    y = np.asarray(y)
    if y.shape not in ((table.frame.height,), (table.frame.height, 1)):
        raise DataError(f"The frame has {table.frame.height} rows and y has the shape {y.shape}.")
    return table.frame.with_columns(pl.Series(target, y.ravel().tolist(), strict=False))


def target_column(table: Table, target: str | None) -> str:
    """The name of the column to predict. Raises `DataError` where there is no such column."""
    columns = table.frame.columns
    if target is None and "target" in columns:
        return "target"
    if target is None:
        shown = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
        raise DataError(f"Which column of {table.source} is to be predicted?", f"Name the target; there are {shown}.")
    if target not in columns:
        raise DataError(f"{table.source} has no column {target!r}.", nearest(target, columns))
    return target


def _check_alike(train: Table, test: Table, target: str) -> None:
    absent = [name for name in train.frame.columns if name not in test.frame.columns]
    if absent:
        raise DataError(
            f"The test table {test.source} lacks the column {absent[0]!r}.", nearest(absent[0], test.frame.columns)
        )
    extra = [name for name in test.frame.columns if name not in train.frame.columns]
    if extra:
        raise DataError(f"The test table {test.source} has a column {extra[0]!r} that the training table lacks.")


def rows_with_target(table: Table, target: str, warnings: list[str]) -> np.ndarray:
    """The rows that have a target."""
    series = table.frame[target]
    present = ~series.is_null().to_numpy()
    if series.dtype.is_float():
        present &= np.isfinite(series.fill_null(0.0).to_numpy())
    if not present.any():
        raise DataError(f"The target {target!r} of {table.source} is missing in all {len(series)} rows.")
    lost = int((~present).sum())
    if lost:
        warnings.append(f"{lost} of {len(series)} rows of {table.source} have no {target!r} and are left out.")
    return np.flatnonzero(present)


def guess_column_task(series: pl.Series) -> str:
    """The task that a target's values ask for: "classify" or "regress"."""
    if series.dtype == pl.Boolean:
        return "classify"
    numbers = as_numbers(series)
    if np.isnan(numbers).any():
        return "classify"
    distinct = len(np.unique(numbers))
    whole = np.array_equal(numbers, np.round(numbers))
    return "classify" if whole and distinct <= min(_FEW, max(2, _SHARE * len(numbers))) else "regress"


def column_labels(series: pl.Series, task: str, what: str) -> np.ndarray:
    """A target's values in their normal form: text ``(n,)``, or float64 ``(n, 1)`` to regress."""
    if task == "classify":
        return as_texts(series).to_numpy().astype(str)
    numbers = as_numbers(series)
    broken = np.flatnonzero(np.isnan(numbers))
    if len(broken):
        raise DataError(
            f"{what} has {len(broken)} values that are no numbers, the first {series[int(broken[0])]!r}.",
            "Set the task to 'classify', or mend them.",
        )
    return normal_labels(numbers, "regress", (), what)


def _groups(frames: Mapping[str, pl.DataFrame]) -> dict[str, np.ndarray]:
    """Ids of equal rows, the target included, counted over all parts together."""
    hashes = [frame.select(pl.all().cast(pl.String)).hash_rows().to_list() for frame in frames.values()]
    ids = find_duplicates([value for part in hashes for value in part])
    return dict(zip(frames, np.split(ids, np.cumsum([len(part) for part in hashes])[:-1]), strict=True))


def _facts(frame: pl.DataFrame, target: str, fitted: Fitted) -> dict[str, Any]:
    kinds = {NumberColumn: "number", CategoryColumn: "category", DateColumn: "date"}
    columns = [
        {"name": column.name, "kind": kinds[type(column)], "missing": frame[column.name].null_count()}
        for column in fitted.columns
    ]
    return {"rows": frame.height, "target": target, "columns": columns, "not used": dict(fitted.dropped)}


def _remarks(table: Table, fitted: Fitted, leaking: list[str], target: str) -> list[str]:
    remarks = []
    if not table.header:
        remarks.append(
            f"{table.source} has no header line: its columns are called column_1 to {table.frame.columns[-1]}."
        )
    if fitted.dropped:
        dropped = ", ".join(f"{name!r} ({reason})" for name, reason in fitted.dropped.items())
        remarks.append(f"Columns that are not used: {dropped}.")
    remarks += [
        f"The column {name!r} tells the target {target!r} exactly. If it will not be known when you predict, remove it."
        for name in leaking
    ]
    return remarks
