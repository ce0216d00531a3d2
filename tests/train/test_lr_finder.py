from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina as lm
from lamina.data import load
from lamina.errors import BadInputError, ConfigError, TrainingError
from lamina.optim import SGD, CosineDecay
from lamina.train import feed, find_learning_rate

MLP = lm.Sequential(lm.Flatten(), lm.Dense(32), lm.relu, lm.Dense(10))
CONV = lm.Sequential(lm.Conv(8, 3), lm.relu, lm.MaxPool(2), lm.Flatten(), lm.Dense(10))


def values(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 3)).astype(np.float32)
    return x, (x @ np.array([1.0, -2.0, 0.5]) + 3).astype(np.float32)


@pytest.mark.parametrize(("network", "optimizer"), [(MLP, "sgd"), (CONV, "adam")])
def test_the_suggested_rate_trains_digits(network: Any, optimizer: str) -> None:
    data = load("digits")
    found = find_learning_rate(network, data, optimizer=optimizer)
    assert found.losses.min() < 0.7 * found.losses[0]
    rate = lm.optim.resolve(optimizer, learning_rate=found.suggestion)
    run = lm.fit(network, data, optimizer=rate, epochs=5, progress=False)
    assert run.history[-1]["val_accuracy"] > 0.9


def test_rates_rise_exponentially_and_the_curve_ends_at_the_explosion() -> None:
    found = find_learning_rate(MLP, load("digits"), optimizer="sgd", low=1e-4, high=1e4, steps=81)
    steps = np.diff(np.log10(found.rates))
    np.testing.assert_allclose(steps, 0.1, rtol=1e-6)
    assert found.rates[0] == pytest.approx(1e-4)
    assert 1 < len(found.rates) == len(found.losses) == len(found.raw) < 81
    assert np.isfinite(found.raw).all()
    assert found.suggestion == pytest.approx(found.rates[np.argmin(found.losses)] / 10)


def test_a_quadratic_loss_explodes_where_theory_says() -> None:
    """Gradient descent on a quadratic with largest curvature L diverges from rates of 2 / L on."""
    x, y = values()
    data = load((x, y), task="regress")
    inputs = np.asarray(data.preprocessing.transform(data.train.read(np.arange(len(data.train)))))
    design = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    limit = 2 / np.linalg.eigvalsh(2 * design.T @ design / len(design)).max()
    found = find_learning_rate(
        lm.Dense(1), data, optimizer=SGD(), batch_size=len(data.train), low=limit / 1e3, high=limit * 1e3, steps=200
    )
    assert limit / 4 < found.rates[np.argmin(found.losses)] < 2 * limit
    assert limit < found.rates[-1] < 10 * limit


def test_the_optimisers_own_rate_and_schedule_play_no_part() -> None:
    plain = find_learning_rate(MLP, load("digits"), optimizer=SGD(0.1))
    other = find_learning_rate(MLP, load("digits"), optimizer=SGD(7.0, schedule=CosineDecay()))
    np.testing.assert_array_equal(plain.raw, other.raw)


def test_the_seed_decides() -> None:
    first, again, other = (find_learning_rate(MLP, load("digits"), seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.raw, again.raw)
    assert first.raw[0] != other.raw[0]


def test_streamed_data_gives_the_same_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load("digits")
    whole = find_learning_rate(MLP, data)
    monkeypatch.setattr(feed, "_BLOCK_BYTES", 7 * 32 * 100)  # blocks of a few steps
    streamed = find_learning_rate(MLP, replace(data, train=replace(data.train, in_memory=False)))
    np.testing.assert_array_equal(whole.raw, streamed.raw)


def test_labels_that_nothing_explains_are_refused() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(4000, 2)).astype(np.float32)
    y = random.integers(0, 2, 4000)
    with pytest.raises(TrainingError, match=r"No learning rate from .* makes the loss fall"):
        find_learning_rate(lm.Dense(2, kernel_init=lm.initializers.Zeros()), (x, y), optimizer="sgd", batch_size=256)


def test_a_loss_that_is_never_finite_is_refused() -> None:
    network = lm.Sequential(lm.Dense(1), lm.Function(lambda x: x / 0))
    with pytest.raises(TrainingError, match="not finite at the lowest learning rate already"):
        find_learning_rate(network, values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"low": 0.0}, "low=0.0"),
        ({"low": 1.0, "high": 0.1}, "high=0.1"),
        ({"high": float("inf")}, "high=inf"),
        ({"steps": 5}, "steps=5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"optimizer": "adamm"}, "adam"),
    ],
)
def test_unusable_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_learning_rate(lm.Dense(1), values(), **options)


def test_the_plot_is_written_or_refused_in_words(tmp_path: Path) -> None:
    found = find_learning_rate(lm.Dense(1), values())
    found.plot(tmp_path / "rates.svg")
    assert "<svg" in (tmp_path / "rates.svg").read_text()
    for path in (tmp_path / "none" / "rates.png", tmp_path / "rates.xyz"):
        with pytest.raises(BadInputError, match="cannot be written to"):
            found.plot(path)
