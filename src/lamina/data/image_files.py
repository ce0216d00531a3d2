"""Finding pictures: names in compact form, folders with a sub-folder a class, equal files. Nothing is decoded here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np

from lamina.data.decode import EXTENSIONS, parallel
from lamina.data.splits import digest, find_duplicates
from lamina.errors import DataError, nearest

__all__ = [
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Files",
    "Listing",
    "Paths",
    "file_groups",
    "folders_and_files",
    "free_memory",
    "given_parts",
    "list_folder",
    "list_pictures",
    "sorts_by_class",
    "walk",
]

TRAIN, VALIDATION, TEST = 0, 1, 2
_PARTS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
}
_IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_HEAD = 16_384  # bytes; enough to tell nearly all different pictures of one file size apart


class Files(Sequence[str]):
    """Many file names relative to one folder, packed into one buffer: a million of them take some 40 MB.

    Indexing gives the relative name (as `os.fsdecode` reads it), `path` the full one, `take` a selection that shares
    the buffer.
    """

    def __init__(self, root: str, packed: bytes, starts: np.ndarray, ends: np.ndarray, sizes: np.ndarray) -> None:
        self.root = root
        self.sizes = sizes  # of the files, bytes
        self._packed, self._starts, self._ends = packed, starts, ends

    @classmethod
    def pack(cls, root: str, names: Iterator[tuple[str, int]]) -> Files:
        """Pack (relative name, size in bytes) pairs."""
        packed, ends, sizes = bytearray(), [0], []
        for name, size in names:
            packed += os.fsencode(name)
            ends.append(len(packed))
            sizes.append(size)
        borders = np.asarray(ends, np.int64)
        return cls(root, bytes(packed), borders[:-1], borders[1:], np.asarray(sizes, np.int64))

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Files: ...
    def __getitem__(self, index: int | slice) -> str | Files:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return os.fsdecode(self._packed[self._starts[index] : self._ends[index]])

    def path(self, index: int) -> str:
        """The full path of one file."""
        return os.path.join(self.root, self[index])

    def paths(self) -> Paths:
        """All full paths, each made when it is asked for."""
        return Paths(self)

    def take(self, indices: np.ndarray) -> Files:
        """The files at these indices."""
        return Files(self.root, self._packed, self._starts[indices], self._ends[indices], self.sizes[indices])

    def is_picture_by_name(self, index: int) -> bool:
        """Whether the file's extension is a picture's."""
        return os.path.splitext(self[index])[1].lower() in EXTENSIONS


class Paths(Sequence[str]):
    """The full paths of `Files`, each made when it is asked for."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Paths: ...
    def __getitem__(self, index: int | slice) -> str | Paths:
        return Paths(self._files[index]) if isinstance(index, slice) else self._files.path(index)


@dataclass
class Listing:
    """Labelled files that may be pictures.

    Attributes:
        source: what was read, as given.
        labels: class indices ``(n,)`` int32, or 0/1 ``(n, labels)`` float32.
        parts: ``(n,)`` int8: TRAIN (also for everything that no given part claims), VALIDATION or TEST.
        given: the parts that the source itself names.
        names: the classes or labels.
        skipped: (name, reason).
        warnings: sentences.
    """

    source: str
    files: Files
    labels: np.ndarray
    parts: np.ndarray
    given: frozenset[int]
    names: tuple[str, ...]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def keep(self, indices: np.ndarray) -> None:
        """Drop all but these examples."""
        self.files = self.files.take(indices)
        self.labels, self.parts = self.labels[indices], self.parts[indices]


