"""lamina explain: the folder, the one JSON object, refusals."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

import lamina as lm
from lamina.cli.explain import _METHODS
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.image_preprocessing import ImagePreprocessing
from lamina.explain.panels import METHODS

from .conftest import Command, Home


@pytest.fixture(scope="module")
def convnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an untrained convolutional network for 8×8 grey pictures."""
    net = lm.Sequential(lm.Conv(4, 3), lm.relu, lm.GlobalAvgPool(), lm.Dense(2))
    params, state = net.init(jax.random.key(0), (8, 8, 1))
    target = lm.data.ClassTarget(("dark", "light"))
    path = tmp_path_factory.mktemp("model") / "conv.lamina"
    lm.Model(net, params, state, ImagePreprocessing(8, 8, 1, (128.0,), (64.0,)), target).save(path)
    return path


def test_the_methods_are_the_packages() -> None:
    assert tuple(METHODS) == _METHODS


def test_json_says_what_was_written(lamina: Command, desk: Path, convnet: Path) -> None:
    picture = desk / "pictures" / "dark" / "dark0.png"
    done = lamina("explain", convnet, picture, "--json")
    assert done.code == 0
    said = done.json
    expected = lm.load(convnet).predict([picture])
    assert said["input"] == str(picture)
    assert [said["class"], said["probability"]] == pytest.approx(said["top"][0]) == list(expected.top(1)[0][0])
    assert said["page"] == "explained/dark0/explain.html"
    assert list(said["methods"]) == list(_METHODS)
    files = [name for method in said["methods"].values() for name in method["files"]]
    assert sorted(map(str, Path("explained/dark0").iterdir())) == sorted([*files, said["page"]])
    assert said["left_out"] == {}
    assert said["warnings"] == []
    assert {"score", "baseline_score", "gap"} < set(said["methods"]["integrated-gradients"])
    # The next one is written beside it.
    again = lamina("explain", convnet, picture, "--method", "filters", "--json").json
    assert again["methods"]["filters"]["files"] == ["explained/dark0-2/filters.png"]


def test_people_are_told_in_words(lamina: Command, desk: Path, home: Home) -> None:
    picture = home.pictures / "dark" / "dark1.png"
    done = lamina("explain", home.model, picture, "--class", "light", "--out", "out")
    assert (done.code, done.out) == (0, "")
    lines = done.err.splitlines()
    assert lines[0].startswith("says     dark ")
    assert lines[1].startswith("explains light ")
    assert lines[2] == "pictures saliency.png, integrated-gradients.png, occlusion.png, filters.png in out"
    assert lines[3] == "left out grad-cam: The network has no convolution, and so no feature maps."
    assert lines[-1] == "page     out/explain.html"
    assert "The model’s own answer is “dark”." in Path("out/explain.html").read_text()


def test_the_picture_may_come_from_stdin(
    lamina: Command, desk: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO((home.pictures / "light" / "light2.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    said = lamina("explain", home.model, "-", "--method", "saliency", "--json").json
    assert (said["input"], said["class"], said["page"]) == ("-", "light", "explained/picture/explain.html")


def test_a_layer_can_be_named(lamina: Command, desk: Path, convnet: Path) -> None:
    done = lamina("explain", convnet, "pictures/dark/dark0.png", "--layer", "0", "--out", "out", "--json").json
    assert done["methods"]["grad-cam"]["layer"] == "0"
    assert done["methods"]["feature-maps"]["files"] == ["out/feature-maps-0.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{conv} nowhere.png", "There is no nowhere.png. Expected a picture"),
        ("{conv} pictures", "pictures is a folder; one picture is explained at a time"),
        ("{conv} net.py", "Cannot read the picture net.py"),
        ("{conv} {picture} --class grey", "knows no class 'grey'"),
        ("{conv} {picture} --layer 00", "no layer '00'. Did you mean '0'"),
        ("{conv} {picture} --layer 3", "layer '3' has the shape (2,)"),
        ("{conv} {picture} --method salience", "Unknown value 'salience' for --method. Did you mean 'saliency'"),
        ("{conv} {picture} --method filters --layer 0", "A layer is for grad-cam and feature-maps"),
        ("{dense} {picture} --method grad-cam", "no convolution"),
        ("{conv} {picture} --force", "Name it, or leave --force out."),
        ("{conv} {picture} --out net.py", "net.py is a file"),
        ("{conv} {picture} --out full", "full exists already."),
        ("{conv} {picture} --out full --force", "it has no explain.html"),
        ("{values} x.npy", "does not look at pictures: its input is"),
        ("nothing.lamina {picture}", "There is no nothing.lamina"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(
    lamina: Command, desk: Path, home: Home, convnet: Path, arguments: str, words: str
) -> None:
    (desk / "full").mkdir()
    (desk / "full" / "note.txt").write_text("mine")
    before = sorted(desk.rglob("*"))
    places = {"conv": convnet, "dense": home.model, "values": home.values, "picture": "pictures/dark/dark0.png"}
    done = lamina("explain", *arguments.format(**places).split(), "--json")
    assert done.code == 2
    error = done.json["error"]
    assert words in f"{error['message']} {error['hint']}"
    assert "Traceback" not in done.err
    assert sorted(desk.rglob("*")) == before


def test_arrays_in_the_shape_of_pictures_are_explained(lamina: Command, desk: Path) -> None:
    rng = np.random.default_rng(0)
    net = lm.Sequential(lm.Conv(3, 3), lm.Flatten(), lm.Dense(2))
    params, state = net.init(jax.random.key(0), (6, 6, 1))
    target = lm.data.ClassTarget(("a", "b"))
    lm.Model(net, params, state, ArrayPreprocessing((6, 6, 1)), target).save(desk / "m.lamina")
    np.save(desk / "one.npy", rng.normal(size=(1, 6, 6, 1)))
    np.save(desk / "two.npy", rng.normal(size=(2, 6, 6, 1)))
    assert lamina("explain", "m.lamina", "one.npy", "--out", "out").code == 0
    with Image.open("out/saliency.png") as image:
        assert image.size == (324, 324)
    assert "two.npy holds 2" in lamina("explain", "m.lamina", "two.npy").err
    assert not Path("explained").exists()
