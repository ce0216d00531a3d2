"""``lamina predict``: what a model says of files, folders, tables, standard input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamina.cli import outputs, reconstruct
from lamina.cli.models import open_model
from lamina.cli.terminal import Reporter, aligned, clean, emit_json, metric_number, percent
from lamina.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from lamina.data import Inputs
    from lamina.model import Model, Predictions

__all__ = ["predict"]


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.lamina file, or the run folder it lies in.")],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT…", help="What the model was trained on: pictures, folders, tables; - for stdin."),
    ],
    top: Annotated[int, typer.Option("--top", min=1, metavar="K", help="The K most probable classes.")] = 1,
    contains: Annotated[
        str | None, typer.Option("--contains", metavar="CLASS", help="Only ask for this class: yes or no.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write a .csv or .parquet file instead of printing.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that --out names.")] = False,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, metavar="N", help="Examples computed together.")
    ] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Ask a trained model about new examples.

    [bold]lamina predict runs/photos cat.jpg dog.jpg[/bold]
    [bold]lamina predict runs/photos holiday/ --contains dog[/bold]
    [bold]lamina predict runs/prices new.csv --out prices.csv[/bold]
    [bold]cat cat.jpg | lamina predict runs/photos -[/bold]
    """
    reporter = Reporter()
    if out is not None:
        outputs.new_file(Path(out), force=force, endings=outputs.TABLES)
    trained = open_model(model)
    if contains is not None:
        _check_class(trained, contains)
    given = trained.preprocessing.gather(inputs)
    for warning in given.warnings:
        reporter.warn(warning)
    skipped = list(given.skipped)
    if trained.target.answer == "input":
        answers = reconstruct.reconstructed(trained, given, batch_size, skipped)
    else:
        answers = _answers(trained, given, batch_size, top, contains, skipped)
    if out is None and not as_json:
        for line in _lines(answers, given.names, trained, top):
            print(line)  # noqa: T201
    rows = list(answers)
    reporter.skipped(skipped)
    if out is not None:
        _write(Path(out), rows, trained)
        reporter.say(f"{len(rows)} predictions are in {out}")
    if as_json:
        told = [{"input": name, "reason": reason} for name, reason in skipped]
        emit_json({"predictions": rows, "skipped": told, "warnings": reporter.warnings})


def _check_class(model: Model, name: str) -> None:
    if model.target.answer in ("values", "input"):
        gives = "predicts values, not classes" if model.target.answer == "values" else "gives its input back"
        raise ConfigError(f"This model {gives}.", "Leave --contains out.")
    if name not in model.target.names:
        raise ConfigError(f"The model knows no class {name!r}.", nearest(name, model.target.names))