def walk(folder: str, skip: Callable[[str, str], object], inside: str = "") -> Iterator[tuple[str, int]]:
    """(name relative to ``folder``, bytes) of the regular files below its sub-folder ``inside``, in order of names.

    Hidden files and what operating systems leave behind (Thumbs.db, __MACOSX, …) are passed over in silence. Links
    are followed, each folder is entered once. ``skip`` is told (name, reason) of what cannot be read.
    """
    entered: set[tuple[int, int]] = set()

    def below(relative: str) -> Iterator[tuple[str, int]]:
        place = os.path.join(folder, relative)
        try:
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in entered:
                return
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                # Each as (name, bytes), or (name, -1) for a folder: a million DirEntry objects would weigh more.
                found = []
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower() in _IGNORED:
                        continue
                    if entry.is_dir():
                        found.append((entry.name, -1))
                    elif entry.is_file():
                        found.append((entry.name, entry.stat().st_size))
                    else:
                        skip(os.path.join(relative, entry.name), "it is not a regular file")
        except OSError as error:
            skip(relative, (error.strerror or "it cannot be read").lower())
            return
        found.sort()
        for name, size in found:
            if size < 0:
                yield from below(os.path.join(relative, name))
            else:
                yield os.path.join(relative, name), size

    return below(inside)


def list_folder(folder: str | os.PathLike[str], what: str = "pictures") -> Listing:
    """The files of a folder with one sub-folder a class, or of its ``train/``, ``val/`` and ``test/``.

    ``train/`` (beside which ``val/``, ``valid/``, ``validation/`` and ``test/`` are recognised) counts as a part and
    not as a class where it holds sub-folders; without it the others do where nothing else is there.

    Args:
        folder: its path.
        what: the files are expected to be, in messages.

    Raises:
        DataError: where there is no such folder, nothing in it, no sub-folders or no files in them, or a class of
            ``val/`` or ``test/`` that ``train/`` lacks.
    """
    root = os.fspath(folder)
    folders, loose = folders_and_files(root)
    if not folders and not loose:
        raise DataError(f"The folder {root} is empty.", f"Expected one sub-folder of {what} for each class.")
    if not folders:
        raise DataError(
            f"The folder {root} has files but no sub-folders.",
            f"Expected one sub-folder of {what} for each class, named after it: {what}/cat, {what}/dog.",
        )
    roots = given_parts(root, folders)
    warnings = []
    if roots and len(roots) < len(folders):
        others = [name for name in folders if name not in roots]
        warnings.append(
            f"Left out, being beside the training part and neither validation nor test: {', '.join(others[:5])}."
        )
    classes: dict[str, set[str]] = {}  # of each part's folder
    for name in roots or {"": TRAIN}:
        classes[name], more = folders_and_files(os.path.join(root, name))
        loose += more if roots else []
    strays = sum(os.path.splitext(name)[1].lower() in EXTENSIONS for name in loose)
    if strays:
        what = "1 picture directly" if strays == 1 else f"{strays} pictures directly"
        warnings.append(f"Left out, for no class's folder holds it: {what} in {root}.")
    skipped: list[tuple[str, str]] = []
    labels: list[str] = []
    parts: list[int] = []

    def found() -> Iterator[tuple[str, int]]:
        for name, part in (roots or {"": TRAIN}).items():
            for label in sorted(classes[name]):
                for file, size in walk(root, lambda *what: skipped.append(what), os.path.join(name, label)):
                    labels.append(label)
                    parts.append(part)
                    yield file, size

    files = Files.pack(root, found())
    if not len(files):
        raise DataError(f"No {what} were found in the sub-folders of {root}.")
    names = _classes(root, labels, parts)
    known = {name: index for index, name in enumerate(names)}
    empty = sorted(set().union(*classes.values()) - set(labels))
    if empty:
        warnings.append(f"Left out, for there are no files in it: {', '.join(repr(name) for name in empty[:5])}.")
    encoded = np.fromiter((known[label] for label in labels), np.int32, len(labels))
    return Listing(
        root, files, encoded, np.asarray(parts, np.int8), frozenset(roots.values()), tuple(names), skipped, warnings
    )


