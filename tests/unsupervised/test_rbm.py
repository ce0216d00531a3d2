"""Machines from the outside: they learn, dream, draw, are kept, and refuse what cannot be learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lamina.config import from_json, to_json
from lamina.errors import BadInputError, ConfigError, DataError, ModelFileError, ShapeError, TrainingError
from lamina.trees import to_bytes
from lamina.unsupervised import DBN, RBM, TrainedRBM, draw_pictures, load


def bars(n: int = 500, seed: int = 0) -> np.ndarray:
    """Pictures of 4×4 with one or two whole columns."""
    random = np.random.default_rng(seed)
    on = np.eye(4)[random.integers(0, 4, n)] + np.eye(4)[random.integers(0, 4, n)]
    return np.repeat(on[:, None, :] > 0, 4, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def trained() -> TrainedRBM:
    return RBM(8, weight_decay=0).fit(bars(), epochs=60, batch_size=50, progress=False)


@pytest.mark.parametrize(
    "rbm",
    [
        RBM(8, weight_decay=0),
        RBM(8, steps=3, momentum=0.0, learning_rate=0.3),
        RBM(8, persistent=True, learning_rate=0.03, schedule="cosine"),
        RBM(8, sample_visible=False, sparsity_target=0.3),
    ],
)
def test_training_raises_the_exact_likelihood(rbm: RBM) -> None:
    x, unseen = bars(), bars(seed=1)
    before = rbm.fit(x, epochs=1, batch_size=500, progress=False).log_likelihood(unseen).mean()
    after = rbm.fit(x, epochs=60, batch_size=50, progress=False)
    independent = np.clip(x.reshape(len(x), -1).mean(axis=0), 1e-6, 1 - 1e-6)
    entropy = -(independent * np.log(independent) + (1 - independent) * np.log(1 - independent)).sum()
    assert before < -0.9 * entropy  # about what independent units say
    assert after.log_likelihood(unseen).mean() > -6.5  # ten pictures there are: -2.1 to -2.8 each
    noise = np.random.default_rng(0).integers(0, 2, unseen.shape)
    assert after.score(unseen) > after.score(noise) + 5


def test_gaussian_units_learn_real_data() -> None:
    random = np.random.default_rng(0)
    x = (3 * np.eye(4)[random.integers(0, 4, 1000)] + random.normal(size=(1000, 4))).astype(np.float32)
    x -= x.mean(axis=0)
    few = RBM(6, visible="gaussian", learning_rate=0.01)
    before = few.fit(x, epochs=1, batch_size=1000, progress=False).log_likelihood(x).mean()
    assert few.fit(x, epochs=100, progress=False).log_likelihood(x).mean() > before + 0.3


@pytest.mark.parametrize("hidden_units", ["relu", "gaussian"])
def test_other_hidden_units_learn_to_reconstruct(hidden_units: Any) -> None:
    rbm = RBM(8, hidden_units=hidden_units, learning_rate=0.01)
    found = rbm.fit(bars(), epochs=60, batch_size=50, progress=False)
    assert found.history[-1]["squared_error"] < 0.3 * found.history[0]["squared_error"]


def test_the_history_tells_what_was_measured() -> None:
    found = RBM(4).fit(bars(), epochs=2, validation=bars(100, seed=1), progress=False)
    assert [row["epoch"] for row in found.history] == [1, 2]
    names = ("squared_error", "free_energy", "pseudo_likelihood")
    assert set(found.history[0]) == {"epoch", "seconds", *names, *(f"val_{name}" for name in names)}
    x = bars()
    error = np.square(x - found.reconstruct(x)).sum(axis=(1, 2)).mean()
    np.testing.assert_allclose(found.history[-1]["squared_error"], error, rtol=1e-4)
    np.testing.assert_allclose(found.history[-1]["free_energy"], found.free_energy(x).mean(), rtol=1e-4)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (RBM(4).fit(bars(), epochs=2, seed=seed, progress=False) for seed in (1, 1, 2))
    for name in first.params:
        np.testing.assert_array_equal(first.params[name], again.params[name])
    assert not np.array_equal(first.params["kernel"], other.params["kernel"])


def test_dreams_are_like_the_data(trained: TrainedRBM) -> None:
    dreams = trained.sample(200, steps=500)
    assert dreams.shape == (200, 4, 4)
    assert dreams.min() >= 0
    assert dreams.max() <= 1
    rounded = dreams > 0.5
    assert np.mean((rounded == rounded[:, :1]).all(axis=(1, 2))) > 0.7  # whole columns; 3e-4 of pictures by chance
    np.testing.assert_array_equal(dreams, trained.sample(200, steps=500))
    np.testing.assert_allclose(
        trained.sample(3, steps=1, begin=bars(3)).reshape(3, -1).mean(), bars(3).mean(), atol=0.25
    )


def test_what_it_shows_is_its_weights(trained: TrainedRBM) -> None:
    x = bars(7)
    kernel, bias = np.asarray(trained.params["kernel"]), np.asarray(trained.params["hidden_bias"])
    hidden = 1 / (1 + np.exp(-(x.reshape(7, -1) @ kernel + bias)))
    np.testing.assert_allclose(trained.transform(x), hidden, atol=1e-5)
    assert trained.filters().shape == (8, 4, 4)
    np.testing.assert_array_equal(trained.filters()[3].ravel(), kernel[:, 3])


@pytest.mark.parametrize("hidden_units", ["bernoulli", "relu"])
def test_it_is_a_layer(hidden_units: Any) -> None:
    import jax

    x = bars(9)
    found = RBM(8, hidden_units=hidden_units).fit(x, epochs=1, progress=False)
    layer = found.as_layer()
    params, state = layer.init(jax.random.key(0), (4, 4))
    y, _ = layer.apply(params, state, x)
    field = x.reshape(9, -1) @ np.asarray(found.params["kernel"]) + np.asarray(found.params["hidden_bias"])
    np.testing.assert_allclose(y, np.maximum(field, 0) if hidden_units == "relu" else found.transform(x), atol=1e-5)


def test_filters_and_dreams_are_drawn(trained: TrainedRBM, tmp_path: Path) -> None:
    trained.draw_filters(tmp_path / "filters.png")
    draw_pictures(trained.sample(10, steps=2), tmp_path / "dreams.png")
    for name in ("filters", "dreams"):
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png"))
        assert pixels.shape[2] == 4
        assert pixels[..., :3].max() > 200
    flat = RBM(3).fit(bars().reshape(-1, 16), epochs=1, progress=False)
    with pytest.raises(ConfigError, match="reshape"):
        flat.draw_filters(tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_it_is_kept_in_a_file(trained: TrainedRBM, tmp_path: Path) -> None:
    trained.save(tmp_path / "rbm.safetensors")
    again = load(tmp_path / "rbm.safetensors")
    assert isinstance(again, TrainedRBM)
    assert (again.rbm, again.shape, again.history) == (trained.rbm, trained.shape, trained.history)
    np.testing.assert_array_equal(again.transform(bars(5)), trained.transform(bars(5)))
    (tmp_path / "cut").write_bytes((tmp_path / "rbm.safetensors").read_bytes()[:-10])
    (tmp_path / "other").write_bytes(to_bytes({"kernel": np.zeros(3)}))
    for name in ("cut", "other"):
        with pytest.raises(ModelFileError, match="no whole file"):
            load(tmp_path / name)
    with pytest.raises(BadInputError, match="cannot be read"):
        load(tmp_path / "missing")


@pytest.mark.parametrize("described", [RBM(3, "gaussian", "relu", schedule="cosine"), DBN([5, 3], top="gaussian")])
def test_descriptions_are_data(described: Any) -> None:
    assert from_json(to_json(described)) == described
    assert hash(from_json(to_json(described))) == hash(described)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.full((5, 3), 2.0), "from 0 to 1; x goes from 2 to 2"),
        (-np.ones((5, 3)), "from 0 to 1"),
        (np.full((5, 3), np.nan), "not finite: nan in example 0"),
        (np.array([[0.0, 1.0], [np.inf, 0.0]]), "not finite: inf in example 1"),
        (np.zeros((0, 3)), r"Received: the shape \(0, 3\)"),
        (np.zeros(5), r"Received: the shape \(5,\)"),
        (np.array([["a", "b"]]), "must hold numbers"),
    ],
)
def test_examples_that_cannot_be_learned_are_refused(x: np.ndarray, words: str) -> None:
    for learner in (RBM(2), DBN([2, 2])):
        with pytest.raises(DataError, match=words):
            learner.fit(x, progress=False)


def test_examples_of_another_width_are_refused(trained: TrainedRBM) -> None:
    with pytest.raises(ShapeError, match="16 visible units; the examples of x have 9 numbers"):
        trained.transform(np.zeros((2, 3, 3)))
    with pytest.raises(ShapeError, match="validation have 2 numbers"):
        RBM(2).fit(bars(), validation=np.zeros((2, 2)), progress=False)
    with pytest.raises(DataError, match="from 0 to 1"):
        trained.transform(bars() * 255)


def test_weights_of_another_size_are_refused(trained: TrainedRBM) -> None:
    with pytest.raises(ConfigError, match=r"'kernel': \(16, 8\).* Received: .*'kernel': \(16, 7\)"):
        RBM(8).with_params(dict(trained.params) | {"kernel": np.zeros((16, 7))}, (4, 4))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RBM(0), "hidden=0"),
        (lambda: RBM(3, visible="relu"), "rectified ones are hidden"),
        (lambda: RBM(3, visible="gaussian", hidden_units="gaussian"), "cannot be normalised"),
        (lambda: RBM(3, momentum=1.0), "momentum=1.0"),
        (lambda: RBM(3, learning_rate=-1.0), "learning_rate=-1.0"),
        (lambda: RBM(3, steps=0), "steps=0"),
        (lambda: RBM(3, sparsity_target=1.5), "sparsity_target=1.5"),
        (lambda: RBM(3, hidden_units="relu", sparsity_target=0.1), "a probability of Bernoulli"),
        (lambda: RBM(3, schedule="cosin"), "Did you mean 'cosine'"),
        (lambda: RBM(3).fit(bars(), epochs=0), "epochs=0"),
        (lambda: RBM(3).fit(bars(), batch_size=0), "batch_size=0"),
        (lambda: RBM(3).fit(bars(), seed=0.5), "seed=0.5"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_machine_that_diverges_says_so() -> None:
    x = 100 * np.random.default_rng(0).normal(size=(100, 4))
    with pytest.raises(TrainingError, match=r"diverged in epoch \d+: its weights are not finite"):
        RBM(4, visible="gaussian", hidden_units="relu", learning_rate=1.0).fit(x, epochs=30, progress=False)


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    RBM(3).fit(bars(), epochs=2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "RBM 16-3  epoch 1/2  squared_error" in err
    assert "epoch 2/2" in err
