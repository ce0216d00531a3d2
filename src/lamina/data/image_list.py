"""A CSV file of picture paths and labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamina.data.decode import EXTENSIONS
from lamina.data.image_files import TRAIN, Files, Listing
from lamina.errors import DataError, nearest

if TYPE_CHECKING:
    import polars as pl

__all__ = ["list_csv", "path_column"]

_TRUE = frozenset({"1", "1.0", "true", "yes", "y"})
_FALSE = frozenset({"0", "0.0", "false", "no", "n", ""})


def path_column(table: pl.DataFrame) -> str | None:
    """The column whose values are, for the most part, names of picture files; None where there is none."""
    for name in table.columns:
        values = table[name].drop_nulls().head(100).to_list()
        pictures = sum(isinstance(value, str) and _extension(value) in EXTENSIONS for value in values)
        if pictures * 2 > len(values):
            return name
    return None


def list_csv(
    source: str | os.PathLike[str], target: str | Sequence[str] | None = None, names: Sequence[str] | None = None
) -> tuple[Listing, bool]:
    """The pictures and labels that a CSV file lists, and whether a picture may have several labels.

    One column holds paths, relative to the CSV file's folder. The labels are one column of class names, or of names
    joined by ``|`` (several labels), or several columns of 0 and 1 (a label each).

    Args:
        target: the label column or columns; may be left out where there is no choice.
        names: the labels that a model knows, when its data is read; they also tell which columns are meant.

    Raises:
        DataError: for a file that is not a CSV, has no column of pictures or no such target.
    """
    import polars as pl

    path = Path(source)
    if not path.exists():
        raise DataError(f"There is no {path}.", "Expected a CSV file of picture paths and labels.")
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        table = pl.read_csv(path, separator=separator, infer_schema_length=0, encoding="utf8-lossy")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV: {str(error).splitlines()[0]}.") from None
    pictures = path_column(table)
    if pictures is None:
        raise DataError(
            f"{path} has no column of picture files.",
            f"Expected paths that end in {', '.join(sorted(EXTENSIONS))}; its columns are {', '.join(table.columns)}.",
        )
    columns = _targets(table.drop(pictures), target, names, path)
    warnings = []
    rows = table.filter(pl.col(pictures).is_not_null())
    if len(columns) == 1:
        column = columns[0]
        several = bool(rows[column].str.contains("|", literal=True).any())
        if not several:
            labelled = rows.filter(pl.col(column).is_not_null())
            if len(labelled) < len(rows):
                missing = len(rows) - len(labelled)
                what = "1 row" if missing == 1 else f"{missing} rows"
                warnings.append(f"Left out, for there is no {column}: {what} of {path}.")
            rows = labelled
        values = [_words(value) if several else [value] for value in rows[column].to_list()]
        known = tuple(names) if names else tuple(sorted({label for row in values for label in row}))
        places = {label: index for index, label in enumerate(known)}
        encoded = np.zeros((len(values), len(known)), np.float32)
        for row, labels in enumerate(values):
            for label in labels:
                if label not in places:
                    raise DataError(f"The label {label!r} in {path} is none of the model's.", nearest(label, known))
                encoded[row, places[label]] = 1.0
    else:
        several, known = True, tuple(columns)
        encoded = np.stack([_flags(rows[name], path) for name in columns], axis=1)
    several = several or (names is not None and len(columns) > 1)
    if not len(rows):
        raise DataError(f"{path} lists no labelled pictures.")
    root = os.path.dirname(os.fspath(path)) or "."
    files = Files.pack(root, ((name, _size(os.path.join(root, name))) for name in rows[pictures].to_list()))
    labels_of = encoded if several else encoded.argmax(axis=1).astype(np.int32)
    parts = np.full(len(files), TRAIN, np.int8)
    return Listing(str(path), files, labels_of, parts, frozenset(), known, [], warnings), several


def _targets(
    table: pl.DataFrame, target: str | Sequence[str] | None, names: Sequence[str] | None, path: Path
) -> list[str]:
    if target is not None:
        columns = [target] if isinstance(target, str) else list(target)
        for name in columns:
            if name not in table.columns:
                raise DataError(f"{path} has no column {name!r} of labels.", nearest(name, table.columns))
        return columns
    if names is not None:
        if len(names) > 1 and set(names) <= set(table.columns):
            return list(names)
        for name in table.columns:
            words = {word for value in table[name].unique().to_list() for word in _words(value)}
            if words and words <= set(names):
                return [name]
        raise DataError(f"{path} has no column of the model's labels ({', '.join(list(names)[:10])}).")
    if len(table.columns) == 1:
        return list(table.columns)
    flags = [name for name in table.columns if set(_lowered(table[name])) <= _TRUE | _FALSE]
    if len(flags) == len(table.columns) > 1:
        return flags
    raise DataError(
        f"{path} has {len(table.columns)} columns beside the pictures; which one is the label?",
        f"Name it with --target: {', '.join(table.columns)}." if table.columns else "It needs a column of labels.",
    )


def _lowered(column: pl.Series) -> list[str]:
    return [(value or "").strip().lower() for value in column.unique().to_list()]


def _flags(column: pl.Series, path: Path) -> np.ndarray:
    values = [(value or "").strip().lower() for value in column.to_list()]
    for value in values:
        if value not in _TRUE | _FALSE:
            raise DataError(f"Column {column.name!r} of {path} must be 0 or 1, a label each; it has {value!r}.")
    return np.asarray([value in _TRUE for value in values], np.float32)


def _words(value: str | None) -> list[str]:
    return [word.strip() for word in (value or "").split("|") if word.strip()]


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _size(path: str) -> int:
    """Bytes, or -1 where there is no such file (told when it is looked at)."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return -1