def sorts_by_class(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder, or its ``train/``, holds sub-folders, one a class, and no pictures beside them."""
    root = os.fspath(folder)
    folders, loose = folders_and_files(root)
    training = next((name for name in sorted(folders) if _PARTS.get(name.lower()) == TRAIN), None)
    if training is not None and not any(map(_is_picture, loose)):
        folders, loose = folders_and_files(os.path.join(root, training))
    return bool(folders) and not any(map(_is_picture, loose))


def list_pictures(folder: str | os.PathLike[str]) -> Listing:
    """The pictures of a folder at any depth, without labels; ``train/``, ``val/`` and ``test/`` count as parts.

    Raises:
        DataError: where there is no such folder, or no picture in it.
    """
    root = os.fspath(folder)
    folders, loose = folders_and_files(root)
    roots = {name: _PARTS[name.lower()] for name in sorted(folders) if name.lower() in _PARTS}
    if TRAIN not in roots.values() or any(map(_is_picture, loose)):
        roots = {"": TRAIN}
    skipped: list[tuple[str, str]] = []
    parts: list[int] = []

    def found() -> Iterator[tuple[str, int]]:
        for name, part in roots.items():
            for file, size in walk(root, lambda *what: skipped.append(what), name):
                if _is_picture(file):
                    parts.append(part)
                    yield file, size

    files = Files.pack(root, found())
    if not len(files):
        raise DataError(f"There are no pictures in {root}.")
    labels, given = np.zeros(len(files), np.int32), frozenset(roots.values() if "" not in roots else ())
    return Listing(root, files, labels, np.asarray(parts, np.int8), given, (), skipped)


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def given_parts(root: str, folders: set[str]) -> dict[str, int]:
    """The sub-folders that are parts of a given split; none where the sub-folders are classes."""
    roots = {name: _PARTS[name.lower()] for name in sorted(folders) if name.lower() in _PARTS}
    deep = {name for name in roots if folders_and_files(os.path.join(root, name))[0]}
    return roots if any(roots[name] == TRAIN for name in deep) or deep == folders else {}


def _classes(root: str, labels: list[str], parts: list[int]) -> list[str]:
    found = set(zip(labels, parts, strict=True))
    names = sorted({label for label, part in found if part == TRAIN} or {label for label, _ in found})
    for label, part in sorted(found):
        if label not in names:
            raise DataError(
                f"The class {label!r} of {root} is in the {'test' if part == TEST else 'validation'} part, "
                "and the training part has no such class.",
                nearest(label, names),
            )
    return names


def folders_and_files(folder: str) -> tuple[set[str], list[str]]:
    """Names of the sub-folders and of the files of a folder that are not hidden."""
    folders, files = set(), []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in _IGNORED:
                    continue
                if entry.is_dir():
                    folders.add(entry.name)
                else:
                    files.append(entry.name)
    except FileNotFoundError:
        raise DataError(f"There is no {folder}.", "Expected a folder of pictures.") from None
    except NotADirectoryError:
        raise DataError(f"{folder} is a file; expected a folder of pictures.") from None
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    return folders, files


def file_groups(files: Files) -> np.ndarray:
    """Group ids ``(n,)``: files of equal content share one, a file that cannot be read is alone.

    Only files of equal size are read, and only those as a whole whose beginnings agree too.
    """
    keys = [b"%d" % size for size in files.sizes]
    for length in (_HEAD, -1):
        groups = find_duplicates(keys)
        doubtful = np.flatnonzero(np.bincount(groups)[groups] > 1)
        if length < 0:
            doubtful = doubtful[files.sizes[doubtful] > _HEAD]

        def content(index: int, length: int = length) -> bytes:
            try:
                with Path(files.path(index)).open("rb") as file:
                    return digest(file.read(length)) if length > 0 else hashlib.file_digest(file, "sha256").digest()
            except OSError:
                return b"unreadable %d" % index

        for index, value in zip(doubtful.tolist(), parallel(content, doubtful.tolist()), strict=True):
            keys[index] += value
    return find_duplicates(keys)


def free_memory() -> int:
    """Bytes that can still be taken without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)
