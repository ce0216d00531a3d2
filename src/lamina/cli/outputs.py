"""Files that a command writes: refused beforehand where they cannot be, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lamina.errors import BadInputError, ConfigError

__all__ = ["TABLES", "new_file", "write_table"]

TABLES = (".csv", ".parquet")


def new_file(path: Path, *, force: bool, endings: Sequence[str] = ()) -> None:
    """Refuse, before anything is computed, a file that ``--out`` names and that cannot be written.

    Args:
        force: it may be there already.
        endings: that its name may have; any, where there are none.

    Raises:
        BadInputError: saying why.
    """
    if endings and path.suffix.lower() not in endings:
        raise ConfigError(f"The file is written as {' or '.join(endings)}. Received: --out {path}.")
    if path.is_dir():
        raise BadInputError(f"{path} is a folder.", "Name a file in it.")
    if path.exists() and not force:
        raise BadInputError(f"{path} exists already.", "Use --force to replace it, or name another file with --out.")
    if not path.parent.is_dir():
        raise BadInputError(f"{path} cannot be written: there is no folder {path.parent}.", "Make it first.")


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    """Columns as a table, ``.csv`` or ``.parquet`` by the file's name."""
    import io

    import polars as pl

    from lamina.cli.terminal import clean
    from lamina.files import write_atomically

    frame = pl.DataFrame(
        {
            name: [clean(value) if isinstance(value, str) else value for value in column]
            if isinstance(column, list)
            else column
            for name, column in columns.items()
        }
    )
    buffer = io.BytesIO()
    if path.suffix.lower() == ".csv":
        frame.write_csv(buffer)
    else:
        frame.write_parquet(buffer)
    write_atomically(path, buffer.getvalue())
