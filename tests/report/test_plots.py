"""Plots that others draw too."""

from __future__ import annotations

import io

import numpy as np
import pytest

from lamina.report import measured_plots, plots


def rows(epochs: int) -> list[dict]:
    return [
        {
            "epoch": epoch,
            "loss": 3.0 / epoch,
            "accuracy": 1 - 1 / (epoch + 1),
            "val_loss": 3.1 / epoch,
            "val_accuracy": None if epoch == 2 else 0.5,
            "learning_rate": 0.1,
            "best": epoch in (1, 3),
            "rates": [
                {"learning_rate": 0.1, "loss": None, "val_loss": float("nan")},
                {"learning_rate": 0.01, "loss": 1.0, "val_loss": 2.0},
            ],
        }
        for epoch in range(1, epochs + 1)
    ]


def drawn(figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def test_learning_curves_show_the_history_and_its_best_epoch() -> None:
    figure = plots.learning_curves(rows(4), "accuracy")
    loss, score, rate = figure.axes
    training, validation, best = loss.lines
    np.testing.assert_allclose(training.get_ydata(), [3, 1.5, 1, 0.75])
    np.testing.assert_allclose(validation.get_ydata(), [3.1, 1.55, 3.1 / 3, 0.775])
    np.testing.assert_allclose((best.get_xdata()[0], best.get_ydata()[0]), (3, 3.1 / 3))
    assert np.isnan(score.lines[1].get_ydata()[1])
    assert set(rate.lines[0].get_ydata()) == {0.1}
    assert drawn(figure).startswith(b"\x89PNG")


def test_a_loss_that_falls_far_is_drawn_on_a_logarithmic_axis() -> None:
    assert plots.loss_curve(rows(4)).axes[0].get_yscale() == "linear"
    assert plots.loss_curve(rows(100)).axes[0].get_yscale() == "log"


def test_rates_draw_each_rate_on_both_sides() -> None:
    left, right = plots.rates(rows(3)).axes
    assert [line.get_label() for line in left.lines] == ["0.1", "0.01"]
    np.testing.assert_allclose(right.lines[1].get_ydata(), [2, 2, 2])
    assert drawn(plots.rates([]))


def test_the_rate_finder_marks_its_suggestion_and_leaves_out_what_is_not_finite() -> None:
    losses = [2.0, 1.5, 1.0, 50.0, float("inf")]
    figure = plots.lr_range([1e-4, 1e-3, 1e-2, 1e-1, 1.0], losses, 1e-3)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), losses[:4])
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[1] < 50
    assert axes.lines[1].get_xdata()[0] == 1e-3
    assert drawn(figure)
    assert drawn(plots.lr_range([], []))
    assert drawn(plots.lr_range([0.1], [float("nan")]))


def test_reliability_shows_the_share_that_is_right_in_each_bin() -> None:
    confidence = np.asarray([0.55] * 10 + [0.95] * 20)
    right = np.asarray([True] * 5 + [False] * 5 + [True] * 20)
    upper, lower = measured_plots.reliability(confidence, right).axes
    points = upper.lines[-1]
    np.testing.assert_allclose(points.get_xdata(), [0.55, 0.95])
    np.testing.assert_allclose(points.get_ydata(), [0.5, 1.0])
    assert sum(bar.get_height() for bar in lower.patches) == 30


def test_wilson_s_intervals_are_statsmodels_s() -> None:
    # statsmodels.stats.proportion.proportion_confint(count, n, method="wilson")
    low, high = measured_plots._wilson(np.asarray([0.5, 1.0]), np.asarray([10, 20]))
    np.testing.assert_allclose(low, [0.236593, 0.838875], atol=1e-5)
    np.testing.assert_allclose(high, [0.763407, 1.0], atol=1e-5)


@pytest.mark.parametrize("count", [2, 500, 30_000])
def test_many_points_become_a_picture(count: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(count)
    figure = measured_plots.predicted_against_true(truth, truth + 0.1)
    points = figure.axes[0].lines[0]
    assert len(points.get_xdata()) == min(count, 20_000)
    assert bool(points.get_rasterized()) == (count > 400)


def test_residuals_count_every_example() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(1000)
    off = rng.standard_normal(1000)
    off[0] = 1e6
    (axes,) = measured_plots.residuals(truth, truth + off).axes
    assert sum(bar.get_height() for bar in axes.patches) == 1000
    assert axes.get_xlim()[1] < 10
