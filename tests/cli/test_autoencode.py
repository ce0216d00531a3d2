"""Auto-encoders on the command line: train, predict, evaluate against PCA, describe, go on with the encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lamina.cli import main

from .conftest import Command, Home, write_pictures

CODE = 3


@pytest.fixture(scope="session")
def autoencoder(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An auto-encoder of the 6×6 pictures. Do not write there."""
    out = tmp_path_factory.mktemp("autoencoder") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lamina.report.write", lambda *_, **__: None)
        options = ["--task", "autoencode", "--code", str(CODE), "--epochs", "3", "--out", str(out), "--quiet"]
        assert main(["train", str(home.pictures), *options]) == 0
    return out


def test_training_tells_the_squared_error_and_the_classes_that_it_did_not_use(
    lamina: Command, tmp_path: Path, home: Home
) -> None:
    out = tmp_path / "run"
    found = lamina("train", home.pictures, "--task", "autoencode", "--code", 2, "--epochs", 2, "--out", out, "--json")
    assert found.code == 0
    assert found.json["task"] == "autoencode"
    assert found.json["classes"] == ["dark", "light"]
    assert found.json["test"]["squared_error"] > 0
    assert "from which nothing is learned" in found.err
    assert "2 units" in found.err


def test_a_folder_without_classes_is_learned_from(lamina: Command, tmp_path: Path) -> None:
    plain = write_pictures(tmp_path / "sorted", classes=("only",)) / "only"
    options = ("--task", "autoencode", "--epochs", 1, "--out", tmp_path / "run", "--arch", "linear", "--json")
    found = lamina("train", plain, *options)
    assert found.code == 0
    assert found.json["classes"] == []


def test_predicting_gives_the_squared_error_and_the_code(
    lamina: Command, autoencoder: Path, home: Home, tmp_path: Path
) -> None:
    picture = home.pictures / "dark" / "dark0.png"
    found = lamina("predict", autoencoder, picture, home.pictures / "light", "--json")
    assert found.code == 0
    first = found.json["predictions"][0]
    assert set(first) == {"input", "squared_error", "code"}
    assert len(first["code"]) == CODE
    assert first["squared_error"] > 0
    assert len(found.json["predictions"]) == 13
    printed = lamina("predict", autoencoder, picture).out.splitlines()
    assert printed[0].split() == ["squared", "error,", "code"]
    assert len(printed[1].split()) == 2 + CODE
    assert lamina("predict", autoencoder, picture, "--out", tmp_path / "codes.csv").code == 0
    assert pl.read_csv(tmp_path / "codes.csv").columns == ["input", "squared_error", "code_0", "code_1", "code_2"]


def test_evaluating_against_pca_writes_figures_and_a_page(
    lamina: Command, autoencoder: Path, home: Home, tmp_path: Path
) -> None:
    found = lamina("evaluate", autoencoder, home.pictures, "--against", "pca", "--out", tmp_path / "page", "--json")
    assert found.code == 0
    methods = found.json["against"]["methods"]
    assert list(methods) == ["network", "PCA", "logistic PCA"]
    for figures in methods.values():
        assert figures["squared_error"]["low"] <= figures["squared_error"]["value"] <= figures["squared_error"]["high"]
        assert 0 <= figures["neighbour_accuracy"] <= 1
    assert found.json["metrics"]["squared_error"]["value"] > 0
    assert {path.name for path in (tmp_path / "page").iterdir()} == {
        "codes.svg", "comparison.html", "reconstructions.png",
    }  # fmt: skip
    again = lamina("evaluate", autoencoder, home.pictures, "--against", "pca", "--out", tmp_path / "page")
    assert again.code == 2
    assert "exists already" in again.err
    printed = lamina("evaluate", autoencoder, home.pictures, "--against", "pca").out
    assert "logistic PCA" in printed
    assert "nearest neighbours" in printed


def test_the_encoder_goes_on_as_a_body_and_describes(
    lamina: Command, autoencoder: Path, home: Home, tmp_path: Path
) -> None:
    table = tmp_path / "codes.parquet"
    assert lamina("describe", autoencoder, home.pictures, "--out", table).code == 0
    assert pl.read_parquet(table).shape == (24, 1 + CODE)
    tuned = ("--from", autoencoder, "--epochs", 2, "--out", tmp_path / "tuned", "--json")
    found = lamina("train", home.pictures, *tuned)
    assert found.code == 0
    assert found.json["task"] == "classify"
    head = lamina("train", home.pictures, "--from", autoencoder, "--head", "knn", "--out", tmp_path / "knn", "--json")
    assert head.json["classes"] == ["dark", "light"]
    network = json.loads((tmp_path / "knn" / "config.json").read_text())["network"]
    assert "Autoencoder" not in json.dumps(network)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "pictures", "--code", 3), "--code is the size of an auto-encoder's code"),
        (("train", "pictures", "--task", "autoencode", "--code", 36), "no smaller than the input of 36 numbers"),
        (("train", "pictures", "--task", "autoencode", "--arch", "lenet"), "Unknown auto-encoder 'lenet'"),
        (("train", "pictures", "--task", "autoencode", "--arch", "net.py", "--code", 2), "a file says it itself"),
        (("train", "pictures", "--task", "autoencode", "--from", "MODEL"), "without --from and --head"),
        (("train", "labels.npz", "--task", "autoencode", "--target", "y"), "learns from no column"),
        (
            ("train", "labels.npz", "--task", "autoencode", "--loss", "binary_cross_entropy"),
            "asks for outputs between 0 and 1",
        ),
        (("evaluate", "MODEL", "pictures", "--out", "page"), "are for --against pca"),
        (("evaluate", "MODEL", "pictures", "--against", "tsne"), "Unknown value 'tsne' for --against"),
        (("evaluate", "CLASSIFIER", "pictures", "--against", "pca"), "--against pca is for auto-encoders"),
        (("predict", "MODEL", "pictures", "--contains", "dark"), "gives its input back"),
        (("explain", "MODEL", "pictures/dark/dark0.png"), "there is no answer to explain"),
    ],
)
def test_what_makes_no_sense_is_refused(
    lamina: Command, desk: Path, home: Home, autoencoder: Path, arguments: tuple[object, ...], message: str
) -> None:
    named = {"MODEL": autoencoder, "CLASSIFIER": home.model}
    found = lamina(*(named.get(argument, argument) for argument in arguments))  # type: ignore[call-overload]
    assert found.code == 2
    assert message in found.err
    assert np.all([path.is_symlink() for path in desk.iterdir()])
