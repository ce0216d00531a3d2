"""lamina evaluate, summary and info."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamina as lm

from .conftest import Command, Home, write_pictures


def test_evaluate_measures_with_intervals(lamina: Command, home: Home) -> None:
    done = lamina("evaluate", home.model, home.pictures, "--json")
    assert done.code == 0
    assert done.json["examples"] == 24
    expected = lm.load(home.model / "model.lamina").evaluate(home.pictures)
    assert {name: tuple(entry.values()) for name, entry in done.json["metrics"].items()} == expected
    assert set(done.json["metrics"]["accuracy"]) == {"value", "low", "high"}
    counts = done.json["confusion"]
    assert (sum(counts[0]), sum(counts[1])) == (12, 12)
    right = counts[0][0] + counts[1][1]
    assert right / 24 == pytest.approx(done.json["metrics"]["accuracy"]["value"])


def test_people_get_tables(lamina: Command, home: Home) -> None:
    done = lamina("evaluate", home.model, home.pictures)
    lines = done.out.splitlines()
    assert lines[0].startswith("24 examples of")
    assert any(line.split()[:1] == ["accuracy"] and "–" in line for line in lines)
    assert lines[-3].split() == ["dark", "light"]
    assert lines[-2].split()[0] == "dark"


@pytest.mark.parametrize(("kind", "metric"), [("values", "r2"), ("labels", "f1")])
def test_other_tasks_have_their_own_metrics(lamina: Command, home: Home, kind: str, metric: str) -> None:
    model, data = home.root / "runs" / kind, home.root / f"{kind}.npz"
    told = lamina("evaluate", model, data, "--json").json
    assert told["metrics"][metric]["value"] > 0.5
    assert "confusion" not in told
    assert metric in lamina("evaluate", model, data).out


def test_a_class_that_the_model_does_not_know_is_refused(lamina: Command, home: Home, tmp_path: Path) -> None:
    other = write_pictures(tmp_path / "other", 3, ("dark", "ligth"))
    done = lamina("evaluate", home.model, other, "--json")
    assert done.code == 2
    assert "ligth" in done.json["error"]["message"]
    assert "light" in done.json["error"]["hint"]


def test_summary_of_models_files_and_names(lamina: Command, home: Home) -> None:
    done = lamina("summary", home.model)
    assert done.code == 0
    assert "Dense(8)" in done.out
    count = sum(leaf.size for leaf in lm.load(home.model / "model.lamina").params["1"].values())
    assert f"{count:,}" in done.out
    assert "Dense(8)" in lamina("summary", home.root / "net.py", "--input-shape", "3x4").out
    assert "Conv(32" in lamina("summary", "convnet", "--input-shape", "32x32x3", "--classes", "7").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convnet"], "does not say what its input is"),
        (["convent", "--input-shape", "8x8x1"], "'convnet'"),
        (["convnet", "--input-shape", "8by8"], "A shape is written like"),
        (["nowhere.lamina"], "There is no nowhere.lamina"),
    ],
)
def test_summary_refuses(lamina: Command, arguments: list[str], words: str) -> None:
    done = lamina("summary", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_info_tells_versions_and_devices(lamina: Command) -> None:
    told = lamina("info", "--json").json
    assert told["versions"]["lamina"] == lm.__version__
    assert told["devices"]
    out = lamina("info").out
    for line in ("lamina", "jax", "device", "cache", "fashion-mnist"):
        assert any(row.startswith(line) for row in out.splitlines())