def _answers(
    model: Model, given: Inputs, batch_size: int, top: int, contains: str | None, skipped: list[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """One JSON-able answer an input that can be read; of the others, name and reason are added to ``skipped``."""
    failed: dict[int, str] = {}
    readable = (name for index, name in enumerate(given.names) if index not in failed)
    times = iter(given.times)
    answered = False
    for predictions in model.stream(given.raw, batch_size, failed.__setitem__):
        answered = True
        shown = list(islice(readable, len(predictions)))
        if given.times:
            yield from _forecasts(shown, predictions, list(islice(times, len(predictions))))
        else:
            yield from _described(model, shown, predictions, top, contains)
    skipped += [(given.names[index], reason) for index, reason in failed.items()]
    if not answered:
        first = f"{skipped[0][0]}: {skipped[0][1]}" if skipped else "the input holds no example"
        raise DataError(f"There is nothing to predict: {first}.")


def _forecasts(
    names: Sequence[str], predictions: Predictions, times: Sequence[Sequence[str]]
) -> Iterator[dict[str, Any]]:
    assert predictions.values is not None
    for name, values, when in zip(names, predictions.values.tolist(), times, strict=True):
        yield {"input": name, "values": values, "times": list(when)}


def _described(
    model: Model, names: Sequence[str], predictions: Predictions, top: int, contains: str | None
) -> Iterator[dict[str, Any]]:
    if predictions.values is not None:
        for name, row in zip(names, predictions.values.tolist(), strict=True):
            several = {"values": dict(zip(predictions.classes, row, strict=True))}
            yield {"input": name, **(several if len(row) > 1 else {"value": row[0]})}
        return
    assert predictions.labels is not None
    assert predictions.probabilities is not None
    best = predictions.top(max(top, 1))
    for name, label, first, probabilities in zip(
        names, predictions.labels.tolist(), best, predictions.probabilities, strict=True
    ):
        answer: dict[str, Any] = {"input": name, "label": label, "probability": first[0][1], "top": first}
        if model.target.task == "multilabel":
            answer |= {"label": "|".join(label), "labels": list(label)}
        if contains is not None:
            probability = float(probabilities[predictions.classes.index(contains)])
            yes = contains in label if model.target.task == "multilabel" else contains == label
            answer["contains"] = {"label": contains, "answer": "yes" if yes else "no", "probability": probability}
        yield answer


def _lines(answers: Iterator[dict[str, Any]], names: Sequence[str], model: Model, top: int) -> Iterator[str]:
    """The answers for people. Names are known beforehand, so that lines are aligned though they come in portions."""
    from rich.cells import cell_len

    if model.target.task == "forecast":
        for answer in answers:
            rows = [[time, metric_number(value)] for time, value in zip(answer["times"], answer["values"], strict=True)]
            yield from ([clean(answer["input"])] if len(names) > 1 else [])
            yield from aligned(rows, right=(1,))
        return
    name_width = max((cell_len(clean(name)) for name in names), default=0)
    label_width = max((cell_len(clean(name)) for name in model.target.names), default=0)

    def padded(text: str, width: int) -> str:
        text = clean(text)
        return text + " " * (width - cell_len(text))

    if model.target.answer == "values" and len(model.target.names) > 1:
        yield padded("", name_width) + "  " + "  ".join(f"{clean(name):>12}" for name in model.target.names)
    if model.target.answer == "input":
        yield padded("", name_width) + "  squared error, code"
    for answer in answers:
        if "squared_error" in answer:
            cells = reconstruct.shown(answer)
        elif "values" in answer:
            cells = [f"{metric_number(value):>{max(12, cell_len(clean(n)))}}" for n, value in answer["values"].items()]
        elif "value" in answer:
            cells = [f"{metric_number(answer['value']):>12}"]
        elif "contains" in answer:
            cells = [f"{answer['contains']['answer']:<3}", f"{percent(answer['contains']['probability']):>6}"]
        elif "labels" in answer and top == 1:
            cells = [clean(answer["label"]) or "(none)"]
        else:
            shown = answer["top"]
            cells = [cell for label, p in shown for cell in (padded(label, label_width), f"{percent(p):>6}")]
        yield "  ".join([padded(answer["input"], name_width), *cells]).rstrip()


def _write(path: Path, answers: list[dict[str, Any]], model: Model) -> None:
    """The answers as a table, written whole or not at all."""
    columns: dict[str, list[Any]] = {"input": [answer["input"] for answer in answers]}
    if model.target.answer == "input":
        columns |= reconstruct.columns(answers)
    elif model.target.task == "forecast":
        columns = {
            "input": [answer["input"] for answer in answers for _ in answer["times"]],
            "time": [time for answer in answers for time in answer["times"]],
            "value": [value for answer in answers for value in answer["values"]],
        }
    elif model.target.answer == "values":
        for name in model.target.names:
            column = [answer["values"][name] if "values" in answer else answer["value"] for answer in answers]
            columns[name if name != "input" else "input (predicted)"] = column
    else:
        columns["label"] = [answer["label"] for answer in answers]
        columns["probability"] = [answer["probability"] for answer in answers]
        for rank in range(1, len(answers[0]["top"])):
            columns[f"label_{rank + 1}"] = [answer["top"][rank][0] for answer in answers]
            columns[f"probability_{rank + 1}"] = [answer["top"][rank][1] for answer in answers]
        if "contains" in answers[0]:
            columns["contains"] = [answer["contains"]["answer"] for answer in answers]
            columns["contains_probability"] = [answer["contains"]["probability"] for answer in answers]
    outputs.write_table(path, columns)
