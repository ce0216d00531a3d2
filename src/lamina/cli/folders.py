"""Where something is written when nobody says: a new folder, for a run one below ``runs/``, nobody else's."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lamina.errors import BadInputError

__all__ = ["check_folder", "check_page", "new_folder", "run_folder"]

_PAGE = "comparison.html"


def check_folder(out: str | None, source: str, *, force: bool, resume: bool) -> None:
    """Refuse, before the data is read, a run folder that cannot be used. Makes nothing."""
    from lamina.train.folder import prepare_folder

    if out is not None:
        prepare_folder(out, force=force, resume=resume)
    elif resume:
        _last_run(source)
    elif force:
        raise BadInputError("--force replaces the run that --out names.", "Name it, or leave --force out.")
    else:
        prepare_folder(new_folder("runs", source))


def check_page(out: str, *, force: bool) -> None:
    """Refuse, before anything is computed, a folder for a page that cannot be used. Makes nothing."""
    from lamina.train.folder import prepare_folder

    folder = Path(out)
    if force and (folder / _PAGE).is_file():
        return
    if force and folder.is_dir() and any(folder.iterdir()):
        raise BadInputError(f"{folder} holds no {_PAGE}, so --force does not write over it.", "Choose another --out.")
    prepare_folder(folder)


@contextmanager
def run_folder(out: str | None, source: str, *, resume: bool) -> Iterator[Path]:
    """The run's folder.

    A new one in ``runs/`` is made at once, so that no other run takes it, and taken back if the run writes nothing.
    """
    if out is not None:
        yield Path(out)
        return
    if resume:
        yield _last_run(source)
        return
    parent_was_there = Path("runs").exists()
    folder = _reserve(source)
    try:
        yield folder
    finally:
        with suppress(OSError):  # not empty: the run is there
            folder.rmdir()
            if not parent_was_there:
                folder.parent.rmdir()


def new_folder(parent: str, source: str) -> Path:
    """A folder ``parent/name`` named after a source, or ``parent/name-2`` and so on where there is one already."""
    return next(folder for folder in _candidates(source, parent) if not folder.exists())


def _reserve(source: str) -> Path:
    for folder in _candidates(source):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise BadInputError(f"{folder} cannot be made: {error.strerror or error}.", "Name an --out.") from error
        return folder
    raise AssertionError("the candidates do not end")


def _candidates(source: str, parent: str = "runs") -> Iterator[Path]:
    name = _name(source)
    yield Path(parent, name)
    for number in itertools.count(2):
        yield Path(parent, f"{name}-{number}")


def _name(source: str) -> str:
    stem = Path(source).expanduser().resolve().stem
    return re.sub(r"[^\w.+-]+", "_", stem).strip("._") or "run"


def _last_run(source: str) -> Path:
    runs = itertools.takewhile(Path.exists, _candidates(source))
    started = [folder for folder in runs if (folder / "config.json").is_file()]
    if not started:
        raise BadInputError(
            f"There is no run of {source} in runs/ to resume.", "Name its folder with --out, or leave --resume out."
        )
    return started[-1]
