"""Plots of what a model says of a split: reliability of its probabilities, errors of its values."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lamina.report.plots import FONT, canvas, figure_of
from lamina.report.svg import FAINT, INK, MUTED, PAPER, SERIES

__all__ = ["deciles", "predicted_against_true", "reliability", "residuals"]

_BINS = 15  # as in the metric "ece"
_POINTS = 20_000
_VECTOR = 400  # points up to which each is drawn as a shape, above it they are a picture


def reliability(confidence: np.ndarray, right: np.ndarray) -> Figure:
    """How often the model is right by how sure it is, and below it how many examples are that sure.

    Whiskers are 95 % Wilson intervals; the diagonal is perfect calibration.

    Source: Guo et al. 2017, ICML, arXiv:1706.04599; Wilson 1927, JASA 22:209-212.

    Args:
        confidence: probability of the predicted class, ``(n,)``.
        right: whether that is the true class, ``(n,)``.
    """
    edges = np.linspace(0, 1, _BINS + 1)
    bins = np.digitize(confidence, edges[1:-1], right=True)
    counts = np.bincount(bins, minlength=_BINS)
    full = counts > 0
    mean = np.bincount(bins, confidence, _BINS)[full] / counts[full]
    share = np.bincount(bins, right, _BINS)[full] / counts[full]
    low, high = _wilson(share, counts[full])

    upper, lower = canvas(5.0, 4.4, panels=2, ratios=(3.4, 1))
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    upper.vlines(mean, low, high, color=SERIES[0], linewidth=1.4)
    upper.plot(mean, share, "o", color=SERIES[0], markersize=6)
    upper.set_ylim(-0.02, 1.04)
    upper.set_title("Share that is right", fontsize=FONT, color=MUTED, loc="left")
    lower.bar((edges[:-1] + edges[1:]) / 2, counts, width=0.9 / _BINS, color=SERIES[0], linewidth=0)
    lower.set_title("Examples", fontsize=FONT, color=MUTED, loc="left")
    lower.locator_params(axis="y", nbins=3)
    lower.set_xlim(-0.02, 1.02)
    lower.set_xlabel("Probability of the predicted class")
    return figure_of(upper)


def predicted_against_true(truth: np.ndarray, predicted: np.ndarray) -> Figure:
    """A point for every example (a random 20,000 of more) and the diagonal where both are equal."""
    (axes,) = canvas(5.0, 3.8)
    chosen = np.arange(len(truth))
    if len(chosen) > _POINTS:
        chosen = np.random.default_rng(0).choice(len(truth), _POINTS, replace=False)
    x, y = truth[chosen], predicted[chosen]
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    alpha = float(np.clip(25 / np.sqrt(max(len(x), 1)), 0.2, 0.7))
    axes.plot(
        x,
        y,
        "o",
        color=SERIES[0],
        markersize=3.5 if len(x) < 2000 else 2.5,
        markeredgewidth=0,
        alpha=alpha,
        rasterized=len(x) > _VECTOR,
    )
    axes.plot([low, high], [low, high], color=INK, linewidth=1, linestyle="--")
    axes.grid(True, axis="x", color=FAINT, linewidth=0.8)
    axes.set_title("Predicted", fontsize=FONT, color=MUTED, loc="left")
    axes.set_xlabel("True value")
    axes.locator_params(nbins=5)
    return figure_of(axes)


def residuals(truth: np.ndarray, predicted: np.ndarray) -> Figure:
    """How often the predictions are off by how much; the outermost half percent at each end is gathered at the edge."""
    (axes,) = canvas(5.0, 3.8)
    errors = predicted - truth
    low, high = np.quantile(errors, [0.005, 0.995])
    if low == high:
        low, high = low - 0.5, high + 0.5
    axes.hist(np.clip(errors, low, high), bins=min(50, max(10, int(len(errors) ** 0.5))), color=SERIES[0], rwidth=0.9)
    axes.axvline(0, color=INK, linewidth=1, linestyle="--")
    axes.set_title("Examples", fontsize=FONT, color=MUTED, loc="left")
    axes.set_xlabel("Predicted minus true")
    axes.locator_params(axis="x", nbins=6)
    return figure_of(axes)


def deciles(mean: np.ndarray, error: np.ndarray, bias: np.ndarray) -> Figure:
    """Mean absolute error (bars) and mean error (dots) of each tenth of the examples, ordered by true value.

    Args:
        mean: true value of each tenth, its mean.
        error, bias: mean absolute error and mean error of each tenth.
    """
    (axes,) = canvas(5.0, 3.8)
    places = np.arange(1, len(mean) + 1)
    axes.bar(places, error, width=0.72, color=SERIES[0], linewidth=0, label="Mean absolute error")
    axes.plot(
        places,
        bias,
        "o",
        color=SERIES[1],
        markersize=6,
        markeredgecolor=PAPER,
        markeredgewidth=1,
        label="Mean error",
    )
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xticks(places)
    axes.set_xlabel("Tenth of the examples, by true value")
    axes.set_ylim(top=1.3 * max(float(error.max()), float(bias.max()), np.finfo(np.float64).tiny))  # for the legend
    axes.legend(frameon=False, fontsize=FONT - 1, labelcolor=MUTED, loc="upper left")
    return figure_of(axes)


def _wilson(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = 1.959964
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)
