"""Tables from files: CSV of any usual delimiter, with or without a header line, and Parquet."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lamina.errors import DataError

__all__ = ["MISSING", "Table", "read_table"]

MISSING = ("", "?", "na", "n/a", "#n/a", "nan", "null")  # as a cell's text, in upper or lower case
_DELIMITERS = ",;\t|"
_LOOKED_AT = 1 << 16  # bytes of a CSV file from which its delimiter and header are told
_DECIMAL_COMMA = r"^[-+]?\d*,?\d+(?:[eE][-+]?\d+)?$"


@dataclass(frozen=True)
class Table:
    """A table and what it was read from.

    Attributes:
        frame: text columns as String without surrounding blanks, missing cells null.
        source: for messages.
        header: False where the file has no header line and the columns are called column_1, column_2, ….
    """

    frame: pl.DataFrame
    source: str
    header: bool = True


def read_table(
    source: Any, *, target: str | None = None, names: Sequence[str] | None = None, text: str | None = None
) -> Table:
    """Read a table.

    Args:
        source: the path of a `.csv`, `.tsv` or `.parquet` file, "-" for CSV on standard input, a polars or pandas
            frame, a mapping of columns, or a sequence of mappings (rows).
        target: while training, the column to predict, if it is known: column_1 is the first one of a file without a
            header line.
        names: while predicting, the columns that the model knows, but for the target.
        text: a column of free text, in which "na", "null" and the like stand for themselves.

    Raises:
        DataError: for what is no table, is empty, or has no header line that names the columns asked for.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        if path.suffix.lower() in (".parquet", ".pq"):
            table = Table(_read_parquet(path), str(path))
        else:
            table = _read_csv(_content(str(source), path), str(source), target, names)
    else:
        table = Table(_as_frame(source), "the table")
    frame = _tidy(table.frame, text)
    if not frame.width or not frame.height:
        raise DataError(f"{table.source} has {frame.height} rows and {frame.width} columns: there is nothing to read.")
    return Table(frame, table.source, table.header)


def _content(source: str, path: Path) -> bytes:
    try:
        content = sys.stdin.buffer.read() if source == "-" else path.read_bytes()
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror or error}.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace").encode()
    if b"\0" in content:
        raise DataError(f"{source} is not text: it holds zero bytes.", "Expected a CSV file.")
    return content.removeprefix(b"\xef\xbb\xbf")


def _read_csv(content: bytes, source: str, target: str | None, known: Sequence[str] | None) -> Table:
    start = content[:_LOOKED_AT].decode("utf-8", "replace")
    if len(content) > _LOOKED_AT:
        start = start[: start.rfind("\n") + 1] or start
    if not start.strip():
        raise DataError(f"{source} is empty.", "Expected a header line and rows.")
    delimiter, rows = _sniff(start)
    first = [cell.strip() for cell in rows[0]]
    header, names = _header(first, source, target) if known is None else _known_header(first, known)
    frame = _guarded(
        lambda: pl.read_csv(
            io.BytesIO(content),
            has_header=header,
            separator=delimiter,
            infer_schema=False,
            encoding="utf8-lossy",
            new_columns=None if header else names,
        ),
        source,
        "CSV",
    )
    if not header and frame.width != len(names):
        raise DataError(f"The first line of {source} has {len(names)} columns, others have {frame.width}.")
    if delimiter == ";":
        frame = _decimal_points(frame)
    return Table(frame, source, header)


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    # A damaged file can make polars allocate exabytes, which ends the process: so a child reads it first.
    code = "import sys, polars; polars.read_parquet(sys.argv[1])"
    child = subprocess.run([sys.executable, "-P", "-c", code, str(path)], capture_output=True, check=False)
    if child.returncode:
        raise DataError(f"{path} cannot be read as Parquet: it is damaged or of another kind.", "Write it again.")
    return _guarded(lambda: pl.read_parquet(path), str(path), "Parquet")


def _guarded(read: Any, source: str, kind: str) -> pl.DataFrame:
    try:
        frame: pl.DataFrame = read()
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror or error}.") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise DataError(f"{source} cannot be read as {kind}: {reason}.") from error
    return frame


