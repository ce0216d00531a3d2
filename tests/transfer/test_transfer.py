"""Transfer learning on digits: a network of the digits 0 to 4 meets 5 to 9."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import lamina as lm
from lamina import trees
from lamina.data import ArraySplit, load
from lamina.data.base import Data
from lamina.errors import ConfigError, DataError
from lamina.train.recipe import Recipe
from lamina.transfer import HEADS, Describer, describe, descriptor_network, fit_head, tuning_recipe
from lamina.transfer import descriptors as module

NETWORK = lm.Sequential(
    body=lm.Sequential(lm.Conv(16, 3), lm.BatchNorm(), lm.relu, lm.MaxPool(2), lm.Conv(32, 3), lm.BatchNorm(), lm.relu),
    flat=lm.Flatten(),
    fc=lm.Dense(5),
)


def digits(chosen: range) -> tuple[np.ndarray, np.ndarray]:
    split = load("digits").train
    kept = np.isin(split.targets, chosen)
    return split.read(np.flatnonzero(kept))[..., 0], split.targets[kept]


@pytest.fixture(scope="module")
def model() -> lm.Model:
    return lm.fit(NETWORK, digits(range(5)), epochs=8, optimizer=lm.optim.Adam(3e-3), progress=False).model


@pytest.fixture
def few(model: lm.Model) -> Data:
    """Eight of each of the other digits to learn from, the rest to check with."""
    x, y = digits(range(5, 10))
    learned = np.concatenate([np.flatnonzero(y == digit)[:8] for digit in range(5, 10)])
    others = np.setdiff1d(np.arange(len(y)), learned)
    parts = {"train": (x[learned], y[learned]), "validation": (x[others[:100]], y[others[:100]])}
    return load({**parts, "test": (x[others[100:]], y[others[100:]])}, preprocessing=model.preprocessing)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "_cache_folder", lambda: tmp_path)
    return tmp_path


def test_a_descriptor_is_what_the_layer_gives(model: lm.Model) -> None:
    x, _ = digits(range(3))
    tape = lm.Tape(wanted=frozenset({"flat", "body.1"}))
    inputs = model.preprocessing.transform(model.preprocessing.encode(x))
    model.network.apply(model.params, model.state, inputs, tape=tape)
    np.testing.assert_allclose(describe(model, x), tape.taps["flat"], atol=1e-4)
    maps = np.asarray(tape.taps["body.1"])
    np.testing.assert_allclose(describe(model, x, "body.1"), maps.mean(axis=(1, 2)), atol=1e-4)
    np.testing.assert_allclose(describe(model, list(x)), tape.taps["flat"], atol=1e-4)


def test_what_cannot_be_described(model: lm.Model) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'flat'"):
        describe(model, digits(range(1))[0], "flt")
    with pytest.raises(DataError, match="nothing to describe"):
        describe(model, digits(range(1))[0][:0])


def test_descriptors_are_computed_once(model: lm.Model, few: Data, own_cache: Path, monkeypatch: Any) -> None:
    found = Describer(model, descriptor_network(model)).cached(few.train)
    assert len(list(own_cache.iterdir())) == 1

    def never(*_: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(Describer, "compute", never)
    np.testing.assert_array_equal(Describer(model, descriptor_network(model)).cached(few.train), found)
    changed = few.train.read(np.arange(len(few.train)))
    changed[0, 0, 0] ^= 1
    for network, split in (("body.2", few.train), (None, ArraySplit(changed, few.train.targets))):
        with pytest.raises(AssertionError, match="computed again"):
            Describer(model, descriptor_network(model, network)).cached(split)
    louder = jax.tree.map(lambda leaf: leaf * 1.01, model.params)
    other = lm.Model(model.network, louder, model.state, model.preprocessing, model.target)
    with pytest.raises(AssertionError, match="computed again"):
        Describer(other, descriptor_network(other)).cached(few.train)
    next(own_cache.iterdir()).write_bytes(b"cut")  # a damaged entry is none
    with pytest.raises(AssertionError, match="computed again"):
        Describer(model, descriptor_network(model)).cached(few.train)


def test_the_cache_is_bounded(model: lm.Model, few: Data, own_cache: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_CACHE_BYTES", 100_000)
    for number in range(9):
        (own_cache / f"{number}").write_bytes(b"x" * 20_000)
    Describer(model, descriptor_network(model)).cached(few.train)
    assert sum(file.stat().st_size for file in own_cache.iterdir()) <= 100_000


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_is_a_layer_that_says_what_scikit_learn_says(
    kind: str, model: lm.Model, few: Data, tmp_path: Path
) -> None:
    run = fit_head(model, few, kind, out=tmp_path / "run")
    assert run.test["accuracy"].value > 0.5  # eight examples of each of five classes
    x = few.validation.read(np.arange(len(few.validation)))
    train, validation = describe(model, few.train.read(np.arange(len(few.train)))[..., 0]), describe(model, x[..., 0])
    theirs = scikit(kind, run.config["chosen"], train, few.train.targets)
    assert np.mean(run.model.predict(x).probabilities.argmax(1) == theirs(validation)) > 0.99
    again = lm.load(tmp_path / "run" / "model.lamina").predict(x)
    np.testing.assert_allclose(again.probabilities, run.model.predict(x).probabilities, atol=1e-6)
    assert run.model.evaluate(few.test)["accuracy"].value == pytest.approx(run.test["accuracy"].value)
    assert "head" in (tmp_path / "run" / "report.html").read_text()


def scikit(kind: str, chosen: str, x: np.ndarray, y: np.ndarray) -> Any:
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    number = float(chosen.split()[0] if kind == "knn" else chosen.split()[-1])
    estimator = {
        "knn": lambda: KNeighborsClassifier(int(number), metric="cosine", algorithm="brute"),
        "svm": lambda: LinearSVC(C=number, random_state=0),
        "logistic": lambda: LogisticRegression(C=number, max_iter=1000),
        "linear": lambda: RidgeClassifier(alpha=1 / number),
    }[kind]()
    pipeline = estimator if kind == "knn" else make_pipeline(StandardScaler(), estimator)
    return pipeline.fit(x, y).predict


def test_a_head_for_two_classes(model: lm.Model) -> None:
    x, y = digits(range(5, 7))
    run = fit_head(model, (x, y), "svm")
    probabilities = run.model.predict(x).probabilities
    assert probabilities is not None
    assert probabilities.shape == (len(x), 2)
    assert np.mean(probabilities.argmax(1) + 5 == y) > 0.95


def test_heads_that_are_refused(model: lm.Model, few: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'knn'"):
        fit_head(model, few, "kn")
    with pytest.raises(ConfigError, match="tells classes apart"):
        fit_head(model, (few.train.read(np.arange(40)), np.linspace(0, 1, 40)), "knn")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs scikit-learn. Install it: pip install 'lamina\[pretrained\]'"):
        fit_head(model, few, "svm")


def test_fine_tuning_goes_on_from_a_learned_head(model: lm.Model, few: Data) -> None:
    recipe = tuning_recipe(model, few)
    params, state = recipe.network.init(jax.random.key(0), few.preprocessing.input_spec())
    start = lm.Model(recipe.network, params, state, few.preprocessing, few.target).evaluate(few.validation)
    run = lm.fine_tune(model, few, epochs=20, progress=False)
    assert run.test["accuracy"].value > 0.75  # eight examples of each of five classes
    assert run.validation["accuracy"].value >= start["accuracy"].value
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert run.config["freeze_statistics"]
    jax.tree.map(np.testing.assert_array_equal, run.model.state, model.state)
    moved = {name for name, (a, b) in both(run.model.params, model.params).items() if not np.array_equal(a, b)}
    assert moved == set(trees.flatten(model.params))


def both(one: Any, other: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    first, second = trees.flatten(one), trees.flatten(other)
    return {name: (first[name], second[name]) for name in first}


def test_the_recipe_begins_with_the_body_and_a_learned_head(model: lm.Model, few: Data) -> None:
    recipe = tuning_recipe(model, few, seed=0)
    params, _ = recipe.network.init(jax.random.key(0), few.preprocessing.input_spec())
    jax.tree.map(np.testing.assert_array_equal, params["body"], model.params["body"])
    x = few.train.read(np.arange(len(few.train)))
    logits, _ = recipe.network.apply(params, model.state, few.preprocessing.transform(x))
    assert np.mean(np.argmax(logits, 1) == few.train.targets) > 0.9
    factors = [factor for _, factor in recipe.optimizer.groups]
    assert factors[0] == pytest.approx(0.1)
    assert factors == sorted(factors)


def test_the_same_classes_keep_their_head(model: lm.Model) -> None:
    x, y = digits(range(5))
    data = load((x, y), preprocessing=model.preprocessing)
    params, _ = tuning_recipe(model, data).network.init(jax.random.key(3), data.preprocessing.input_spec())
    jax.tree.map(np.testing.assert_array_equal, params, model.params)


def test_a_head_behind_maps_learns_too(few: Data) -> None:
    squeezed = lm.Sequential(lm.Conv(16, 3), lm.relu, lm.Dropout(0.1), lm.Conv(5, 1), lm.GlobalAvgPool())
    params, state = squeezed.init(jax.random.key(0), few.preprocessing.input_spec())
    names = tuple("abcde")
    start = lm.Model(squeezed, params, state, few.preprocessing, type(few.target)(names))
    recipe = tuning_recipe(start, few)
    assert isinstance(recipe, Recipe)
    learned, _ = recipe.network.init(jax.random.key(0), few.preprocessing.input_spec())
    table, before = trees.flatten(learned), trees.flatten(params)
    assert {name for name in table if not np.array_equal(table[name], before[name])} == {"3.kernel", "3.bias"}
