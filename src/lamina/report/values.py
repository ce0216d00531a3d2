"""How predicted values fare: against the true ones, their errors, and where they are largest."""

from __future__ import annotations

import numpy as np

from lamina.report import measured_plots
from lamina.report.evidence import Evidence
from lamina.report.markup import Markup, fold, join, table, tag
from lamina.report.svg import inline
from lamina.report.wording import amount, shorten

__all__ = ["errors"]

_VALUES = 4  # of several values, those that are plotted


def errors(evidence: Evidence) -> Markup:
    """Predicted against true values, residuals, errors by decile; for every value of a few."""
    names = evidence.target.names
    parts: list[Markup] = []
    if len(names) > 1:
        parts.append(_by_value(evidence))
    for column, name in enumerate(names[:_VALUES]):
        if len(names) > 1:
            parts.append(tag("h3", name))
        parts.append(_one(evidence.truth[:, column], evidence.answers[:, column], column, name))
    return join(parts)


def _by_value(evidence: Evidence) -> Markup:
    off = evidence.answers - evidence.truth
    spread = np.maximum(evidence.truth.var(axis=0), np.finfo(np.float64).tiny)
    rows = [
        (
            shorten(name),
            f"{1 - np.square(off[:, i]).mean() / spread[i]:.3f}",
            amount(float(np.sqrt(np.square(off[:, i]).mean()))),
            amount(float(np.abs(off[:, i]).mean())),
        )
        for i, name in enumerate(evidence.target.names)
    ]
    head = ("Value", "R²", "Root mean squared error", "Mean absolute error")
    return table(head, rows, caption="Errors by value", numbers=(1, 2, 3))


def _one(truth: np.ndarray, predicted: np.ndarray, column: int, name: str) -> Markup:
    off = predicted - truth
    typical, bias = float(np.median(np.abs(off))), float(off.mean())
    said = (
        f"Half of the predictions are off by at most {amount(typical)}; on average they are "
        f"{amount(abs(bias))} too {'high' if bias > 0 else 'low'}."
    )
    figures = [
        (measured_plots.predicted_against_true(truth, predicted), "scatter", f"Predicted against true {name}. {said}"),
        (measured_plots.residuals(truth, predicted), "residuals", f"Histogram of the errors of {name}. {said}"),
    ]
    tenths = [part for part in np.array_split(np.argsort(truth, kind="stable"), 10) if len(part)]
    mean, error, shift = (np.asarray([values[part].mean() for part in tenths]) for values in (truth, np.abs(off), off))
    figures.append(
        (measured_plots.deciles(mean, error, shift), "tenths", f"Mean absolute error of {name} by tenth of true value")
    )
    shown = [tag("figure", inline(figure, f"{kind}-{column}", described)) for figure, kind, described in figures]
    rows = [
        (i + 1, f"{amount(truth[part].min())} to {amount(truth[part].max())}", amount(error[i]), amount(shift[i]))
        for i, part in enumerate(tenths)
    ]
    head = ("Tenth", "True values", "Mean absolute error", "Mean error")
    numbers = table(head, rows, caption=f"Errors of {name} by tenth of the true value", numbers=(1, 2, 3))
    return join((tag("p", said), tag("div", *shown, class_="figures"), fold("The tenths in numbers", numbers)))
