"""Plots of an auto-encoder's codes and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure

from lamina.report.plots import FONT, canvas, figure_of, style
from lamina.report.svg import INK, MUTED, PAPER, SERIES

__all__ = ["CLASSES", "errors", "plane", "planes"]

CLASSES = 20  # up to which each has its colour and its name on the plot
_POINTS = 3000
_MARKS = ("o", "^", "s")  # of the classes beyond the colours that there are


def plane(codes: np.ndarray) -> np.ndarray:
    """Codes ``(n, units)`` in two dimensions: as they are, or on their first two principal components.

    Codes of one number lie on a line.
    """
    flat = np.asarray(codes, np.float64).reshape(len(codes), -1)
    if flat.shape[1] == 1:
        return np.concatenate([flat, np.zeros_like(flat)], axis=1)
    if flat.shape[1] == 2:
        return flat
    centred = flat - flat.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    two = axes[:, [-1, -2]]
    two = two * np.where(two[np.abs(two).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)  # a direction, not its opposite
    projected: np.ndarray = centred @ two
    return projected


def planes(points: Mapping[str, np.ndarray], labels: np.ndarray | None = None, names: Sequence[str] = ()) -> Figure:
    """Scatter plots side by side, coloured by class; a random 3,000 of more points, the same in all.

    Single points far from all others are drawn at the edge: they would leave the rest no room.

    Args:
        points: title → ``(n, 2)``.
        labels: class indices ``(n,)``, or None.
        names: of the classes; above `CLASSES` of them points have one colour.
    """
    figure = Figure(figsize=(5.2 * len(points), 4.6), layout="constrained", facecolor=PAPER)
    row = figure.subplots(1, len(points), squeeze=False)[0]
    count = len(next(iter(points.values())))
    chosen = np.arange(count)
    if count > _POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(count, _POINTS, replace=False))
    for axes, (title, where) in zip(row, points.items(), strict=True):
        style(axes)
        axes.grid(False)
        axes.set_title(title, fontsize=FONT, color=MUTED, loc="left")
        axes.locator_params(nbins=5)
        shown = _within_reach(where[chosen])
        look = {
            "markersize": 3.0 if len(shown) > 500 else 5.0,
            "markeredgewidth": 0,
            "alpha": 0.65,
            "linestyle": "none",
            "rasterized": True,
        }
        if labels is None or not 1 < len(names) <= CLASSES:
            axes.plot(shown[:, 0], shown[:, 1], marker="o", color=SERIES[0], **look)
            continue
        own = labels[chosen]
        for index in range(len(names)):
            colour, mark = SERIES[index % len(SERIES)], _MARKS[index // len(SERIES) % len(_MARKS)]
            axes.plot(shown[own == index, 0], shown[own == index, 1], marker=mark, color=colour, **look)
        for index, name in enumerate(names):
            of_class = shown[own == index]
            if len(of_class):
                text = axes.annotate(
                    name, np.median(of_class, axis=0), ha="center", va="center", color=INK, fontsize=FONT, weight="bold"
                )
                text.set_path_effects([patheffects.withStroke(linewidth=3, foreground=PAPER)])
    return figure


def _within_reach(points: np.ndarray) -> np.ndarray:
    """No further out, on either axis, than a quarter of the width on which 98 of 100 points lie, if they have any."""
    low, high = np.quantile(points, (0.01, 0.99), axis=0)
    reach = np.where(high > low, (high - low) / 4, np.inf)
    gathered: np.ndarray = np.clip(points, low - reach, high + reach)
    return gathered


def errors(values: Mapping[str, np.ndarray]) -> Figure:
    """How often which squared error occurs; the largest half percent is gathered at the edge.

    Args:
        values: name → squared error of each example, ``(n,)``. Several are drawn as outlines over each other.
    """
    (axes,) = canvas(5.0, 3.4)
    everything = np.concatenate(list(values.values()))
    high = float(np.quantile(everything, 0.995)) or 1.0
    bins = np.linspace(0, high, min(50, max(10, int(len(everything) ** 0.5))) + 1)
    for number, (name, own) in enumerate(values.items()):
        colour = SERIES[number % len(SERIES)]
        if len(values) == 1:
            axes.hist(np.clip(own, 0, high), bins=bins.tolist(), color=colour, rwidth=0.9)
        else:
            axes.hist(
                np.clip(own, 0, high), bins=bins.tolist(), color=colour, histtype="step", linewidth=1.8, label=name
            )
    axes.set_title("Examples", fontsize=FONT, color=MUTED, loc="left")
    axes.set_xlabel("Squared error of an example")
    if len(values) > 1:
        axes.legend(frameon=False, fontsize=FONT - 1, labelcolor=MUTED)
    return figure_of(axes)
