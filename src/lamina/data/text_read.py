"""Labelled texts from files: tables with a column of texts, folders with a sub-folder of `.txt` a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lamina.data.image_files import TEST, TRAIN, VALIDATION, list_folder
from lamina.data.table import column_labels, guess_column_task, rows_with_target, target_column
from lamina.data.table_columns import as_numbers, as_texts, date_format
from lamina.data.table_read import Table, read_table
from lamina.data.text_files import TEXT_FILES, read_utf8
from lamina.errors import DataError, nearest

__all__ = ["Texts", "column_of", "folder_texts", "free_text_column", "table_texts", "without_empty"]

_PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
_NUMERIC = 0.95  # of a column's values read as numbers: no text
_DISTINCT = 0.5  # of a column's values differ: text, and no category
_WORDS = 4.0  # words a value on average: text, too


@dataclass
class Texts:
    """Labelled texts.

    Attributes:
        texts: none empty.
        labels: in the normal form of `lamina.data.targets.normal_labels`, or as they were given.
        names: one a text.
        warnings: sentences, such as on what was left out.
        skipped: (name, reason) of files that cannot be read.
    """

    texts: list[str]
    labels: Any
    names: Sequence[str]
    warnings: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def free_text_column(source: Any, target: str | None) -> tuple[str, str] | None:
    """The column of a table that holds free text, where it is the only one beside the target; and a word on why.

    Free text is neither numbers nor dates, and has four words and more a value, or values that mostly differ. None for
    any other table, and for what cannot be read (which is told where the table is).
    """
    if isinstance(source, tuple):  # a frame and y
        source, target = source[0], None
    try:
        frame = read_table(source, target=target).frame
    except DataError:
        return None
    others = [name for name in frame.columns if name != (target or "target")]
    if len(others) != 1 or frame[others[0]].dtype != pl.String or date_format(frame[others[0]]) is not None:
        return None
    known = frame[others[0]].drop_nulls()
    if not len(known) or np.isfinite(as_numbers(known)).mean() >= _NUMERIC:
        return None
    words = float(known.str.count_matches(r"\S+").mean() or 0.0)  # type: ignore[arg-type]
    distinct = known.n_unique() / len(known)
    if words < _WORDS and (distinct < _DISTINCT or len(known) < 10):
        return None
    why = f"{words:.1f} words a value" if words >= _WORDS else f"{distinct:.0%} of its values differ"
    return others[0], f"The column {others[0]!r} is read as text, being the only one beside the target ({why})."


def table_texts(source: Any, text: str, target: str | None, task: str) -> tuple[Texts, str, str]:
    """The texts of a table, the name of the target's column and the task.

    Raises:
        DataError: for a table that cannot be read, or without such columns.
    """
    if isinstance(source, tuple):
        frame, y = source
        target = target or "target"
        source = read_table(frame, text=text).frame.with_columns(pl.Series(target, list(y), strict=False))
    table = _read(source, target, text)
    column_of(table, text)
    name = target_column(table, target)
    if name == text:
        raise DataError(f"The column {text!r} cannot be both the text and the target.", "Name another target.")
    warnings: list[str] = []
    rows = rows_with_target(table, name, warnings)
    texts = as_texts(table.frame[text]).fill_null("")[rows].to_list()
    task = guess_column_task(table.frame[name][rows]) if task == "auto" else task
    labels = column_labels(table.frame[name][rows], task, f"The target {name!r} of {table.source}")
    names = [f"row {row + 1}" for row in rows.tolist()]
    return without_empty(Texts(texts, labels, names, warnings), table.source), name, task


def column_of(table: Table, text: str) -> pl.Series:
    """A table's column of texts.

    Raises:
        DataError: where it has none of this name; near names are offered.
    """
    if text not in table.frame.columns:
        raise DataError(f"{table.source} has no column {text!r}.", nearest(text, table.frame.columns))
    return as_texts(table.frame[text])


def _read(source: Any, target: str | None, text: str) -> Table:
    if isinstance(source, str | os.PathLike) and Path(source).suffix.lower() in (".csv", ".tsv"):
        read_utf8(source)  # refuses what would be read with holes
    return read_table(source, target=target, text=text)


def without_empty(texts: Texts, source: str) -> Texts:
    """The same without texts that hold nothing, which are told of.

    Raises:
        DataError: where nothing is left.
    """
    kept = [index for index, text in enumerate(texts.texts) if text.strip()]
    lost = len(texts.texts) - len(kept)
    if not kept:
        raise DataError(f"All {lost} texts of {source} are empty." if lost else f"{source} holds no text.")
    if not lost:
        return texts
    plural = "text is" if lost == 1 else "texts are"
    warnings = [*texts.warnings, f"{lost} {plural} empty and left out of {source}."]
    labels = np.asarray(texts.labels)[kept]
    return Texts([texts.texts[i] for i in kept], labels, [texts.names[i] for i in kept], warnings, list(texts.skipped))


def folder_texts(folder: str | os.PathLike[str]) -> tuple[dict[str, Texts], tuple[str, ...]]:
    """The texts of a folder with a sub-folder a class, by part ("train", …), labels being class names; and the classes.

    Raises:
        DataError: for a folder without texts, or a file that is not UTF-8.
    """
    listing = list_folder(folder)
    found = {part: Texts([], [], []) for part in _PARTS}
    names = {number: part for part, number in _PARTS.items()}
    for index in range(len(listing.files)):
        file = listing.files[index]
        if not file.lower().endswith(TEXT_FILES):
            found["train"].skipped.append((file, "it is no .txt file"))
            continue
        part = found[names[int(listing.parts[index])]]
        part.texts.append(read_utf8(listing.files.path(index)))
        part.labels.append(listing.names[listing.labels[index]])
        part.names.append(file)  # type: ignore[attr-defined]
    found["train"].skipped += listing.skipped
    found["train"].warnings += listing.warnings
    kept = {part: without_empty(texts, os.fspath(folder)) for part, texts in found.items() if texts.texts}
    if "train" not in kept:
        raise DataError(f"No .txt files were found in the sub-folders of {os.fspath(folder)}.")
    return kept, listing.names
