"""The run folder: the record of a training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from lamina.errors import BadInputError
from lamina.files import check_folder, write_atomically
from lamina.train.callbacks import Callback
from lamina.train.loop import Training

__all__ = ["Record", "prepare_folder", "write_json"]

_CONFIG = "config.json"


def prepare_folder(out: str | PathLike[str], *, force: bool = False, resume: bool = False) -> Path:
    """Check, before anything is computed, that the run can be written there. Makes nothing.

    Raises:
        BadInputError: where the folder exists (without ``force`` or ``resume``), is no run, or cannot be written.
    """
    ways = "--force to replace it, --resume to go on"
    folder = check_folder(out, what="a run", mark=_CONFIG, force=force, resume=resume, ways=ways)
    if resume and not (folder / _CONFIG).is_file():
        raise BadInputError(f"There is no run to resume in {folder}.", "Leave --resume out to start one.")
    return folder


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())


class Record(Callback):
    """Keeps the run folder: ``config.json`` at the start, a line of ``metrics.jsonl`` an epoch."""

    def __init__(self, folder: Path, config: Mapping[str, Any], *, force: bool, resume: bool) -> None:
        self.folder, self.config, self.force, self.resume = folder, config, force, resume

    def open(self) -> None:
        """Make the folder: nothing is written before the run is known to start."""
        if self.folder.is_dir() and self.force and not self.resume:
            shutil.rmtree(self.folder)
        try:
            (self.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(f"{self.folder} cannot be made: {error.strerror or error}.") from error
        write_json(self.folder / _CONFIG, self.config)

    def on_start(self, training: Training) -> None:
        # A resumed run goes on after its checkpoint: rows written since then are computed again.
        rows = "".join(json.dumps(row) + "\n" for row in training.history)
        write_atomically(self.folder / "metrics.jsonl", rows.encode())

    def on_epoch(self, training: Training, row: dict[str, Any]) -> None:
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
