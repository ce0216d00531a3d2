"""lamina predict: formats, portions, what is skipped."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from PIL import Image

import lamina as lm
from lamina.cli.terminal import percent

from .conftest import Command, Home


def test_each_input_gets_a_line(lamina: Command, home: Home) -> None:
    done = lamina("predict", home.model, home.pictures / "dark" / "dark0.png", home.pictures / "light" / "light0.png")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert [row[1] for row in rows] == ["dark", "light"]
    assert all(row[2].endswith("%") for row in rows)
    assert done.err == ""


def test_json_has_the_promised_keys(lamina: Command, home: Home) -> None:
    done = lamina("predict", home.model / "model.lamina", home.pictures, "--top", "2", "--json")
    model = lm.load(home.model / "model.lamina")
    assert len(done.json["predictions"]) == 24
    for answer in done.json["predictions"]:
        assert {"input", "label", "probability", "top"} <= set(answer)
        assert Path(answer["input"]).parent.name == answer["label"]
        assert answer["top"][0] == [answer["label"], answer["probability"]]
        assert answer["top"][0][1] + answer["top"][1][1] == pytest.approx(1)
    expected = model.predict([done.json["predictions"][0]["input"]]).probabilities
    assert expected is not None
    assert done.json["predictions"][0]["probability"] == pytest.approx(expected.max(), rel=1e-5)


@pytest.mark.parametrize("contained", ["dark", "light"])
def test_contains_is_yes_or_no_and_never_a_failure(lamina: Command, home: Home, contained: str) -> None:
    picture = home.pictures / "dark" / "dark1.png"
    done = lamina("predict", home.model, picture, "--contains", contained, "--json")
    assert done.code == 0
    answer = done.json["predictions"][0]
    assert answer["contains"]["label"] == contained
    assert answer["contains"]["answer"] == ("yes" if contained == "dark" else "no")
    certain = answer["probability"]
    assert answer["contains"]["probability"] == pytest.approx(certain if contained == "dark" else 1 - certain)
    assert (
        lamina("predict", home.model, picture, "--contains", contained).out.split()[1] == answer["contains"]["answer"]
    )


def test_values_and_labels_have_their_own_form(lamina: Command, home: Home) -> None:
    x = np.load(home.x)
    values = lamina("predict", home.values, home.x, "--json").json["predictions"]
    expected = lm.load(home.values / "model.lamina").predict(x).values
    assert expected is not None
    np.testing.assert_allclose([answer["value"] for answer in values], expected[:, 0], rtol=1e-6)
    assert set(values[0]) == {"input", "value"}
    assert len(lamina("predict", home.values, home.x).out.splitlines()) == 5

    labels = lamina("predict", home.labels, home.x, "--contains", "2", "--json").json["predictions"]
    probabilities = lm.load(home.labels / "model.lamina").predict(x).probabilities
    assert probabilities is not None
    for answer, row in zip(labels, probabilities, strict=True):
        assert answer["labels"] == [name for name, p in zip("012", row, strict=True) if p >= 0.5]
        assert answer["label"] == "|".join(answer["labels"])
        assert answer["contains"]["answer"] == ("yes" if row[2] >= 0.5 else "no")
    assert lamina("predict", home.labels, home.x, "--top", "2").code == 0


def test_large_inputs_come_in_portions(lamina: Command, home: Home) -> None:
    whole = lamina("predict", home.model, home.pictures, "--json").json
    portions = lamina("predict", home.model, home.pictures, "--batch-size", "5", "--json").json
    assert [answer["label"] for answer in portions["predictions"]] == [
        answer["label"] for answer in whole["predictions"]
    ]
    one, other = ([answer["probability"] for answer in found["predictions"]] for found in (portions, whole))
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predictions_are_written_as_a_table(lamina: Command, home: Home, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"answers.{ending}"
    done = lamina("predict", home.model, home.pictures, "--out", out, "--top", "2", "--contains", "dark", "--json")
    frame = pl.read_csv(out) if ending == "csv" else pl.read_parquet(out)
    assert frame["label"].to_list() == [answer["label"] for answer in done.json["predictions"]]
    assert frame.columns == [
        "input", "label", "probability", "label_2", "probability_2", "contains", "contains_probability",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [out]
    again = lamina("predict", home.values, home.x, "--out", out, "--force")
    assert (again.code, again.out) == (0, "")
    frame = pl.read_csv(out) if ending == "csv" else pl.read_parquet(out)
    assert frame.columns == ["input", "value"]


def test_stdin_is_an_input(lamina: Command, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO((home.pictures / "light" / "light2.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    assert lamina("predict", home.model, "-").out.split()[:2] == ["-", "light"]


def test_what_cannot_be_read_is_skipped_and_told(lamina: Command, home: Home, tmp_path: Path) -> None:
    for index in range(7):
        (tmp_path / f"broken{index}.png").write_bytes(b"?")
    shutil.copy(home.pictures / "dark" / "dark0.png", tmp_path)
    done = lamina("predict", home.model, tmp_path, "--json")
    assert done.code == 0
    assert len(done.json["predictions"]) == 1
    assert len(done.json["skipped"]) == 7
    assert done.err.count("warning:") == 6
    assert "2 more were skipped" in done.err


def test_answers_keep_to_their_names_where_some_are_skipped(lamina: Command, home: Home, tmp_path: Path) -> None:
    kinds = ["dark", "light", "broken", "light", "broken", "broken", "dark", "a_rather_long_name", "light", "dark"]
    for index, kind in enumerate(kinds):
        path = tmp_path / f"{index}{kind}.png"
        if kind in ("dark", "light"):
            shutil.copy(home.pictures / kind / f"{kind}{index}.png", path)
        else:
            path.write_bytes(b"?")
    wanted = [(f"{index}{kind}.png", kind) for index, kind in enumerate(kinds) if kind in ("dark", "light")]
    done = lamina("predict", home.model, tmp_path, "--batch-size", "2", "--json")
    assert [(Path(answer["input"]).name, answer["label"]) for answer in done.json["predictions"]] == wanted
    skipped = [Path(item["input"]).name for item in done.json["skipped"]]
    assert skipped == ["2broken.png", "4broken.png", "5broken.png", "7a_rather_long_name.png"]
    lines = lamina("predict", home.model, tmp_path, "--batch-size", "2").out.splitlines()
    assert [(Path(line.split()[0]).name, line.split()[1]) for line in lines] == wanted
    assert len({line.index(line.split()[1], len(str(tmp_path)) + 10) for line in lines}) == 1  # aligned


def test_nothing_that_can_be_read_is_an_error(lamina: Command, home: Home, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    done = lamina("predict", home.model, tmp_path, "--out", tmp_path / "answers.csv")
    assert (done.code, done.out) == (2, "")
    assert "broken.png: the file is empty" in done.err
    assert not (tmp_path / "answers.csv").exists()


@pytest.mark.parametrize("name", ["\x1b[31mred.png", "new\nline.png", "broken\udcff.png", "[bold]:smile:.png"])
def test_no_name_reaches_the_terminal_raw(lamina: Command, home: Home, tmp_path: Path, name: str) -> None:
    Image.new("L", (6, 6)).save(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(tmp_path / name)
    done = lamina("predict", home.model, tmp_path)
    assert done.code == 0
    assert len(done.out.splitlines()) == 1
    assert "\x1b" not in done.out
    if name.startswith("["):
        assert name in done.out
    answer = lamina("predict", home.model, tmp_path, "--json").json["predictions"][0]
    assert answer["input"] == str(tmp_path / name)
    assert lamina("predict", home.model, tmp_path, "--out", tmp_path / "x.csv").code == 0


def test_certainty_is_never_made_by_rounding() -> None:
    assert [percent(p) for p in (1.0, 0.99999, 0.9994, 0.5, 0.0004, 0.0)] == [
        "100.0%", ">99.9%", "99.9%", "50.0%", "<0.1%", "0.0%",
    ]  # fmt: skip
