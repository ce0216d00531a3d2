from __future__ import annotations

import numpy as np

from lamina.report import time_plots


def test_every_layer_has_its_line_against_the_step() -> None:
    norms = {"plain": 0.5 ** np.arange(20)[::-1], "lstm": np.ones(20)}
    (axes,) = time_plots.state_gradients(norms).axes
    assert axes.get_yscale() == "log"
    assert [line.get_label() for line in axes.lines] == ["plain", "lstm"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), np.arange(1, 21))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), norms["plain"])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["plain", "lstm"]


def test_a_gradient_that_has_vanished_is_left_out_of_a_logarithmic_plot() -> None:
    (axes,) = time_plots.state_gradients({"plain": [0.0, 1e-3, 1.0]}).axes
    assert np.isnan(axes.lines[0].get_ydata()[0])
    assert axes.get_legend() is None
