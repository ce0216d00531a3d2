"""``lamina evaluate``: how good a model is on labelled data, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamina.cli import folders, options
from lamina.cli.against import compared
from lamina.cli.against import lines as against_lines
from lamina.cli.models import open_model
from lamina.cli.terminal import Reporter, aligned, clean, emit_json, metric_number
from lamina.errors import ConfigError

if TYPE_CHECKING:
    from lamina.metrics import Interval

__all__ = ["evaluate", "metric_rows"]

_SHOWN_CLASSES = 20
_NAME = 10  # characters of a class's name above its column


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.lamina file, or the run folder it lies in.")],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Labelled data of the kind that the model was trained on.")
    ],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="pca", help="An auto-encoder beside PCA and logistic PCA of its code size."),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="For --against: a folder for the page and its pictures.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the folder that --out names.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Measure a trained model: all metrics, each with its 95 % interval.

    Where the data has a test part, as a built-in set has, that is taken; otherwise everything.

    [bold]lamina evaluate runs/photos more_photos/[/bold]
    [bold]lamina evaluate runs/mnist mnist --against pca --out comparison/[/bold]
    """
    if against is not None:
        options.one_of("--against", against, ("pca",))
    elif out is not None or force:
        raise ConfigError("--out and --force are for --against pca, which writes a page.", "Leave them out.")
    if out is not None:
        folders.check_page(out, force=force)
    import numpy as np

    from lamina.data import load_split
    from lamina.metrics import ConfusionMatrix

    reporter = Reporter()
    trained = open_model(model)
    comparison = None if against is None else compared(trained, data)
    split, card = load_split(data, trained.preprocessing, trained.target)
    for warning in card.warnings:
        reporter.warn(warning)
    outputs = trained.outputs(split)
    metrics = trained.score(outputs, trained.truth(split))
    names = trained.target.names
    confusion: list[list[int]] | None = None
    if trained.target.task == "classify":
        probabilities = trained.read(outputs).probabilities
        matrix = ConfusionMatrix()
        matrix.update(probabilities, split.targets)
        confusion = np.asarray(matrix.result()).tolist()
    if as_json:
        result: dict[str, Any] = {
            "examples": len(split),
            "metrics": {name: interval._asdict() for name, interval in metrics.items()},
            "task": trained.target.task,
            "classes": list(names) if trained.target.answer in ("class", "labels") else [],
            "warnings": reporter.warnings,
        }
        if confusion is not None:
            result["confusion"] = confusion
        if comparison is not None:
            result["against"] = comparison.to_json()
            result["page"] = None if out is None else str(comparison.write(out))
        emit_json(result)
        return
    lines = [f"{len(split):,} examples of {clean(card.source)}. {card.split_rule}", ""]
    lines += aligned([["", "value", "95 % interval"], *metric_rows(metrics)], right=(1,))
    if confusion is not None and len(names) <= _SHOWN_CLASSES:
        lines += ["", "Truth in rows, prediction in columns:", *_confusion_lines(names, confusion)]
    if comparison is not None:
        lines += ["", *against_lines(comparison)]
    print("\n".join(lines))  # noqa: T201
    if comparison is not None and out is not None:
        reporter.field("page", str(comparison.write(out)))


def metric_rows(metrics: dict[str, Interval]) -> list[list[str]]:
    """Metrics as rows of a table: name, value, interval."""
    return [[name, metric_number(value), interval(low, high)] for name, (value, low, high) in metrics.items()]


def interval(low: float | None, high: float | None) -> str:
    """The ends of an interval, or nothing."""
    return "" if low is None or high is None else f"{metric_number(low)} – {metric_number(high)}"


def _confusion_lines(names: Sequence[str], confusion: list[list[int]]) -> list[str]:
    short = [name if len(name) <= _NAME else name[: _NAME - 1] + "…" for name in map(clean, names)]
    rows = [["", *short], *([name, *map(str, counts)] for name, counts in zip(names, confusion, strict=True))]
    return aligned(rows, right=range(1, len(names) + 1))
