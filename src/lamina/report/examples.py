"""Single examples: where the model is most surely wrong, and a sample of what it says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from lamina.data.base import Preprocessing
from lamina.report.evidence import Evidence
from lamina.report.markup import Markup, table, tag
from lamina.report.pictures import picture, read_pictures
from lamina.report.rows import read_rows
from lamina.report.series import read_series, series_lines, sketch, window_lines
from lamina.report.texts import read_texts
from lamina.report.wording import amount, percent, shorten

__all__ = ["samples", "wrong"]

_SHOWN = 24
_ROWS = 15
_LISTED = 3  # numbers below a picture, at most


def wrong(evidence: Evidence, preprocessing: Preprocessing) -> Markup:
    """The examples that the model got most wrong."""
    order = np.argsort(-evidence.error, kind="stable")
    if evidence.target.answer == "values":
        return _show(evidence, preprocessing, order[:_SHOWN])
    order = order[evidence.error[order] > 0]
    if not len(order):
        return tag("p", f"None: every one of the {len(evidence.truth)} {evidence.part} examples is answered right.")
    return _show(evidence, preprocessing, order[:_SHOWN])


def samples(evidence: Evidence, preprocessing: Preprocessing) -> Markup:
    """Examples drawn at random, always the same ones of a split."""
    size = min(_SHOWN, len(evidence.truth))
    drawn = np.sort(np.random.default_rng(0).choice(len(evidence.truth), size, replace=False))
    return _show(evidence, preprocessing, drawn)


def _show(evidence: Evidence, preprocessing: Preprocessing, indices: np.ndarray) -> Markup:
    drawn = _drawn(evidence, preprocessing, indices)
    if drawn is None:
        return _rows(evidence, preprocessing, indices[:_ROWS])
    cards = []
    for index, draw in zip(indices.tolist(), drawn, strict=True):
        said, true = _answer(evidence, index), _truth(evidence, index)
        name = evidence.name(index)
        verdict = None if evidence.target.answer == "values" else "right" if evidence.right[index] else "wrong"
        if verdict is None and len(evidence.target.names) > _LISTED:
            off = np.mean(np.abs(evidence.answers[index] - evidence.truth[index]))
            lines = [tag("b", f"off by {amount(float(off))}"), tag("span", "on average")]
        else:
            lines = [tag("b", shorten(said, 32))]
            lines += [] if verdict == "right" else [tag("span", f"true: {shorten(true, 32)}")]
        lines.append(tag("small", shorten(name, 26), title=name))
        described = f"{name}: the model says {said}; true is {true}"
        cards.append(tag("li", draw(described), *lines, class_=verdict))
    return tag("ul", *cards, class_="gallery")


def _drawn(
    evidence: Evidence, preprocessing: Preprocessing, indices: np.ndarray
) -> Sequence[Callable[[str], Markup]] | None:
    """For each index a function from a description to its picture; None where there is nothing to draw."""
    series = read_series(evidence.split, preprocessing, indices)
    if series is not None:
        forecast = evidence.target.task == "forecast"
        lines = [
            window_lines(evidence, index, one) if forecast else series_lines(one)
            for index, one in zip(indices.tolist(), series, strict=True)
        ]
        return [functools.partial(sketch, shown) for shown in lines]
    pixels = read_pictures(evidence.split, preprocessing, indices)
    return None if pixels is None else [functools.partial(picture, one) for one in pixels]


def _rows(evidence: Evidence, preprocessing: Preprocessing, indices: np.ndarray) -> Markup:
    head = ["Example", "Predicted", "True"]
    if evidence.target.answer == "values":
        head.append("Error")
    else:
        head.append("Right?")
    columns, known = read_rows(evidence.split, preprocessing, indices) or ([], [[]] * len(indices))
    texts = read_texts(evidence.split, preprocessing, indices)
    if texts is not None:
        columns, known = ["Text, as the network reads it"], [[text] for text in texts]
    rows = []
    for index, values in zip(indices.tolist(), known, strict=True):
        if evidence.target.answer == "values":
            last = ", ".join(amount(float(off)) for off in evidence.answers[index] - evidence.truth[index])
        else:
            last = "yes" if evidence.right[index] else "no"
        rows.append(
            (shorten(evidence.name(index), 40), _answer(evidence, index), _truth(evidence, index), last, *values)
        )
    numbers = (1, 2, 3) if evidence.target.answer == "values" else ()
    head += columns
    return table(head, rows, caption="Examples with prediction and truth", numbers=numbers)


def _answer(evidence: Evidence, index: int) -> str:
    names = evidence.target.names
    if evidence.target.answer == "values":
        return ", ".join(amount(float(value)) for value in evidence.answers[index])
    if evidence.several:
        chosen = np.flatnonzero(evidence.predicted[index])
        return ", ".join(f"{names[i]} {percent(evidence.answers[index, i], 0)}" for i in chosen) or "no label"
    return f"{names[evidence.predicted[index]]} {percent(evidence.confidence[index])}"


def _truth(evidence: Evidence, index: int) -> str:
    names = evidence.target.names
    if evidence.target.answer == "values":
        return ", ".join(amount(float(value)) for value in evidence.truth[index])
    if evidence.several:
        return ", ".join(names[i] for i in np.flatnonzero(evidence.truth[index])) or "no label"
    return str(names[evidence.truth[index]])
