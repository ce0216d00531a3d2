"""What can be explained, and which output of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import lamina as lm
from lamina import layers as L
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ClassTarget
from lamina.errors import ConfigError, DataError
from lamina.explain import filters, layers_with_maps, saliency
from lamina.explain.subject import examine
from lamina.model import Model

from .conftest import MakeModel


def test_a_picture_may_be_given_in_any_form(convnet: Model, photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    image = Image.fromarray(photo)
    image.save(path)
    expected = saliency(convnet, photo)
    for given in (path, str(path), path.read_bytes(), image, [image], photo[None], photo / 255.0):
        np.testing.assert_allclose(saliency(convnet, given), expected, rtol=1e-5)


def test_arrays_are_pictures_where_they_have_their_shape(photo: np.ndarray) -> None:
    preprocessing = ArrayPreprocessing((12, 10, 1), mean=(100.0,), std=(50.0,))
    net = L.Sequential(L.Conv(3, 3), L.Flatten(), L.Dense(2))
    params, state = net.init(jax.random.key(0), (12, 10, 1))
    model = Model(net, params, state, preprocessing, ClassTarget(("a", "b")))
    grey = photo[..., 0].astype(np.float32)
    found = examine(model, grey)
    np.testing.assert_allclose(found.x[..., 0], (grey - 100) / 50, rtol=1e-6)
    for given in (grey[..., None], grey[None, ..., None]):
        np.testing.assert_array_equal(examine(model, given).x, found.x)


@pytest.mark.parametrize("task", ["classify", "binary", "multilabel", "regress"])
def test_the_class_is_the_predicted_one_unless_named(make_model: MakeModel, photo: np.ndarray, task: str) -> None:
    model = make_model(L.Flatten(), task=task)
    said = model.predict(photo)
    found = examine(model, photo)
    if said.probabilities is None:
        assert said.values is not None
        assert (found.name, found.answer) == ("price", said.values[0, 0])
    else:
        assert (found.name, found.answer) == said.top(1)[0][0]
    other = examine(model, photo, model.target.names[1])
    values = said.values if said.probabilities is None else said.probabilities
    assert values is not None
    assert (other.name, other.answer) == (model.target.names[1], values[0, 1])
    logits = model.outputs(lm.data.ArraySplit(photo[None], np.zeros(1)))
    score = float(logits[0, min(1, logits.shape[1] - 1)])
    assert float(np.asarray(logits[0]) @ np.asarray(other.direction)) == pytest.approx(score)


def test_whole_numbers_name_classes_as_labels_do(make_model: MakeModel, photo: np.ndarray) -> None:
    model = replace(make_model(L.Flatten()), target=ClassTarget(("7", "8", "9")))
    assert examine(model, photo, 8).name == "8"


def test_what_cannot_be_explained_is_refused(convnet: Model, make_model: MakeModel, photo: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=r"knows no class 'dgo'. Did you mean 'dog'"):
        saliency(convnet, photo, "dgo")
    with pytest.raises(ConfigError, match=r"knows no value 'prise'. Did you mean 'price'"):
        saliency(make_model(L.Flatten(), task="regress"), photo, "prise")
    with pytest.raises(DataError, match=r"One picture is explained at a time. Received: 2"):
        saliency(convnet, np.stack([photo, photo]))
    with pytest.raises(DataError, match="holds no picture"):
        saliency(convnet, [])
    with pytest.raises(DataError, match=r"Cannot read the picture nowhere.png"):
        saliency(convnet, "nowhere.png")
    broken = make_model(L.Flatten())
    broken.params["1"]["bias"] = np.full(3, np.nan, np.float32)
    with pytest.raises(ConfigError, match="not finite"):
        saliency(broken, photo)


def test_a_model_of_other_data_is_refused(photo: np.ndarray) -> None:
    net = L.Dense(2)
    params, state = net.init(jax.random.key(0), (5,))
    model = Model(net, params, state, ArrayPreprocessing((5,)), ClassTarget(("a", "b")))
    for show in (saliency, layers_with_maps, filters):
        with pytest.raises(ConfigError, match=r"does not look at pictures: its input is array data of shape \(5,\)"):
            show(model, np.zeros(5)) if show is saliency else show(model)
