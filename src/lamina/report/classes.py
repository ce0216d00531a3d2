"""How the classes or labels fare: confusion matrix, table by class, calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamina.metrics import CalibrationError, ConfusionMatrix
from lamina.report import measured_plots
from lamina.report.evidence import Evidence
from lamina.report.markup import Markup, fold, join, table, tag
from lamina.report.svg import inline
from lamina.report.wording import count, percent, shorten

__all__ = ["MATRIX", "calibration", "confusion", "per_class"]

MATRIX = 50  # classes up to which the whole matrix is shown
_PAIRS_FROM = 12  # classes from which the most confused pairs are listed as well
_PAIRS = 20
_WORST = 25
_LISTED = 1000  # classes: more would make the page too large


def confusion(evidence: Evidence) -> Markup:
    """How often each class was taken for each: a matrix, or the most confused pairs of many classes."""
    names = evidence.target.names
    parts = []
    if len(names) <= MATRIX:
        metric = ConfusionMatrix()
        metric.update(evidence.answers, evidence.truth)
        counts = metric.result()
        assert counts is not None
        parts.append(tag("p", "Rows are true classes, columns what the model said; shading is the share of the row."))
        parts.append(_matrix(counts, names))
    if len(names) >= _PAIRS_FROM:
        parts.append(_pairs(evidence))
    return join(parts)


def _matrix(counts: np.ndarray, names: Sequence[str]) -> Markup:
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    size = next(
        size for most, size in ((5, "huge"), (12, "large"), (24, "medium"), (MATRIX, "small")) if len(names) <= most
    )
    upright = max(map(len, names)) > (10 if size == "huge" else 3) or size == "small"
    head = [
        tag("th", tag("span", shorten(name, 18)), scope="col", title=name, class_="up" if upright else None)
        for name in names
    ]
    rows = []
    for row, name in enumerate(names):
        cells = [_cell(int(counts[row, column]), shares[row, column], row == column) for column in range(len(names))]
        rows.append(tag("tr", tag("th", shorten(name, 18), scope="row", title=name), *cells))
    caption = "Confusion matrix: rows are true classes, columns predicted ones"
    inner = tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", tag("tr", tag("td"), *head)),
        tag("tbody", *rows),
        class_=f"matrix {size}",
    )
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _cell(number: int, share: float, right: bool) -> Markup:
    if not number:
        return tag("td", class_="hit" if right else None)
    # A single mistake among many must be seen: shading starts at a visible step.
    shade = 0.18 + 0.82 * share
    # From here on text in the paper's colour has more contrast than in the ink's.
    kind = ("hit" if right else "miss") + (" deep" if shade > 0.8 else "")
    return tag("td", number, class_=kind, style=f"--v:{shade:.2f}")


def _pairs(evidence: Evidence) -> Markup:
    names, wrong = evidence.target.names, ~evidence.right
    # Only the pairs that occur: thousands of classes make no matrix of them all.
    pairs, times = np.unique(
        np.stack([evidence.truth[wrong], evidence.predicted[wrong]], axis=1), axis=0, return_counts=True
    )
    if not len(pairs):
        return tag("p", "No class was taken for another.")
    totals = np.bincount(evidence.truth, minlength=len(names))
    order = np.argsort(-times, kind="stable")[:_PAIRS]
    rows = [
        (shorten(names[true]), shorten(names[said]), count(int(number)), percent(number / totals[true]))
        for (true, said), number in zip(pairs[order].tolist(), times[order].tolist(), strict=True)
    ]
    head = ("True class", "Taken for", "Examples", "Of the true class")
    return join(
        (tag("h3", "Most confused pairs"), table(head, rows, caption="Most confused pairs of classes", numbers=(2, 3)))
    )


def per_class(evidence: Evidence) -> Markup:
    """Precision, recall, F1 and number of examples of each class or label."""
    names = evidence.target.names
    size = len(names)
    if evidence.several:
        said, true = evidence.predicted.sum(axis=0), evidence.truth.sum(axis=0)
        hits = (evidence.predicted * evidence.truth).sum(axis=0)
    else:
        said, true = np.bincount(evidence.predicted, minlength=size), np.bincount(evidence.truth, minlength=size)
        hits = np.bincount(evidence.truth[evidence.right], minlength=size)
    f1 = 2 * hits / np.maximum(said + true, 1)

    def rows(indices: Sequence[int]) -> list[tuple[object, ...]]:
        return [
            (
                shorten(names[i]),
                percent(hits[i] / said[i] if said[i] else None),
                percent(hits[i] / true[i] if true[i] else None),
                _bar(float(f1[i]) if said[i] + true[i] else None),
                count(int(true[i])),
            )
            for i in indices
        ]

    kind = "label" if evidence.several else "class"
    head = (kind.capitalize(), "Precision", "Recall", "F1", "Examples")
    caption = f"Precision, recall and F1 by {kind}"
    note = tag(
        "p",
        f"Precision: of the examples given the {kind}, the share that has it. Recall: of those that have it, the share "
        "that was found. F1 is their harmonic mean.",
    )
    if size <= MATRIX:
        return join((note, table(head, rows(range(size)), caption=caption, numbers=(1, 2, 3, 4))))
    order = np.argsort(np.where(said + true > 0, f1, 2.0), kind="stable").tolist()
    worst = table(head, rows(order[:_WORST]), caption=f"{caption}, the {_WORST} lowest F1", numbers=(1, 2, 3, 4))
    shown = min(size, _LISTED)
    whole = table(head, rows(range(shown)), caption=caption, numbers=(1, 2, 3, 4))
    title = f"All {size}" if shown == size else f"The first {shown} of {size}"
    return join((note, tag("h3", f"The {_WORST} lowest by F1"), worst, fold(title, whole)))


def _bar(share: float | None) -> Markup:
    if share is None:
        return Markup("–")
    return tag("span", percent(share), class_="bar", style=f"--v:{share:.3f}")


def calibration(evidence: Evidence) -> Markup:
    """Whether the model is right as often as it believes."""
    metric = CalibrationError()
    metric.update(evidence.answers, evidence.truth)
    error = metric.result()
    sure, right = float(evidence.confidence.mean()), float(evidence.right.mean())
    if abs(sure - right) < 0.01:
        verdict = "on average its probabilities can be taken at their word"
    else:
        verdict = "it is too sure of itself" if sure > right else "it is better than it believes"
    said = (
        f"The model gives its answers a probability of {percent(sure)} on average and is right in {percent(right)}: "
        f"{verdict}. The expected calibration error (ECE) is {percent(error)}."
    )
    figure = measured_plots.reliability(evidence.confidence, evidence.right)
    shown = inline(figure, "calibration", f"Reliability diagram: share that is right by probability. {said}")
    note = "On the dashed diagonal, what is said with 80 % is right in 80 %. Whiskers are 95 % intervals."
    return join((tag("p", said), tag("figure", shown, tag("figcaption", note))))
