"""Series in the page: forecasts, their errors by step ahead, single windows, the mean series of each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lamina.data.base import Preprocessing, Split
from lamina.data.series_windows import ForecastTarget, WindowSplit
from lamina.layers import Masked
from lamina.report.evidence import Evidence
from lamina.report.markup import Markup, join, table, tag
from lamina.report.plots import FONT, canvas, figure_of
from lamina.report.svg import INK, MUTED, SERIES, inline
from lamina.report.wording import amount
from lamina.run import Run

__all__ = ["forecasts", "is_series", "mean_series", "read_series", "series_lines", "sketch", "window_lines"]

_STEPS = 1_000  # of the test part that are drawn, the latest
_CLASSES = 8
_CHANNELS = 4
_WIDE, _HIGH = 120.0, 64.0  # of a sketch


def is_series(preprocessing: Preprocessing) -> bool:
    """Whether an example is a series of real numbers, ``(steps, channels)``."""
    spec = preprocessing.input_spec()
    flat = len(getattr(spec, "shape", ())) == 2 and np.dtype(getattr(spec, "dtype", "int32")).kind == "f"
    return flat and preprocessing.kind in ("array", "series")


def read_series(split: Split, preprocessing: Preprocessing, indices: np.ndarray) -> list[np.ndarray] | None:
    """The series at these indices, ``(steps, channels)`` each as the network sees them; None where there are none."""
    if not is_series(preprocessing):
        return None
    encoded = split.read(indices)
    if isinstance(encoded, Masked):
        pairs = zip(np.asarray(encoded.values), np.asarray(encoded.lengths), strict=True)
        return [values[:length] for values, length in pairs]
    return list(np.asarray(encoded))


def sketch(lines: list[tuple[np.ndarray, np.ndarray, int]], described: str) -> Markup:
    """A small picture of lines ``(x, y, number of the colour)``, stretched to its frame."""
    xs, ys = (np.concatenate([line[axis] for line in lines]) for axis in (0, 1))
    low, high = float(ys.min()), float(ys.max())
    drawn = []
    for x, y, colour in lines:
        across = 2 + (x - xs.min()) / max(float(np.ptp(xs)), 1e-12) * (_WIDE - 4)
        down = 2 + (high - y) / max(high - low, 1e-12) * (_HIGH - 4)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across.tolist(), down.tolist(), strict=True))
        style = f"fill:none;stroke:var(--series-{colour});stroke-width:1.3;stroke-linejoin:round"
        drawn.append(tag("polyline", points=points, style=style))
    return tag("svg", tag("title", described), *drawn, class_="plot", viewBox=f"0 0 {_WIDE:g} {_HIGH:g}", role="img")


def window_lines(evidence: Evidence, index: int, series: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """One window with what followed it and what was forecast, in the series' own unit."""
    target = evidence.target
    assert isinstance(target, ForecastTarget)
    ahead = min(len(series), max(3 * target.units, 24))  # of the window, so that the forecast is not a dot
    past = target.in_unit(series[-ahead:, 0].astype(np.float64))
    before, after = np.arange(-ahead + 1, 1), np.arange(0, target.units + 1)
    follow = [np.concatenate([past[-1:], values[index]]) for values in (evidence.truth, evidence.answers)]
    return [(before, past, 1), (after, follow[0], 1), (after, follow[1], 2)]


