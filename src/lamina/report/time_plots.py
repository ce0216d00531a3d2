"""Plots against the time step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from lamina.report.plots import FONT, canvas, figure_of
from lamina.report.svg import MUTED, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_state_gradients", "state_gradients"]


def state_gradients(norms: Mapping[str, Sequence[float] | np.ndarray]) -> Figure:
    """The size of a loss's gradient with respect to the state after every step, on a logarithmic axis.

    Args:
        norms: name of a layer or network → norms ``(steps,)``, such as ``lamina.state_gradients(...)[path].whole``. A
            norm of 0 is left out.
    """
    (axes,) = canvas(6.4, 3.6)
    draw_state_gradients(axes, norms)
    return figure_of(axes)


def draw_state_gradients(axes: Axes, norms: Mapping[str, Sequence[float] | np.ndarray]) -> None:
    """`state_gradients` on axes of another figure (see `lamina.report.plots.style`)."""
    for number, (name, values) in enumerate(norms.items()):
        heights = np.asarray(values, np.float64)
        steps = np.arange(1, len(heights) + 1)
        shown = np.where(np.isfinite(heights) & (heights > 0), heights, np.nan)
        axes.plot(steps, shown, color=SERIES[number % len(SERIES)], linewidth=1.8, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("Time step")
    axes.set_title("Norm of the gradient at the state", fontsize=FONT, color=MUTED, loc="left")
    if len(norms) > 1:
        axes.legend(frameon=False, fontsize=FONT - 1, labelcolor=MUTED, handlelength=1.6)
