"""Plots of a training: loss and metric by epoch, several learning rates side by side, the learning-rate finder.

They return `matplotlib.figure.Figure`; ``figure.savefig("curves.png")`` writes one. Nothing of pyplot's global state is
used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from lamina.report.svg import FAINT, INK, MUTED, PAPER, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "FONT",
    "canvas",
    "figure_of",
    "learning_curves",
    "loss_curve",
    "lr_range",
    "metric_curve",
    "rate_curve",
    "rates",
    "style",
]

FONT = 11.5
_MARKED = 30  # epochs up to which every one is marked
_DASHES = ("-", "--", "-.", ":")

History = Sequence[Mapping[str, Any]]


def canvas(width: float = 5.0, height: float = 3.1, panels: int = 1, ratios: Sequence[float] = ()) -> list[Axes]:
    """A new figure's axes, one above the other, in the report's style. Sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
    # An array of axes even for a single panel.
    grid = figure.subplots(panels, 1, squeeze=False, sharex=True, height_ratios=list(ratios) or None)
    axes: list[Axes] = list(grid[:, 0])
    for one in axes:
        style(one)
    return axes


def style(axes: Axes) -> None:
    """Quiet axes: no frame but the two that are read, a faint grid, muted labels."""
    axes.set_facecolor(PAPER)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(which="both", colors=MUTED, labelsize=FONT, length=0, pad=5)
    axes.grid(True, axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(MUTED)
        label.set_fontsize(FONT)


def learning_curves(history: History, metric: str) -> Figure:
    """Loss, metric and learning rate by epoch, training and validation, the best epoch marked.

    Args:
        history: rows of `lamina.Run.history`.
        metric: name of the score in them: "accuracy", "f1", "r2".
    """
    figure = Figure(figsize=(11, 3.2), layout="constrained", facecolor=PAPER)
    loss, score, rate = figure.subplots(1, 3, width_ratios=[2, 2, 1.2])
    for axes in (loss, score, rate):
        style(axes)
    _draw_loss(loss, history)
    _draw_metric(score, history, metric)
    _draw_rate(rate, history)
    return figure


def loss_curve(history: History) -> Figure:
    """Training and validation loss by epoch."""
    (axes,) = canvas()
    _draw_loss(axes, history)
    return figure_of(axes)


def metric_curve(history: History, metric: str) -> Figure:
    """Training and validation metric by epoch."""
    (axes,) = canvas()
    _draw_metric(axes, history, metric)
    return figure_of(axes)


def rate_curve(history: History) -> Figure:
    """The learning rate at the end of each epoch."""
    (axes,) = canvas()
    _draw_rate(axes, history)
    return figure_of(axes)


def rates(history: History) -> Figure:
    """Training (left) and validation loss by epoch of every learning rate that was trained side by side.

    Args:
        history: rows of `lamina.Run.history` with a list "rates" in each. A rate that diverged ends where it did.
    """
    figure = Figure(figsize=(7.4, 3.8), layout="constrained", facecolor=PAPER)
    left, right = figure.subplots(1, 2, sharey=True)
    epochs = _column(history, "epoch")
    count = len(history[0].get("rates", ())) if history else 0
    drawn = []
    for axes, key, title in ((left, "loss", "Training loss"), (right, "val_loss", "Validation loss")):
        style(axes)
        for number in range(count):
            values = np.asarray([_number(row["rates"][number].get(key)) for row in history])
            label = f"{history[0]['rates'][number]['learning_rate']:g}"
            axes.plot(
                epochs,
                values,
                color=SERIES[number % len(SERIES)],
                linestyle=_DASHES[number // len(SERIES) % len(_DASHES)],
                linewidth=1.8,
                label=label,
                **_marks(len(epochs)),
            )
            drawn.append(values)
        axes.set_title(title, fontsize=FONT, color=MUTED, loc="left")
        _epochs(axes, epochs)
    if drawn:
        _logarithmic(left, *drawn)
        lines, labels = right.get_legend_handles_labels()
        legend = figure.legend(
            lines, labels, loc="outside lower center", ncols=min(count, 5), frameon=False, labelcolor=MUTED,
            fontsize=FONT - 1, title="Learning rate", handlelength=1.6,
        )  # fmt: skip
        legend.get_title().set(color=MUTED, fontsize=FONT - 1)
    return figure


def lr_range(rates: Sequence[float], losses: Sequence[float], suggestion: float | None = None) -> Figure:
    """The learning-rate finder's plot: the loss while the rate grows, on a logarithmic axis, the suggestion marked.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", WACV, arXiv:1506.01186.

    Args:
        rates: the learning rate of each step, positive and increasing.
        losses: the (smoothed) training loss at it; what is not finite is left out.
        suggestion: the rate to take, or None.
    """
    (axes,) = canvas(6.4, 3.6)
    x, y = np.asarray(rates, np.float64), np.asarray(losses, np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    axes.plot(x[finite], y[finite], color=SERIES[0], linewidth=1.8)
    axes.set_xscale("log")
    if finite.any():
        # The loss explodes at the end; the part that matters is the way down.
        low, high = float(y[finite].min()), float(y[finite][0])
        room = max(high - low, 1e-12)
        axes.set_ylim(low - 0.15 * room, min(float(y[finite].max()), high + 1.0 * room) + 0.05 * room)
    if suggestion is not None:
        axes.axvline(suggestion, color=SERIES[1], linewidth=1.2, linestyle="--")
        axes.annotate(
            f" {suggestion:.2g}",
            (suggestion, 1.0),
            xycoords=("data", "axes fraction"),
            va="top",
            color=SERIES[1],
            fontsize=FONT,
        )
    axes.set_xlabel("Learning rate")
    axes.set_ylabel("Training loss")
    return figure_of(axes)


def _draw_loss(axes: Axes, history: History) -> None:
    epochs = _column(history, "epoch")
    training, validation = _column(history, "loss"), _column(history, "val_loss")
    _two(axes, epochs, training, validation)
    _logarithmic(axes, training, validation)
    _finish(axes, history, validation, "Loss")


def _draw_metric(axes: Axes, history: History, metric: str) -> None:
    validation = _column(history, f"val_{metric}")
    _two(axes, _column(history, "epoch"), _column(history, metric), validation)
    _finish(axes, history, validation, metric.replace("_", " ").capitalize() if metric != "r2" else "R²")


def _draw_rate(axes: Axes, history: History) -> None:
    epochs = _column(history, "epoch")
    axes.plot(epochs, _column(history, "learning_rate"), color=SERIES[2], linewidth=1.8, **_marks(len(epochs)))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_title("Learning rate", fontsize=FONT, color=MUTED, loc="left")
    _epochs(axes, epochs)


def _two(axes: Axes, epochs: np.ndarray, training: np.ndarray, validation: np.ndarray) -> None:
    marks = _marks(len(epochs))
    for values, colour, label in ((training, SERIES[0], "Training"), (validation, SERIES[1], "Validation")):
        if np.isfinite(values).any():
            axes.plot(epochs, values, color=colour, linewidth=1.8, label=label, **marks)


def _finish(axes: Axes, history: History, validation: np.ndarray, title: str) -> None:
    epochs = _column(history, "epoch")
    axes.set_title(title, fontsize=FONT, color=MUTED, loc="left")
    _epochs(axes, epochs)
    best = max((place for place, row in enumerate(history) if row.get("best")), default=None)
    if best is not None and np.isfinite(validation[best]):
        axes.plot(
            epochs[best],
            validation[best],
            "o",
            markersize=9,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=1.4,
            label="Best epoch",
        )
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=FONT - 1, labelcolor=MUTED, handlelength=1.6)


def _epochs(axes: Axes, epochs: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    if 0 < len(epochs) <= 6:
        axes.set_xticks(epochs)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if len(epochs):
        room = min(max(0.04 * (epochs[-1] - epochs[0]), 0.4), 0.9)
        axes.set_xlim(epochs[0] - room, epochs[-1] + room)
    axes.set_xlabel("Epoch")


def _logarithmic(axes: Axes, *series: np.ndarray) -> None:
    """A logarithmic axis where positive values spread over more than a factor of 30."""
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 30 * values.min():
        axes.set_yscale("log")


def _marks(count: int) -> dict[str, Any]:
    return {"marker": "o", "markersize": 3.5} if count <= _MARKED else {}


def _column(history: History, key: str) -> np.ndarray:
    return np.asarray([_number(row.get(key)) for row in history], np.float64)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def figure_of(axes: Axes) -> Figure:
    """The figure that the axes are in."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return figure
