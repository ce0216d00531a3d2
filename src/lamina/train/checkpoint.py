"""Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from lamina import trees
from lamina.errors import BadInputError, ModelFileError
from lamina.files import write_atomically
from lamina.train.callbacks import Callback
from lamina.train.loop import Best, Training
from lamina.train.step import Carry

__all__ = ["Checkpoints", "restore"]

NAME = "last.safetensors"


class Checkpoints(Callback):
    """Writes ``last.safetensors`` after the first epoch, then at most every few seconds, and when the run ends.

    Args:
        folder: where; it exists.
        fingerprint: of the configuration; only a run with the same one can be resumed from here.
        seconds: the least time between two.
    """

    def __init__(self, folder: Path, fingerprint: dict[str, Any], seconds: float = 10.0) -> None:
        self.folder, self.fingerprint, self.seconds = folder, fingerprint, seconds
        self._last = time.perf_counter()
        self._saved = -1

    def on_epoch(self, training: Training, row: dict[str, Any]) -> None:
        # The first epoch's always: a run that fails soon after has something to go on from.
        if self._saved < 0 or time.perf_counter() - self._last >= self.seconds:
            self._save(training)

    def on_end(self, training: Training) -> None:
        # An interrupted or diverged epoch is not resumed from its middle: the last whole epoch counts.
        if self._saved < len(training.history) == training.epoch:
            self._save(training)

    def _save(self, training: Training) -> None:
        began = time.perf_counter()
        facts = {
            "history": training.history,
            "best": {"key": list(training.best.key), "epoch": training.best.epoch, "rate": training.best.rate},
            "epochs_planned": training.epochs_planned,
            "seconds": training.seconds,
            "fingerprint": self.fingerprint,
        }
        table = trees.flatten(_lasting(training.carry), "carry.")
        table |= trees.flatten({"params": training.best.params, "state": training.best.state}, "best.")
        # Infinities mark "no score yet"; they have no JSON form, so they travel as Python writes them.
        table["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        write_atomically(self.folder / NAME, trees.to_bytes(table))
        self._saved = len(training.history)
        # A large model on a slow disk must not spend more than a tenth of the run on its checkpoints.
        self._last = time.perf_counter()
        self.seconds = max(self.seconds, 10 * (self._last - began))


def restore(training: Training, folder: Path, fingerprint: dict[str, Any]) -> None:
    """Put a training back to where its last checkpoint was.

    Raises:
        BadInputError: where there is no checkpoint, or it is of another configuration (the difference is named).
    """
    path = folder / NAME
    try:
        table = trees.from_bytes(path.read_bytes())
        facts = json.loads(table.pop("facts").tobytes())
    except FileNotFoundError:
        raise BadInputError(f"There is no checkpoint to resume from in {folder}.", "Start anew with --force.") from None
    except (ModelFileError, OSError, KeyError, ValueError) as error:
        raise BadInputError(f"The checkpoint {path} cannot be read: {error}.", "Start anew with --force.") from error
    for name, value in fingerprint.items():
        saved = facts["fingerprint"].get(name)
        if saved != value:
            raise BadInputError(
                f"The run in {folder.parent} was made with another {name}: {_short(saved)}, now {_short(value)}.",
                "Resume with the same data and options, or start anew with --force.",
            )
    carry = training.carry
    training.carry = carry._replace(**trees.fill(_lasting(carry), table, "carry."))
    weights = trees.fill({"params": training.best.params, "state": training.best.state}, table, "best.")
    best = facts["best"]
    training.best = Best(tuple(best["key"]), best["epoch"], best["rate"], weights["params"], weights["state"])
    training.history = facts["history"]
    training.epoch = len(training.history)
    training.seconds_before = facts["seconds"]
    if training.plan.time_limit is not None:
        training.epochs_planned = facts["epochs_planned"]


def _lasting(carry: Carry) -> dict[str, Any]:
    """What one epoch leaves to the next: all but the memory, which begins anew."""
    return {name: value for name, value in carry._asdict().items() if name != "memory"}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:97]}…"
