"""A run: what training gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lamina.data.base import Data
from lamina.metrics import Interval
from lamina.model import Model

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """What `lamina.fit` returns.

    Attributes:
        model: with the best weights by the validation score, or those of a second training that this one chose.
        status: "finished", "stopped early", "time is up" or "interrupted".
        history: one row an epoch: loss, metric, val_loss, val_metric, learning_rate, seconds, …
        validation, test: ``{metric: (value, low, high)}`` of the best weights (validation: of the first training, where
            there were two), with 95 % bootstrap intervals; test is empty where there is no test split, or the run was
            interrupted. The test split is scored once.
        best_epoch: the epoch whose weights the model has.
        seconds: spent in all, compilation included.
        config: everything that made the run, JSON-able.
        folder: the run folder, or None.
        data: what it was trained on.
        refitted: examples of training and validation split together, on which the model was trained again (``refit`` of
            `lamina.fit`); 0 where it was not.
    """

    model: Model
    status: str
    history: list[dict[str, Any]]
    validation: dict[str, Interval]
    test: dict[str, Interval]
    best_epoch: int
    seconds: float
    config: dict[str, Any]
    folder: Path | None
    data: Data = field(repr=False)
    refitted: int = 0

    def __repr__(self) -> str:
        shown = self.test or self.validation
        where = "test" if self.test else "validation"
        numbers = ", ".join(f"{name}={value[0]:.4g}" for name, value in shown.items() if value[0] is not None)
        return f"Run({self.status}, {len(self.history)} epochs, {self.seconds:.1f} s, {where}: {numbers})"
