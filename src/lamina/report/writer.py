"""report.html from a run."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import PurePath

import numpy as np

from lamina.files import write_atomically
from lamina.report import classes, examples, reconstructions, record, results, series, texts, values
from lamina.report.evidence import Evidence, gather
from lamina.report.markup import Markup, join, tag
from lamina.report.page import Section, page
from lamina.report.wording import count, duration
from lamina.run import Run

__all__ = ["write"]

_FEW = 12  # classes up to which the confusion matrix takes half of a wide screen


def write(run: Run, path: str | PathLike[str], *, outputs: Mapping[str, np.ndarray] | None = None) -> None:
    """Write a run's report: one HTML file that needs nothing but itself.

    It shows the result with its interval, the learning curves, where the model is right and wrong (on the test split,
    or the validation split where there is none), the network, the data card, and all that made the run. The same run
    gives the same file.

    Args:
        run: what `lamina.fit` returned.
        path: of the file; it is written whole or not at all.
        outputs: the network's raw outputs by split, "test" and "validation", where they are known already; otherwise
            they are computed, except for an interrupted run.

    Raises:
        BadInputError: where the file cannot be written.
    """
    evidence = gather(run, outputs)
    learned = [] if "head" in run.config else [Section("curves", "Learning curves", results.curves(run))]
    sections = [
        *learned,
        *(_measured(run, evidence) if evidence else [Section("metrics", "Metrics", results.metrics(run))]),
        Section("network", "Network", record.network(run)),
    ]
    filters = record.filters(run)
    if filters is not None:
        sections.append(Section("filters", "First-layer filters", filters))
    sections += [
        Section("data", "Data card", record.data_card(run.data.card)),
        Section("configuration", "Configuration", record.configuration(run)),
        Section("origin", "How it was made", record.origin(run)),
    ]
    source = PurePath(run.data.card.source).name or run.data.card.source
    write_atomically(path, page(f"{source} · Lamina", _header(run, source), sections).encode())


def _header(run: Run, source: str) -> Markup:
    task = {"classify": "Classification", "multilabel": "Several labels", "regress": "Regression"}
    task |= {"autoencode": "Auto-encoder", "forecast": "Forecast", "generate": "A text to go on with"}
    ends = {
        "finished": "The training finished",
        "stopped early": "The training stopped early, since the validation score got no better,",
        "time is up": "The training ended when its time was up",
        "interrupted": "The training was interrupted",
    }
    said = f"{ends.get(run.status, run.status)} after {count(len(run.history))} "
    said += f"{'epoch' if len(run.history) == 1 else 'epochs'} and {duration(run.seconds)}."
    if "head" in run.config:
        said = f"A simple head was fitted to the descriptors of a trained network, in {duration(run.seconds)}."
    warnings = len(run.data.card.warnings)
    return join(
        (
            tag("p", f"Lamina report · {task[run.model.target.task]}", class_="eyebrow"),
            tag("h1", source),
            tag("p", said),
            results.headline(run),
            tag(
                "p",
                tag("a", f"{warnings} {'warning' if warnings == 1 else 'warnings'} on the data", href="#data"),
                ": read the data card before you trust the result.",
                class_="note",
            )
            if warnings
            else None,
        )
    )


def _measured(run: Run, evidence: Evidence) -> list[Section]:
    """What the model says of the examples, of single ones too, by task."""
    if evidence.target.answer == "input":
        return _given_back(run, evidence)
    if evidence.target.answer == "next":
        sample = Section("written", "What it writes", texts.written(run))
        return [sample, Section("metrics", "Metrics", results.metrics(run))]
    task, preprocessing = evidence.target.task, run.model.preprocessing
    values_asked = evidence.target.answer == "values"
    on = tag("p", f"Measured on the {evidence.part} split, {count(len(evidence.truth))} examples.", class_="aside")
    metrics = Section("metrics", "Metrics", results.metrics(run), half=not values_asked)
    if task == "forecast":
        found = [Section("forecast", "Forecast", join((on, series.forecasts(run, evidence)))), metrics]
        wrong = "Largest errors"
    elif values_asked:
        found = [metrics, Section("errors", "Errors", join((on, values.errors(evidence))))]
        wrong = "Largest errors"
    else:
        few = not _FEW < len(evidence.target.names) <= classes.MATRIX
        by = "By class" if task == "classify" else "By label"
        found = [Section("classes", by, join((on, classes.per_class(evidence))), half=True), metrics]
        if task == "classify":
            confusion = Section("confusion", "Confusion", join((on, classes.confusion(evidence))), half=few)
            calibration = Section("calibration", "Calibration", join((on, classes.calibration(evidence))), half=True)
            found = [confusion, *found, calibration] if few else [confusion, found[0], calibration, metrics]
            means = series.mean_series(evidence, preprocessing)
            found += [Section("means", "Mean series by class", join((on, means)))] if means is not None else []
        wrong = "Most confidently wrong"
    return [
        *found,
        Section("mistakes", wrong, join((on, examples.wrong(evidence, preprocessing)))),
        Section("samples", "Sample predictions", join((on, examples.samples(evidence, preprocessing)))),
    ]


def _given_back(run: Run, evidence: Evidence) -> list[Section]:
    """What an auto-encoder makes of its inputs."""
    preprocessing = run.model.preprocessing
    on = tag("p", f"Measured on the {evidence.part} split, {count(len(evidence.truth))} examples.", class_="aside")
    codes = reconstructions.codes(run, evidence)
    shown = Section("samples", "Reconstructions", join((on, reconstructions.samples(evidence, preprocessing))))
    return [
        shown,
        Section("errors", "Errors", join((on, reconstructions.distribution(evidence))), half=True),
        Section("metrics", "Metrics", results.metrics(run), half=True),
        Section("worst", "Worst reconstructed", join((on, reconstructions.worst(evidence, preprocessing)))),
        *([Section("codes", "Codes", join((on, codes)))] if codes is not None else []),
    ]
