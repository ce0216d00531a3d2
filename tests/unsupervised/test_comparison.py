"""An auto-encoder beside PCA and logistic PCA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lamina as lm
from lamina.data import Data
from lamina.errors import ConfigError, DataError
from lamina.train import Run
from lamina.unsupervised import PCA, compare


@pytest.fixture(scope="module")
def run() -> Run:
    data = lm.data.load("digits", task="autoencode")
    net = lm.Autoencoder(lm.Sequential(lm.Flatten(), lm.Dense(4)), lm.Sequential(lm.Dense(64), lm.Reshape((8, 8, 1))))
    return lm.fit(net, data, optimizer=lm.optim.Adam(0.01), epochs=60, batch_size=64, progress=False)


def test_a_linear_auto_encoder_comes_near_pca_and_never_below_it_on_what_both_learned_from(run: Run) -> None:
    """Baldi & Hornik 1989: the least squared error of a linear auto-encoder is that of PCA."""
    x = run.model.truth(run.data.train).reshape(len(run.data.train), -1)
    pca = PCA.fit(x, 4)
    best = np.square(pca.decode(pca.encode(x)) - x).sum(axis=1).mean()
    ours = np.square(run.model.reconstruct(run.data.train).reshape(x.shape) - x).sum(axis=1).mean()
    assert best <= ours < 1.15 * best


def test_codes_go_both_ways(run: Run) -> None:
    test = run.data.test
    assert test is not None
    codes = run.model.encode(test)
    assert codes.shape == (len(test), 4)
    np.testing.assert_allclose(run.model.decode(codes), run.model.reconstruct(test), atol=1e-5)
    np.testing.assert_allclose(run.model.encode(test.read(np.arange(3))), codes[:3], atol=1e-5)
    np.testing.assert_allclose(run.model.predict_split(test).values, run.model.reconstruct(test), atol=1e-5)
    with pytest.raises(DataError, match=r"shape \('n', 4\). Received: \(2, 3\)"):
        run.model.decode(np.zeros((2, 3)))
    with pytest.raises(DataError, match="NaN"):
        run.model.decode(np.full((2, 4), np.nan))


def test_the_comparison_measures_all_methods_on_the_same_examples(run: Run, tmp_path: Path) -> None:
    found = compare(run.model, run.data)
    network, linear, logistic = found.methods
    assert [method.name for method in found.methods] == ["network", "PCA", "logistic PCA"]
    assert network.squared_error.value == pytest.approx(run.test["squared_error"].value, rel=1e-4)
    assert logistic.squared_error.value < linear.squared_error.value < 1.1 * network.squared_error.value  # type: ignore[operator]
    for method in found.methods:
        assert method.codes.shape == (len(found.inputs), 4)
        assert method.neighbours is not None
        assert 0.5 < method.neighbours < 1
    page = found.write(tmp_path / "out").read_text()
    assert page.count("<svg") == 2
    assert "logistic PCA" in page
    with Image.open(tmp_path / "out" / "reconstructions.png") as strip:
        assert strip.width / strip.height == pytest.approx(12 / 4)
    assert found.to_json()["methods"]["PCA"]["squared_error"]["value"] == linear.squared_error.value


def test_logistic_pca_is_left_out_where_inputs_are_not_between_0_and_1() -> None:
    x = np.random.default_rng(0).normal(size=(60, 6))
    data = lm.data.load(x, task="autoencode")
    run = lm.fit(lm.Autoencoder(lm.Dense(2), lm.Dense(6)), data, epochs=1, progress=False)
    found = compare(run.model, data)
    assert [method.name for method in found.methods] == ["network", "PCA"]
    assert found.methods[0].neighbours is None
    assert "in 0…1" in found.left_out["logistic PCA"]
    assert found.part == "validation"


def test_other_models_have_no_code(digits_classifier: Run) -> None:
    for ask in (digits_classifier.model.encode, digits_classifier.model.decode, digits_classifier.model.reconstruct):
        with pytest.raises(ConfigError, match="Only an auto-encoder has a code; this model's network is a Sequential"):
            ask(np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(ConfigError, match="Only an auto-encoder can be compared"):
        compare(digits_classifier.model, digits_classifier.data)


@pytest.fixture(scope="module")
def digits_classifier() -> Run:
    data: Data = lm.data.load("digits")
    return lm.fit(lm.Sequential(lm.Flatten(), lm.Dense(10)), data, epochs=1, progress=False)


def test_the_encoder_is_a_body_for_classes(run: Run) -> None:
    labelled = lm.data.load("digits", preprocessing=run.model.preprocessing)
    vectors = lm.transfer.describe(run.model, labelled.train.read(np.arange(5)))
    np.testing.assert_allclose(vectors, run.model.encode(run.data.train)[:5], atol=1e-5)
    head = lm.transfer.fit_head(run.model, labelled, "knn")
    tuned = lm.fine_tune(run.model, labelled, epochs=4, progress=False)
    for found in (head, tuned):
        assert found.test["accuracy"].value > 0.6  # type: ignore[operator]
    assert tuned.model.target.names == labelled.target.names