def _sniff(text: str) -> tuple[str, list[list[str]]]:
    """The delimiter that cuts the first lines into the most columns, evenly."""
    best: tuple[float, int] = (-1.0, 0)
    chosen = (",", [[text.split("\n")[0]]])
    lines = text.splitlines()[:50]
    for delimiter in _DELIMITERS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        if not rows:
            continue
        width = len(rows[0])
        even = sum(len(row) == width for row in rows) / len(rows)
        score = (even if width > 1 else 0.0, width)
        if score > best:
            best, chosen = score, (delimiter, rows)
    return chosen


def _header(first: list[str], source: str, target: str | None) -> tuple[bool, list[str]]:
    """Whether the first line names the columns, and what they are called where it does not."""
    numbered = [f"column_{index + 1}" for index in range(len(first))]
    numbers = [cell for cell in first if _is_number(cell)]
    # Columns may be called 0, 1, 2, …, but hardly 0.02, 0.0371, ….
    named = target is not None and target in first and 2 * sum("." in cell for cell in numbers) < len(first)
    if named or not numbers:
        return True, first
    if target is not None and target in numbered:
        return False, numbered
    shown = ", ".join(first[:4]) + (", …" if len(first) > 4 else "")
    received = "" if target is None else f" Received: target={target!r}."
    raise DataError(
        f"{source} seems to have no header line: it begins with {shown}.",
        f"Name the target by its place: column_1 is the first column, {numbered[-1]} the last.{received}",
    )


def _known_header(first: list[str], known: Sequence[str]) -> tuple[bool, list[str]]:
    """The same for a model's input: it has no header line where the training table had none."""
    if set(first) & set(known) or not all(re.fullmatch(r"column_\d+", name) for name in known):
        return True, first
    if len(first) == len(known):  # without the target
        return False, sorted(known, key=lambda name: int(name.removeprefix("column_")))
    return False, [f"column_{index + 1}" for index in range(len(first))]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_frame(source: Any) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    try:
        if type(source).__module__.split(".")[0] == "pandas":
            return pl.DataFrame({str(name): source[name].tolist() for name in source.columns}, strict=False)
        if isinstance(source, Mapping):
            return pl.DataFrame(dict(source), strict=False)
        if isinstance(source, Sequence) and source and all(isinstance(row, Mapping) for row in source):
            return pl.DataFrame(list(source), strict=False, infer_schema_length=None)
    except (TypeError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"The table cannot be read: {str(error).splitlines()[0]}.") from error
    raise DataError(
        f"Expected a table: a path, a frame, a mapping of columns or a list of rows. Received: {type(source).__name__}."
    )


def _tidy(frame: pl.DataFrame, text: str | None = None) -> pl.DataFrame:
    texts = [name for name, dtype in frame.schema.items() if dtype in (pl.Categorical, pl.Enum, pl.Object)]
    frame = frame.with_columns(pl.col(texts).cast(pl.String)) if texts else frame
    kept = () if text is None else [name for name in frame.columns if name.strip() == text]
    known = [name for name, dtype in frame.schema.items() if dtype == pl.String and name not in kept]
    stripped = pl.col(known).str.strip_chars()
    frame = frame.with_columns(pl.when(~stripped.str.to_lowercase().is_in(MISSING)).then(stripped))
    frame = frame.with_columns(pl.col(name).str.strip_chars() for name in kept if frame.schema[name] == pl.String)
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested() or dtype == pl.Binary]
    if nested:
        raise DataError(f"The column {nested[0]!r} holds {frame.schema[nested[0]]}; expected numbers, text or dates.")
    names = [name.strip() or f"column_{index + 1}" for index, name in enumerate(frame.columns)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"Two columns are called {twice!r}.", "Give each a name of its own.")
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _decimal_points(frame: pl.DataFrame) -> pl.DataFrame:
    """1,5 → 1.5 in columns that hold nothing but numbers: as spreadsheets write them where ; is the delimiter."""
    changed = []
    for column in frame:
        text = column.str.strip_chars()
        known = text.filter(~text.str.to_lowercase().is_in(MISSING))
        if len(known) and known.str.contains(_DECIMAL_COMMA).all() and known.str.contains(",", literal=True).any():
            changed.append(text.str.replace(",", ".", literal=True))
    return frame.with_columns(changed)
