"""What a source is, told from its name and its looks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lamina.data.builtin import BUILTIN
from lamina.data.idx import find_idx
from lamina.data.text_files import TEXT_FILES, holds_texts
from lamina.errors import DataError, nearest

__all__ = ["TABLES", "identify", "is_frame", "read_arrays_of"]

TABLES = (".csv", ".tsv", ".parquet", ".pq")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
Kind: TypeAlias = Literal[
    "builtin", "arrays", "images", "image list", "sounds", "table", "series", "texts", "text file", "videos"
]


def identify(source: Any, target: str | None = None) -> Kind:
    """The kind of a source: a path, the name of a built-in set, arrays or a frame.

    Args:
        target: a table's target column, where it is known; it settles what a mapping of columns is.

    Raises:
        DataError: when there is no such path, or it is nothing that can be learned from.
    """
    if isinstance(source, str | os.PathLike):
        return _identify_path(source)
    if is_frame(source):
        return "table"
    if isinstance(source, list) and source and all(isinstance(row, Mapping) for row in source):
        return "table"
    if isinstance(source, tuple | list) and len(source) == 2:
        if _are_texts(source[0]):
            return "texts"
        return "table" if is_frame(source[0]) else "arrays"
    if isinstance(source, Mapping):
        pairs = list(source.values())
        if "train" in source and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            return "texts" if _are_texts(source["train"][0]) else "arrays"
        if target is not None:
            return "table"
    raise DataError(
        f"Expected a path, the name of a built-in set, (x, y) or a frame. Received: {type(source).__name__}.",
        'Give arrays as (x, y) or {"train": (x, y), "test": (x, y)}.',
    )


def _are_texts(value: Any) -> bool:
    """Whether it is a sequence of str (told from its first)."""
    sequence = isinstance(value, list | tuple) or type(value).__module__.split(".")[0] == "numpy"
    return sequence and len(value) > 0 and isinstance(value[0], str)


def is_frame(value: Any) -> bool:
    """Whether it is a polars or pandas frame; neither is imported to find out."""
    return type(value).__module__.split(".")[0] in ("pandas", "polars") and hasattr(value, "columns")


def _identify_path(source: str | os.PathLike[str]) -> Kind:
    name = os.fspath(source)
    if name in BUILTIN:
        return "builtin"
    path = Path(name).expanduser()
    if not path.exists():
        raise _missing(name, path)
    if path.is_dir():
        if find_idx(path):
            return "arrays"
        if holds_texts(path):
            return "texts"
        from lamina.data.folder_kind import kind_of_folder

        return kind_of_folder(os.fspath(path))
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return "table"
    if suffix in TABLES:
        return "image list" if _lists_pictures(path) else "table"
    if suffix == ".npz":
        return "arrays"
    if suffix == ".ts":
        return "series"
    if suffix in TEXT_FILES:
        return "text file"
    files = ", ".join((*TABLES, ".npz", ".ts", ".txt"))
    hint = f"Lamina learns from a folder of pictures, sounds, videos or texts, {files}, or one of {', '.join(BUILTIN)}."
    if "ubyte" in path.name:
        hint = "Give the folder that holds the IDX files."
    elif suffix in _PICTURES:
        hint = "Give a folder with one sub-folder of pictures a class."
    elif suffix in (".wav", ".flac", ".mp3", ".ogg"):
        hint = "Give a folder with one sub-folder of sounds a class."
    elif suffix == ".npy":
        hint = "Save examples and targets together: numpy.savez(path, x=x, y=y)."
    elif suffix == ".zip":
        hint = "Unpack it, and give the folder."
    raise DataError(f"{name} is no data that Lamina can learn from.", hint)


def _missing(name: str, path: Path) -> DataError:
    known = list(BUILTIN)
    if path.parent.is_dir():
        known += [str(path.parent / entry.name) for entry in list(path.parent.iterdir())[:1000]]
    hint = nearest(name, known)
    if hint.startswith("Known"):
        hint = f"Built-in sets: {', '.join(BUILTIN)}."
    return DataError(f"There is no {name}.", hint)


def _lists_pictures(path: Path) -> bool:
    """Whether a column holds picture files and no other column but labels (0/1 or text) is there to learn from."""
    import polars as pl

    from lamina.data.image_list import path_column

    try:
        head = pl.read_csv(path, n_rows=200, infer_schema_length=200, encoding="utf8-lossy", ignore_errors=True)
        texts = head.cast(pl.String)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return False  # read as a table, which tells what is wrong
    pictures = path_column(texts)
    if pictures is None:
        return False
    rest = [head[name] for name in head.columns if name != pictures]
    return not any(column.dtype.is_float() or (column.dtype.is_integer() and column.n_unique() > 50) for column in rest)


def read_arrays_of(source: Any) -> dict[str, tuple[Any, Any]]:
    """The parts of a source that `identify` calls "arrays"."""
    from lamina.data.idx import read_idx_folder
    from lamina.data.npz import read_npz

    if isinstance(source, Mapping):
        return {str(part): (pair[0], pair[1]) for part, pair in source.items()}
    if isinstance(source, tuple | list):
        return {"train": (source[0], source[1])}
    path = Path(source).expanduser()
    return dict(read_idx_folder(path) if path.is_dir() else read_npz(path))
