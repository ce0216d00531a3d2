"""lamina import, export, describe, and train --from and --head."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import numpy as np
import polars as pl
import pytest

import lamina as lm
from lamina import zoo
from lamina.zoo import weights

from .conftest import Command, Home


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-20's weights for three classes."""
    network = zoo.build("resnet20", classes=3)
    params, state = jax.jit(lambda key: network.init(key, (32, 32, 3)))(jax.random.key(0))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    weights.save(path, network, (32, 32, 3), params, state, zoo.architecture("resnet20").unnamed)
    return path


def test_weights_are_imported_and_exported_as_they_were(lamina: Command, desk: Path, file: Path, home: Home) -> None:
    (desk / "names.txt").write_text("ant\nbee\n\ncat\n")
    done = lamina("import", file, "--arch", "resnet20", "--labels", "names.txt", "--out", "m.lamina", "--json")
    assert done.code == 0
    assert done.json["classes"] == ["ant", "bee", "cat"]
    assert done.json["parameters"] == zoo.build("resnet20", classes=3).count_parameters((32, 32, 3))
    answered = lamina("predict", "m.lamina", home.pictures / "dark" / "dark0.png", "--json")
    assert answered.json["predictions"][0]["label"] in ("ant", "bee", "cat")
    assert lamina("export", "m.lamina", "--to", "safetensors").code == 0
    ours, theirs = zoo.checkpoint.read(desk / "m.safetensors"), zoo.checkpoint.read(file)
    assert set(ours) == set(theirs)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    for command in (["import", file, "--arch", "resnet20", "--out", "m.lamina"], ["export", "m.lamina"]):
        again = lamina(*command)
        assert again.code == 2
        assert "exists already" in again.err
        assert lamina(*command, "--force").code == 0


def test_descriptors_are_written_as_a_table(lamina: Command, desk: Path, home: Home) -> None:
    (desk / "bad.png").write_bytes(b"no picture")
    done = lamina("describe", home.model, home.pictures, "bad.png", "--out", "d.parquet", "--json")
    assert done.code == 0
    assert done.json["examples"] == 24
    assert done.json["skipped"][0]["input"] == "bad.png"
    frame = pl.read_parquet(desk / "d.parquet")
    assert frame.shape == (24, 1 + done.json["features"])
    model = lm.load(home.model / "model.lamina")
    expected = lm.transfer.describe(model, frame["input"].to_list())
    np.testing.assert_allclose(frame.drop("input").to_numpy(), expected, atol=1e-5)
    assert lamina("describe", home.model, home.pictures, "--out", "d.csv", "--layer", "1").code == 0
    assert pl.read_csv(desk / "d.csv").shape == (24, 9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("import w.pth --arch resnet21", "Did you mean .*'resnet20'"),
        ("import w.pth --arch resnet20", "There is no file w.pth"),
        ("import cut.pth --arch resnet20", "cut.pth"),
        ("import evil.pth --arch resnet20", "evil.pth"),
        ("import net.py --arch resnet20", "no file of weights by its name.*Known endings"),
        ("import {file} --arch resnet32", "read as resnet32, does not hold the weights .*missing: layer1.3"),
        ("import {file} --arch resnet20 --labels none.txt", "The names in none.txt cannot be read"),
        ("import {file} --arch resnet20 --labels latin.txt", "not UTF-8"),
        ("import {file} --arch resnet20 --labels net.py", "tells 3 classes apart"),
        ("import {file} --arch resnet20 --out nowhere/m.lamina", "there is no folder nowhere"),
        ("export pictures", "There is no model in pictures"),
        ("export {model} --to onxn", "'onxn' for --to"),
        ("describe {model} pictures --out d.txt", "written as .csv or .parquet"),
        ("describe {model} pictures --out d.csv --layer 9", "no layer '9'"),
        ("describe {model} nowhere --out d.csv", "There is no nowhere"),
        ("train pictures --head svm --from {model} --layer 9 --out new", "no layer '9'"),
        ("train pictures --from {labels} --out new", "The model takes arrays"),
        ("train pictures --arch vgg11 --size 8 --out new", "features"),
    ],
)
def test_what_cannot_be_used(lamina: Command, desk: Path, home: Home, file: Path, arguments: str, words: str) -> None:
    (desk / "cut.pth").write_bytes(file.read_bytes()[:2000])
    (desk / "evil.pth").write_bytes(b"cposix\nsystem\n(S'touch ran'\ntR.")
    (desk / "latin.txt").write_bytes("größe".encode("latin-1"))
    before = sorted(desk.iterdir())
    done = lamina(*arguments.format(file=file, model=home.model, labels=home.labels).split(), "--json")
    assert done.code == 2, done.err
    error = done.json["error"]
    assert re.search(words, f"{error['message']} {error['hint']}"), error
    assert "Traceback" not in done.err
    assert sorted(desk.iterdir()) == before


@pytest.mark.parametrize("head", [None, "logistic"])
def test_a_model_is_the_beginning_of_another(lamina: Command, desk: Path, home: Home, head: str | None) -> None:
    options = ["--epochs", "2"] if head is None else ["--head", head]
    done = lamina("train", home.pictures, "--from", home.model, *options, "--out", "again", "--json")
    assert done.code == 0, done.err
    assert done.json["test"]["accuracy"] > 0.5
    before, after = lm.load(home.model / "model.lamina"), lm.load(desk / "again" / "model.lamina")
    assert after.preprocessing == before.preprocessing
    assert after.card["from"] == str(home.model)
    if head is None:
        assert after.network == before.network
    else:
        np.testing.assert_array_equal(after.params["1"]["kernel"], before.params["1"]["kernel"])


def test_a_file_of_weights_is_the_beginning(lamina: Command, desk: Path, home: Home, file: Path) -> None:
    done = lamina(*("train", home.pictures, "--from", file, "--arch", "resnet20", "--epochs", "1"), "--out", "tuned")
    assert done.code == 0, done.err
    assert "which learned first" in done.err
    model = lm.load(desk / "tuned" / "model.lamina")
    assert model.network == zoo.build("resnet20", classes=2)
    assert model.preprocessing.input_spec().shape == (32, 32, 3)


def test_a_network_of_the_zoo_is_trained_by_its_name(lamina: Command, desk: Path, home: Home) -> None:
    done = lamina("train", home.pictures, "--arch", "squeezenet1_1", "--size", "40", "--epochs", "1", "--out", "new")
    assert done.code == 0, done.err
    assert lm.load(desk / "new" / "model.lamina").network == zoo.build("squeezenet1_1", classes=2)
