"""Stacks of machines, and the networks that begin with their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ConfigError
from lamina.layers.pretrained import holds_weights
from lamina.unsupervised import DBN, RBM, TrainedDBN, load

EPOCHS = (40, 30, 30)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    from lamina.data import builtin

    x, y = builtin._read("digits")["train"]
    return x[..., None].astype(np.float32) / 255, y


@pytest.fixture(scope="module")
def trained(digits: tuple[np.ndarray, np.ndarray]) -> TrainedDBN:
    return DBN([64, 32, 10], top="gaussian").fit(digits[0], epochs=EPOCHS, batch_size=20, progress=False)


def test_each_machine_learns_the_means_of_the_one_below(
    trained: TrainedDBN, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    x = digits[0].reshape(len(digits[0]), -1)
    for index, epochs in enumerate(EPOCHS):
        found = trained.machines[index].rbm.fit(x, epochs=epochs, batch_size=20, seed=index, progress=False)
        np.testing.assert_array_equal(found.params["kernel"], trained.machines[index].params["kernel"])
        x = found.transform(x)
    np.testing.assert_array_equal(trained.transform(digits[0]), x)
    assert [machine.rbm.hidden_units for machine in trained.machines] == ["bernoulli", "bernoulli", "gaussian"]


def test_unrolled_it_does_what_the_stack_did(trained: TrainedDBN, digits: tuple[np.ndarray, np.ndarray]) -> None:
    network = trained.unroll()
    assert holds_weights(network)
    params, state = network.init(jax.random.key(0), (8, 8, 1))
    tape = lm.Tape(wanted=frozenset({"0.encoder"}))
    y, _ = network.apply(params, state, digits[0][:50], tape=tape)
    np.testing.assert_allclose(tape.taps["0.encoder"], trained.transform(digits[0][:50]), atol=1e-4)
    np.testing.assert_allclose(y, trained.reconstruct(digits[0][:50]), atol=1e-4)
    assert y.shape == (50, 8, 8, 1)
    up, down = params["0"]["encoder"], params["0"]["decoder"]
    np.testing.assert_array_equal(down["0"]["kernel"], up["5"]["kernel"].T)
    tied = trained.unroll(tied=True)
    params, state = tied.init(jax.random.key(0), (8, 8, 1))
    assert "kernel" not in params["0"]["decoder"]["0"]
    np.testing.assert_allclose(tied.apply(params, state, digits[0][:50])[0], y, atol=1e-4)


def test_the_stack_reconstructs_better_than_the_mean(
    trained: TrainedDBN, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    x = digits[0]
    error = np.square(x - trained.reconstruct(x)).sum(axis=(1, 2, 3)).mean()
    assert error < 0.5 * np.square(x - x.mean(axis=0)).sum(axis=(1, 2, 3)).mean()


def test_a_classifier_begins_with_its_weights_and_is_fine_tuned(digits: tuple[np.ndarray, np.ndarray]) -> None:
    data = lm.data.load("digits", scale="minmax")
    x = np.asarray(data.preprocessing.transform(data.train.read(np.arange(len(data.train)))))
    stack = DBN([64, 64]).fit(x, epochs=30, progress=False)
    network = stack.classifier(10)
    params, _ = network.init(jax.random.key(0), x.shape[1:])
    for path, machine in (("1", stack.machines[0]), ("3", stack.machines[1])):
        np.testing.assert_array_equal(params[path]["kernel"], machine.params["kernel"])
    assert params["5"]["kernel"].shape == (64, 10)
    run = lm.fit(network, data, optimizer=lm.optim.Adam(3e-3), epochs=30, progress=False)
    assert run.test["accuracy"].value > 0.93


def test_dreams_go_down_through_all_layers(trained: TrainedDBN) -> None:
    dreams = trained.sample(5, steps=10)
    assert dreams.shape == (5, 8, 8, 1)
    assert 0 <= dreams.min() <= dreams.max() <= 1


def test_it_is_kept_in_a_file(trained: TrainedDBN, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    trained.save(tmp_path / "dbn.safetensors")
    again = load(tmp_path / "dbn.safetensors")
    assert isinstance(again, TrainedDBN)
    np.testing.assert_array_equal(again.transform(digits[0][:5]), trained.transform(digits[0][:5]))
    assert again.shape == trained.shape


def test_options_are_those_of_every_machine() -> None:
    net = DBN([5, 4, 3], visible="gaussian", top="relu", weight_decay=0.01)
    assert net.rbms == (
        RBM(5, visible="gaussian", weight_decay=0.01, sample_visible=False),
        RBM(4, weight_decay=0.01, sample_visible=False),
        RBM(3, hidden_units="relu", weight_decay=0.01, sample_visible=False),
    )
    assert DBN([2], sample_visible=True).rbms[0].sample_visible


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DBN([]), "sizes of its layers"),
        (lambda: DBN("500"), "sizes of its layers"),
        (lambda: DBN([5, 0]), "hidden=0"),
        (lambda: DBN([5], hidden=3), "no option 'hidden'"),
        (lambda: DBN([5], learning=3), "no option 'learning'"),
        (lambda: DBN([5, 4]).fit(np.zeros((3, 2)), epochs=(1, 2, 3)), "2 machines; epochs are given for 3"),
        (lambda: DBN([5, 4]).fit(np.zeros((3, 2)), epochs=(1, 0)), "epochs=0"),
    ],
)
def test_what_cannot_be_stacked_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