def series_lines(series: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """A series ``(steps, channels)``, a line for each of its first channels."""
    steps = np.arange(len(series))
    return [(steps, series[:, channel], channel + 1) for channel in range(min(series.shape[1], _CHANNELS))]


def forecasts(run: Run, evidence: Evidence) -> Markup:
    """The measured part with its forecasts, errors beside the baselines and by step ahead."""
    target, split = evidence.target, evidence.split
    assert isinstance(target, ForecastTarget)
    assert isinstance(split, WindowSplit)
    errors = {"this network": np.abs(evidence.answers - evidence.truth).mean(axis=0)}
    beside = run.data.card.facts.get("errors by step ahead", []) if evidence.part == "test" else []
    for name in [key for key in (beside[0] if beside else {}) if key != "step"]:
        errors[name] = np.asarray([row[name] for row in beside])
    rows = [
        (name, amount(float(off.mean())), amount(float(off[0])), amount(float(off[-1]))) for name, off in errors.items()
    ]
    last = target.names[-1]
    best = min(errors, key=lambda name: float(errors[name].mean()))
    said = f"Mean absolute errors of {target.value}; the least is that of {best}."
    parts = [tag("p", said)]
    if target.units > 1:
        parts.append(table(("", "All steps ahead", "t+1", last), rows, caption="Errors", numbers=(1, 2, 3)))
    else:
        parts.append(table(("", "t+1"), [row[:2] for row in rows], caption="Errors", numbers=(1,)))
    described = f"{target.value} in the {evidence.part} part, with its forecasts one and {target.units} steps ahead."
    parts.append(tag("figure", inline(_course(evidence, split, target), "forecast", described), class_="wide"))
    if target.units > 1:
        by_step = f"Mean absolute error by step ahead, from {rows[0][2]} at t+1 to {rows[0][3]} at {last}."
        parts.append(tag("figure", inline(_by_step(errors), "ahead", by_step)))
    note = "Windows overlap, and so do their errors: the intervals among the metrics are too narrow."
    parts.append(tag("p", note, class_="aside"))
    return join(parts)


def _course(evidence: Evidence, split: WindowSplit, target: ForecastTarget) -> Figure:
    (axes,) = canvas(9.6, 3.6)
    first = split.starts + split.window
    kept = first > first[-1] - _STEPS
    shown = first[kept]
    whole = np.arange(shown[0], shown[-1] + target.units)
    axes.plot(
        whole, target.in_unit(split.steps[whole, 0].astype(np.float64)), color=MUTED, linewidth=1.2, label="Measured"
    )
    for number, ahead in enumerate(sorted({0, target.units - 1})):
        label = f"Forecast {ahead + 1} step{'s' if ahead else ''} before"
        axes.plot(shown + ahead, evidence.answers[kept, ahead], color=SERIES[number], linewidth=1.4, label=label)
    places = np.linspace(0, len(shown) - 1, 6).round().astype(int)
    names = [split.names[index] for index in np.flatnonzero(kept)[places]]
    axes.set_xticks(shown[places], names)
    axes.set_title(target.value, fontsize=FONT, color=MUTED, loc="left")
    axes.legend(frameon=False, fontsize=FONT - 1, labelcolor=MUTED, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    return figure_of(axes)


def _by_step(errors: dict[str, np.ndarray]) -> Figure:
    (axes,) = canvas(6.4, 3.6)
    for number, (name, off) in enumerate(errors.items()):
        steps = np.arange(1, len(off) + 1)
        width = 2.2 if number == 0 else 1.4
        axes.plot(steps, off, color=SERIES[number], linewidth=width, marker="o", markersize=3, label=name.capitalize())
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("Steps ahead")
    axes.set_title("Mean absolute error", fontsize=FONT, color=MUTED, loc="left")
    axes.legend(frameon=False, fontsize=FONT - 1, labelcolor=MUTED)
    return figure_of(axes)


def mean_series(evidence: Evidence, preprocessing: Preprocessing) -> Markup | None:
    """The mean of each class' series by step, one plot a channel; None where the examples are no series."""
    found = read_series(evidence.split, preprocessing, np.arange(len(evidence.truth)))
    if found is None or evidence.target.answer != "class":
        return None
    names = evidence.target.names
    most = np.argsort(-np.bincount(evidence.truth, minlength=len(names)), kind="stable")[:_CLASSES]
    channels = min(found[0].shape[1], _CHANNELS)
    figures: list[Any] = []
    for channel in range(channels):
        (axes,) = canvas(9.6 if channels == 1 else 6.4, 3.4)
        for number, label in enumerate(sorted(most.tolist())):
            own = [one[:, channel] for one, truth in zip(found, evidence.truth, strict=True) if truth == label]
            if own:
                mean = _mean(own)
                axes.plot(mean, color=SERIES[number % len(SERIES)], linewidth=1.6, label=names[label])
        axes.axhline(0, color=INK, linewidth=0.6, alpha=0.4)
        axes.set_xlabel("Step")
        title = "Mean, as the network sees it" + (f", channel {channel + 1}" if channels > 1 else "")
        axes.set_title(title, fontsize=FONT, color=MUTED, loc="left")
        axes.legend(
            frameon=False, fontsize=FONT - 1, labelcolor=MUTED, ncols=4, loc="lower right", bbox_to_anchor=(1, 1)
        )
        described = f"Mean series of {len(most)} classes by step, channel {channel + 1}."
        shown = inline(figure_of(axes), f"means-{channel}", described)
        figures.append(tag("figure", shown, class_="wide" if channels == 1 else None))
    return tag("div", *figures, class_="figures") if channels > 1 else join(figures)


def _mean(series: list[np.ndarray]) -> np.ndarray:
    """At each step, over the series that reach it."""
    longest = max(len(one) for one in series)
    total, count = np.zeros(longest), np.zeros(longest)
    for one in series:
        total[: len(one)] += one
        count[: len(one)] += 1
    return np.asarray(total / np.maximum(count, 1))
