"""What a training ends in: a measured model, its file and its report."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lamina
from lamina.data.base import Data, Split
from lamina.errors import BadInputError, TrainingError
from lamina.model import Model
from lamina.run import Run

__all__ = ["conclude", "surroundings"]


def conclude(
    model: Model,
    data: Data,
    *,
    measure: Callable[[Split], np.ndarray],
    status: str,
    history: list[dict[str, Any]],
    best_epoch: int,
    refitted: int = 0,
    seconds: Callable[[], float],
    config: dict[str, Any],
    folder: Path | None,
) -> Run:
    """Measure a model on the validation and test parts, and write it and its report into the run folder.

    Args:
        measure: the model's raw outputs for a split.
        status, history, best_epoch, refitted, config: as in `Run`.
        seconds: spent so far.
        folder: the run folder, which exists, or None.

    Raises:
        TrainingError: where the files cannot be written.
    """
    # A streamed split may meet pictures that only turn out to be damaged when they are read.
    data.card.warnings.extend(getattr(data.train, "warnings", ()))
    measured: dict[str, dict[str, Any]] = {"validation": {}, "test": {}}
    outputs: dict[str, np.ndarray] = {}
    splits: list[tuple[str, Split | None]] = [("validation", data.validation), ("test", data.test)]
    if status != "interrupted":
        for name, split in splits:
            if split is not None:
                outputs[name] = measure(split)
                measured[name] = model.score(outputs[name], model.truth(split))
    card = {
        "created_by": config["versions"],
        "seed": config["seed"],
        "status": status,
        "best_epoch": best_epoch,
        "validation": {name: value[0] for name, value in measured["validation"].items()},
        "test": {name: value[0] for name, value in measured["test"].items()},
        "data": {"source": data.card.source, "splits": data.card.splits},
    }
    if config["from"]:
        card["from"] = config["from"]
    if refitted:
        card["refitted"] = refitted
    run = Run(
        model=replace(model, card=card),
        status=status,
        history=history,
        validation=measured["validation"],
        test=measured["test"],
        best_epoch=best_epoch,
        refitted=refitted,
        seconds=seconds(),
        config=config,
        folder=folder,
        data=data,
    )
    if folder is not None:
        try:
            run.model.save(folder / "model.lamina")
            if status != "interrupted":  # the person is waiting, and there is little to report
                from lamina import report

                report.write(run, folder / "report.html", outputs=outputs)
        except BadInputError as error:  # the folder was writable when the run began
            raise TrainingError(f"The results could not be saved: {error}", "The last checkpoint is intact.") from error
    return run


def surroundings() -> dict[str, Any]:
    """Versions and device, for a run's record."""
    return {
        "versions": {
            "lamina": lamina.__version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "device": jax.devices()[0].device_kind,
    }
