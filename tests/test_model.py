from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

import lamina as lm
from lamina.data import load
from lamina.data.base import ArraySplit, MultiLabelTarget, ValueTarget
from lamina.data.decode import decode_many
from lamina.data.image_preprocessing import ImagePreprocessing
from lamina.errors import DataError
from lamina.model import Model, Predictions

NETWORK = lm.Sequential(lm.Flatten(), lm.Dense(10))


@pytest.fixture(scope="module")
def model() -> Model:
    data = load("digits")
    params, state = NETWORK.init(jax.random.key(0), data.preprocessing.input_spec())
    return Model(NETWORK, params, state, data.preprocessing, data.target)


@pytest.fixture(scope="module")
def held_out() -> Any:
    return load("digits").test


def test_outputs_are_the_networks(model: Model, held_out: Any) -> None:
    pixels = model.preprocessing.transform(held_out.inputs)
    expected = np.asarray(pixels).reshape(len(held_out), -1) @ model.params["1"]["kernel"] + model.params["1"]["bias"]
    np.testing.assert_allclose(model.outputs(held_out), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 179, 1000])
@pytest.mark.parametrize("in_memory", [True, False])
def test_the_batch_size_does_not_matter(batch_size: int, in_memory: bool, model: Model, held_out: Any) -> None:
    part = replace(held_out, inputs=held_out.inputs[:50], targets=held_out.targets[:50], in_memory=in_memory)
    np.testing.assert_allclose(model.outputs(part, batch_size), model.outputs(held_out)[:50], rtol=1e-4, atol=1e-5)


def test_a_batch_of_one_shape_is_compiled_once(model: Model, held_out: Any) -> None:
    fresh = replace(model)
    fresh.outputs(held_out, 32)
    fresh.outputs(held_out, 32)
    assert fresh._predictor.programs() == 1


def test_predictions_are_probabilities_and_names(model: Model, held_out: Any) -> None:
    predicted = model.predict(held_out.inputs)
    expected = softmax(model.outputs(held_out).astype(np.float64), axis=1)
    assert predicted.probabilities is not None
    assert predicted.labels is not None
    np.testing.assert_allclose(predicted.probabilities, expected, rtol=1e-6)
    assert list(predicted.labels) == [str(index) for index in expected.argmax(axis=1)]
    assert (len(predicted), predicted.values) == (179, None)
    top = predicted.top(3)[0]
    assert [name for name, _ in top] == [str(index) for index in np.argsort(-expected[0])[:3]]
    assert top[0][1] == pytest.approx(expected[0].max())
    assert len(predicted.top(99)[0]) == 10


def test_reading_and_computing_agree_on_every_input(model: Model, held_out: Any) -> None:
    """Also one example at a time, and where the last batch is not full."""
    alone = [model.predict(held_out.inputs[index : index + 1]).labels for index in range(5)]
    together = model.predict(held_out.inputs[:5]).labels
    assert together is not None
    assert [labels[0] for labels in alone if labels is not None] == list(together)


def test_files_are_decoded_once_and_not_long_before_they_are_needed(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f"{index}.png") for index in range(23)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(path)
    pictures = replace(model, preprocessing=ImagePreprocessing(8, 8, 1, (0.0,), (255.0,)))
    whole = pictures.predict(pictures.preprocessing.encode(paths)).probabilities
    decoded: list[str] = []

    def decode(given: Sequence[Any], *shape: int) -> Any:
        decoded.extend(given)
        return decode_many(given, *shape)

    monkeypatch.setattr("lamina.data.image_preprocessing.decode_many", decode)
    answers = []
    for index, part in enumerate(pictures.stream(paths, 4)):
        assert len(decoded) <= 4 * (index + 4)  # this batch, two made and one being made
        answers.append(part.probabilities)
    assert decoded == paths
    np.testing.assert_allclose(np.concatenate(answers), whole, rtol=1e-5)
    np.testing.assert_allclose(pictures.predict(paths, 4).probabilities, whole, rtol=1e-5)
    assert pictures._predictor.programs() == 2  # batches of 4, and of 23 in a shape of 32


def test_a_file_that_cannot_be_read_is_refused_by_its_name(model: Model, tmp_path: Path) -> None:
    pictures = replace(model, preprocessing=ImagePreprocessing(8, 8, 1, (0.0,), (255.0,)))
    Image.new("L", (8, 8)).save(tmp_path / "good.png")
    with pytest.raises(DataError, match=r"none\.png: there is no such file"):
        pictures.predict([str(tmp_path / "good.png")] * 5 + ["none.png"], 2)


def test_nothing_to_predict_is_refused(model: Model) -> None:
    with pytest.raises(DataError, match="nothing to predict"):
        model.predict(np.zeros((0, 8, 8, 1), np.uint8))


def test_evaluation_measures_with_intervals(model: Model, held_out: Any) -> None:
    measured = model.evaluate(held_out)
    right = np.mean(model.outputs(held_out).argmax(axis=1) == held_out.targets)
    value, low, high = measured["accuracy"]
    assert value == pytest.approx(right)
    assert low <= value <= high
    assert model.evaluate("digits") == measured
    assert model.evaluate(held_out, seed=1)["accuracy"][1:] != (0.0, 1.0)
    assert model.evaluate(held_out, seed=0) == measured


def test_values_come_in_their_own_unit() -> None:
    data = load((np.eye(4, dtype=np.float32).repeat(10, 0), np.arange(40.0)), task="regress")
    network = lm.Dense(1, kernel_init=lm.initializers.Zeros())
    params, state = network.init(jax.random.key(0), (4,))
    target = ValueTarget(("v",), (5.0,), (2.0,))
    predicted = Model(network, params, state, data.preprocessing, target).predict(np.zeros((3, 4), np.float32))
    np.testing.assert_allclose(predicted.values, [[5.0]] * 3)
    assert (predicted.labels, predicted.probabilities, predicted.top(2)) == (None, None, [[], [], []])


def test_several_labels_are_those_of_at_least_one_half(model: Model) -> None:
    several = replace(model, target=MultiLabelTarget(("a", "b", "c")))
    predicted = several.read(np.array([[2.0, 0.0, -1.0], [-1.0, -2.0, -3.0]], np.float32))
    assert predicted.labels is not None
    assert list(predicted.labels) == [("a", "b"), ()]


def test_an_empty_answer_has_no_length() -> None:
    assert len(Predictions(None, None, None, ())) == 0


def test_dropout_and_batch_statistics_rest_in_prediction(held_out: Any) -> None:
    data = load("digits")
    network = lm.Sequential(lm.Flatten(), lm.BatchNorm(), lm.Dropout(0.5), lm.Dense(10))
    params, state = network.init(jax.random.key(0), data.preprocessing.input_spec())
    made = Model(network, params, state, data.preprocessing, data.target)
    whole = made.outputs(held_out)
    np.testing.assert_array_equal(whole, made.outputs(held_out))
    one = ArraySplit(held_out.inputs[:1], held_out.targets[:1])
    np.testing.assert_allclose(made.outputs(one), whole[:1], rtol=1e-4, atol=1e-5)
