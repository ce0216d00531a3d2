"""Files and folders written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path

from lamina.errors import BadInputError

__all__ = ["check_folder", "why_unopened", "write_atomically", "write_folder"]


def write_atomically(path: str | PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: to a temporary name beside it, flushed, then renamed.

    Raises:
        BadInputError: where the folder is missing or not writable, or the disk is full.
    """
    final = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; give it the permissions an ordinary new file would have.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, final)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise BadInputError(f"{final} cannot be written: {error.strerror or error}.") from error


def check_folder(
    out: str | PathLike[str],
    *,
    what: str,
    mark: str,
    force: bool = False,
    resume: bool = False,
    ways: str = "--force to replace it",
) -> Path:
    """Check, before anything is computed, that a folder of one's own can be written. Makes nothing.

    Args:
        out: the folder.
        what: it is to hold, with its article: "a run".
        mark: the file that every such folder holds; ``force`` replaces no other.
        force: replace what is there.
        resume: go on with what is there.
        ways: what a person can do about a folder that is there already.

    Raises:
        BadInputError: where it exists (without ``force`` or ``resume``), holds something else, or cannot be written.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise BadInputError(f"{folder} is a file; {what} needs a folder of its own.", "Choose another --out.")
    filled = folder.is_dir() and any(folder.iterdir())
    if filled and not (force or resume):
        raise BadInputError(f"{folder} exists already.", f"Use {ways}, or another --out.")
    if filled and force and not (folder / mark).is_file():
        raise BadInputError(f"{folder} does not hold {what} (it has no {mark}), so --force does not replace it.")
    parent = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    if not parent.is_dir() or not _writable(parent):
        raise BadInputError(f"{folder} cannot be written: no permission in {parent}.", "Choose another --out.")
    return folder


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files beside it, and rename that: nobody sees it half full. It replaces what was there.

    Raises:
        BadInputError: where it cannot be written; what was there is there still.
    """
    new = [path for path in folder.absolute().parents if not path.exists()]
    made: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        inside = made / "new"
        inside.mkdir()
        for name, content in contents.items():
            (inside / name).write_bytes(content)
        if folder.exists():
            folder.rename(made / "old")
        inside.rename(folder)
    except OSError as error:
        raise BadInputError(f"{folder} cannot be written: {error.strerror or error}.") from error
    finally:
        if made is not None:
            if (made / "old").exists() and not folder.exists():
                (made / "old").rename(folder)
            shutil.rmtree(made, ignore_errors=True)
        for path in new:
            with suppress(OSError):  # not empty: the folder is there
                path.rmdir()


def why_unopened(error: Exception) -> str | None:
    """Why a file could not be read, where that has nothing to do with what is in it; None otherwise."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    return None


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
