"""Series in the report: what is drawn, and that it says what was measured."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import polars as pl
import pytest

from lamina import layers as L
from lamina import report
from lamina.data import load
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ArraySplit, ClassTarget
from lamina.data.series_preprocessing import SeriesPreprocessing
from lamina.data.series_windows import WindowSplit
from lamina.metrics import Interval
from lamina.model import Model
from lamina.report import series
from lamina.report.evidence import Evidence, gather
from lamina.run import Run

VALUES = 5 + np.sin(2 * np.pi * np.arange(150) / 9) + 0.1 * np.random.default_rng(0).standard_normal(150)


@pytest.fixture(scope="module")
def forecast_run() -> Run:
    frame = pl.DataFrame({"step": np.arange(150), "value": VALUES})
    data = load(frame, task="forecast", target="value", horizon=4, window=9)
    network = L.Sequential(L.Flatten(), L.Dense(4))
    params, state = network.init(jax.random.key(0), data.preprocessing.input_spec())
    model = Model(network, params, state, data.preprocessing, data.target)
    measured = {name: Interval(0.5, 0.4, 0.6) for name in ("mae", "rmse", "mse", "r2")}
    row = {"epoch": 1, "step": 1, "loss": 1.0, "mae": 1.0, "val_loss": 1.0, "val_mae": 1.0, "learning_rate": 0.1}
    row |= {"seconds": 1.0, "best": True}
    config = {"epochs": 1, "versions": {}}
    return Run(model, "finished", [row], measured, measured, 1, 1.0, config, None, data)


def test_errors_by_step_ahead_and_those_of_the_baselines_are_told(forecast_run: Run, tmp_path: Path) -> None:
    evidence = gather(forecast_run, None)
    assert evidence is not None
    shown = series.forecasts(forecast_run, evidence)
    ours = np.abs(evidence.answers - evidence.truth).mean(axis=0)
    assert f"{ours.mean():.4g}" in shown
    assert f"{ours[-1]:.4g}" in shown
    ridge = forecast_run.data.card.facts["baselines"][-1]["test"]
    assert f"{ridge:.4g}" in shown
    assert "the least is that of ridge autoregression" in shown
    assert "intervals among the metrics are too narrow" in shown
    report.write(forecast_run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<polyline") == 3 * (len(evidence.truth) + min(24, len(evidence.truth)))
    assert "Forecast 4 steps before" in page
    assert "The best baseline, ridge autoregression, scores" in page


def test_a_window_is_drawn_in_the_series_own_unit_and_goes_on_where_it_ends(forecast_run: Run) -> None:
    evidence = gather(forecast_run, None)
    assert evidence is not None
    split = evidence.split
    assert isinstance(split, WindowSplit)
    past, truth, forecast = series.window_lines(evidence, 2, split.read(np.array([2]))[0])
    first = int(split.starts[2])
    np.testing.assert_allclose(past[1], VALUES[first : first + 9], rtol=1e-5)
    np.testing.assert_allclose(truth[1], VALUES[first + 8 : first + 13], rtol=1e-5)
    assert past[0][-1] == truth[0][0] == 0
    np.testing.assert_allclose(forecast[1][1:], evidence.answers[2])


def test_a_sketch_keeps_inside_its_frame() -> None:
    lines = [(np.arange(5), np.array([3.0, 1, 4, 1, 5]), 1), (np.array([4, 5]), np.array([5.0, 9]), 2)]
    drawn = series.sketch(lines, "a <line>")
    points = [pair.split(",") for part in drawn.split('points="')[1:] for pair in part.split('"')[0].split()]
    across, down = np.array(points, float).T
    assert (across.min(), across.max()) == (2, 118)
    assert (down.min(), down.max()) == (2, 62)
    assert "a &lt;line&gt;" in drawn
    assert "nan" not in series.sketch([(np.arange(3), np.ones(3), 1)], "flat")


def test_mean_series_are_those_of_the_classes_and_pictures_have_none() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0, 1] * 10, np.int32)
    x = (truth[:, None, None] * np.ones((20, 6, 2)) + 0.01 * rng.standard_normal((20, 6, 2))).astype(np.float32)
    target = ClassTarget(("flat", "high"))
    evidence = Evidence("test", ArraySplit(x, truth), target, np.eye(2)[truth], truth)
    found = series.mean_series(evidence, ArrayPreprocessing((6, 2)))
    assert found is not None
    assert found.count("<svg") == 2
    assert "flat" in found
    assert "channel 2" in found
    assert series.mean_series(evidence, ArrayPreprocessing((6, 2, 1))) is None


def test_series_of_unequal_length_are_shown_as_long_as_they_are() -> None:
    preprocessing = SeriesPreprocessing(5, (0.0,), (1.0,), masked=True)
    split = ArraySplit(preprocessing.encode([np.ones(3), np.ones(5)]), np.zeros(2, np.int32))
    shown = series.read_series(split, preprocessing, np.array([1, 0]))
    assert shown is not None
    assert [len(one) for one in shown] == [5, 3]
    assert series.read_series(split, ArrayPreprocessing((5,)), np.array([0])) is None
