"""Series on the command line: a forecast and a classifier from data to answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lamina as lm

from .conftest import Command


def write_series(path: Path, count: int = 120) -> Path:
    rng = np.random.default_rng(0)
    months = [f"{1949 + place // 12}-{place % 12 + 1:02d}" for place in range(count)]
    values = 50 + 10 * np.sin(2 * np.pi * np.arange(count) / 9) + rng.standard_normal(count)
    pl.DataFrame({"month": months, "sold": values}).write_csv(path)
    return path


def write_ts(path: Path, count: int = 12, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    lines = ["@classLabel true up down", "@data"]
    for index in range(2 * count):
        values = (1 if index % 2 else -1) * np.linspace(-1, 1, 16) + 0.3 * rng.standard_normal(16)
        lines.append(",".join(f"{value:.3f}" for value in values) + (":up" if index % 2 else ":down"))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.usefixtures("real_report")
def test_a_series_becomes_a_forecast_beside_its_baselines(
    lamina: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_series(Path("sales.csv"))
    options = ("--task", "forecast", "--target", "sold", "--horizon", "3", "--window", "9", "--epochs", "2")
    done = lamina("train", "sales.csv", *options, "--out", "run", "--json")
    assert done.code == 0
    told = done.json
    assert told["task"] == "forecast"
    assert told["classes"] == []
    assert {row["baseline"].split(" (")[0] for row in told["baselines"]} == {
        "last value",
        "season before",
        "ridge autoregression",
    }
    last = told["baselines"][0]
    assert told["test"]["mae"] < last["test"]
    assert "the next 3 values of sold" in done.err
    assert "ridge autoregression" in done.err
    page = Path("run/report.html").read_text()
    for words in ("Lamina report · Forecast", "Forecast 3 steps before", "Ridge autoregression", "Largest errors"):
        assert words in page

    answered = lamina("predict", "run", "sales.csv", "--json").json["predictions"]
    assert answered[0]["times"] == ["1959-01", "1959-02", "1959-03"]
    assert answered[0]["values"] == lm.load("run/model.lamina").predict("sales.csv").values[0].tolist()
    shown = lamina("predict", "run", "sales.csv").out.splitlines()
    assert [line.split()[0] for line in shown] == answered[0]["times"]
    assert lamina("predict", "run", "sales.csv", "--out", "ahead.csv").code == 0
    assert pl.read_csv("ahead.csv").columns == ["input", "time", "value"]
    measured = lamina("evaluate", "run", "sales.csv", "--json").json
    assert measured["examples"] == 120 - 9 - 3 + 1
    assert measured["metrics"]["mae"]["value"] < last["test"]


@pytest.mark.usefixtures("real_report")
def test_a_ts_file_becomes_a_classifier(lamina: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_ts(Path("Made_TRAIN.ts"))
    write_ts(Path("Made_TEST.ts"), 5, seed=1)
    done = lamina("train", "Made_TRAIN.ts", "--epochs", "12", "--out", "run", "--json")
    assert done.code == 0
    told = done.json
    assert (told["classes"], told["examples"]["test"]) == (["up", "down"], 10)
    assert told["test"]["accuracy"] >= 0.9
    assert told["best_epoch"] == 12
    assert "the last weights are kept" in done.err
    page = Path("run/report.html").read_text()
    assert "Mean series by class" in page
    assert page.count("<polyline") >= 10
    answers = lamina("predict", "run", "Made_TEST.ts", "--json").json["predictions"]
    assert len(answers) == 10
    assert answers[0]["input"] == "Made_TEST.ts line 3"
    assert lamina("evaluate", "run", "Made_TEST.ts", "--json").json["examples"] == 10


def test_refusals_name_the_place_and_leave_nothing_behind(
    lamina: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pl.read_csv(write_series(Path("sales.csv")))
    frame[[0, 2, 1, *range(3, 120)]].write_csv("mixed.csv")
    done = lamina("train", "mixed.csv", "--task", "forecast", "--target", "sold", "--json", "--out", "run")
    assert done.code == 2
    assert "Row 3 of mixed.csv (1949-02) comes before the row above" in done.json["error"]["message"]
    done = lamina("train", "sales.csv", "--target", "sold", "--horizon", "3", "--json", "--out", "run")
    assert done.code == 2
    assert "horizon is for forecasts" in done.json["error"]["message"]
    cut = write_ts(Path("cut.ts")).read_text()
    Path("cut.ts").write_text(cut[:-40])
    done = lamina("train", "cut.ts", "--json", "--out", "run")
    assert done.code == 2
    assert "cut.ts, line 26" in done.json["error"]["message"]
    assert not Path("run").exists()
