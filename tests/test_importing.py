"""Files of weights as models: names of classes, sizes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

import lamina as lm
from lamina import zoo
from lamina.errors import ConfigError, ShapeError
from lamina.zoo import weights


def written(folder: Path, name: str, classes: int, shape: tuple[int, int, int]) -> Path:
    network = zoo.build(name, classes=classes)
    params, state = jax.jit(lambda key: network.init(key, shape))(jax.random.key(0))
    path = folder / "w.safetensors"
    weights.save(path, network, shape, params, state, zoo.architecture(name).unnamed)
    return path


def test_a_model_with_the_networks_own_preprocessing(tmp_path: Path) -> None:
    model = lm.import_model(written(tmp_path, "resnet20", 10, (32, 32, 3)), "resnet20")
    assert model.target.names[:2] == ("airplane", "automobile")
    assert model.preprocessing.input_spec().shape == (32, 32, 3)
    picture = np.full((1, 32, 32, 3), (124, 116, 104), np.uint8)
    assert np.abs(model.preprocessing.transform(picture)).max() < 0.02  # ImageNet's mean
    model.save(tmp_path / "m.lamina")
    again = lm.load(tmp_path / "m.lamina")
    np.testing.assert_allclose(again.predict(picture).probabilities, model.predict(picture).probabilities, rtol=1e-5)


@pytest.mark.parametrize(("classes", "last"), [(1000, "toilet tissue"), (1001, "toilet tissue"), (365, "364")])
def test_names_by_the_number_of_classes(tmp_path: Path, classes: int, last: str) -> None:
    file = written(tmp_path, "squeezenet1_1", classes, (64, 64, 3))
    model = lm.import_model(file, "squeezenet1_1", size=64)
    assert model.target.names[-1] == last
    assert len(set(model.target.names)) == classes


def test_grey_pictures(tmp_path: Path) -> None:
    model = lm.import_model(written(tmp_path, "resnet20", 3, (32, 32, 1)), "resnet20", labels=["a", "b", "c"])
    assert model.preprocessing.input_spec().shape == (32, 32, 1)
    assert model.target.names == ("a", "b", "c")


def test_labels_and_sizes_that_do_not_fit(tmp_path: Path) -> None:
    file = written(tmp_path, "squeezenet1_1", 3, (64, 64, 3))
    with pytest.raises(ConfigError, match="tells 3 classes apart; 2 names are given"):
        lm.import_model(file, "squeezenet1_1", labels=["a", "b"])
    with pytest.raises(ConfigError, match="Two classes have the name 'a'"):
        lm.import_model(file, "squeezenet1_1", labels=["a", "b", "a"])
    with pytest.raises(ShapeError, match="features"):
        lm.import_model(file, "squeezenet1_1", size=8)
