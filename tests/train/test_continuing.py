"""Backpropagation through time truncated to a step: recurrent layers remember from step to step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ArraySplit, ClassTarget, Data, DataCard
from lamina.data.continuing import layout
from lamina.errors import ConfigError, TrainingError
from lamina.optim import SGD
from lamina.train.callbacks import Callback

Fit = Callable[..., Any]
STEPS, FEATURES = 4, 2


def continuing(n: int = 60, seed: int = 0) -> Data:
    """The class of a piece is the sign of the last number of the piece before, which its end state still shows."""
    values = np.random.default_rng(seed).normal(size=(n, STEPS, FEATURES)).astype(np.float32)
    values *= 0.1
    values[:, -1, 0] = np.sign(values[:, -1, 0])
    classes = np.concatenate([[0], values[:-1, -1, 0] > 0]).astype(np.int32)

    def split(rows: slice) -> ArraySplit:
        return ArraySplit(values[rows], classes[rows], continues=True)

    half = n // 2
    return Data(
        train=split(slice(0, half)),
        validation=split(slice(half, n)),
        test=None,
        preprocessing=ArrayPreprocessing((STEPS, FEATURES)),
        target=ClassTarget(("down", "up")),
        card=DataCard("made here", "array"),
    )


def without_memory(data: Data) -> Data:
    train, validation = (replace(split, continues=False) for split in (data.train, data.validation))
    return replace(data, train=train, validation=validation)


def network(kind: type = lm.SimpleRNN) -> lm.Sequential:
    return lm.Sequential(rnn=kind(3), head=lm.Dense(2))


def test_training_equals_a_loop_written_by_hand(fit: Fit) -> None:
    data, streams, rate = continuing(62), 4, 0.3
    run = fit(network(), data, epochs=3, batch_size=streams, optimizer=SGD(rate), loss="softmax_cross_entropy")
    params, _ = network().init(jax.random.fold_in(jax.random.key(0), 1), (STEPS, FEATURES))

    def forward(params: Any, h: Any, x: Any) -> Any:
        rnn, head = params["rnn"], params["head"]
        for t in range(STEPS):
            h = jnp.tanh(x[:, t] @ rnn["kernel"] + h @ rnn["recurrent_kernel"] + rnn["bias"])
        return h @ head["kernel"] + head["bias"], h

    def loss(params: Any, h: Any, x: Any, y: Any) -> Any:
        logits, h = forward(params, h, x)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)), h

    best: Any = None
    for row in run.history:
        h = jnp.zeros((streams, 3))
        losses = []
        for rows in layout(len(data.train), streams):
            x, y = data.train.read(rows), data.train.targets[rows]
            (value, h), gradient = jax.value_and_grad(loss, has_aux=True)(params, h, x, y)  # h is cut off here
            params = jax.tree.map(lambda w, g: w - rate * g, params, gradient)
            losses.append(float(value))
        np.testing.assert_allclose(row["loss"], np.mean(losses), rtol=1e-5)
        if row["epoch"] == run.best_epoch:
            best = params
    for ours, expected in zip(jax.tree.leaves(run.model.params), jax.tree.leaves(best), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)
    # Fewer than two streams' worth of examples: evaluation reads the validation split as one.
    h, outputs = jnp.zeros((1, 3)), []
    for index in range(len(data.validation)):
        logits, h = forward(best, h, data.validation.read(np.asarray([index])))
        outputs.append(logits[0])
    np.testing.assert_allclose(run.model.outputs(data.validation), np.stack(outputs), atol=1e-4)


@pytest.mark.slow
def test_what_was_said_in_the_piece_before_is_learned_only_with_a_memory(fit: Fit) -> None:
    data = continuing(4000)
    options = {"epochs": 5, "batch_size": 20, "optimizer": lm.optim.Adam(0.01)}
    with_memory = fit(network(lm.GRU), data, **options)
    assert max(row["val_accuracy"] for row in with_memory.history) > 0.85
    assert fit(network(lm.GRU), without_memory(data), **options).history[-1]["val_accuracy"] < 0.6


@pytest.mark.parametrize("options", [{}, {"learning_rates": (0.01, 0.1)}, {"precision": "bf16"}], ids=str)
def test_a_resumed_run_equals_an_uninterrupted_one(fit: Fit, tmp_path: Path, options: dict[str, Any]) -> None:
    class StopAfterTwo(Callback):
        def on_epoch(self, training: Any, row: Any) -> None:
            if row["epoch"] == 2:
                training.stop("interrupted")

    options = options | {"epochs": 4, "batch_size": 5}
    net, data = network(lm.LSTM), continuing()
    whole = fit(net, data, **options)
    fit(net, data, out=tmp_path / "run", callbacks=[StopAfterTwo()], **options)
    resumed = fit(net, data, out=tmp_path / "run", resume=True, **options)
    for one, other in zip(jax.tree.leaves(whole.model.params), jax.tree.leaves(resumed.model.params), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in resumed.history]


def test_a_network_without_recurrent_layers_carries_nothing(fit: Fit) -> None:
    class Look(Callback):
        def on_end(self, training: Any) -> None:
            assert training.carry.memory == {}

    fit(lm.Sequential(lm.Flatten(), lm.Dense(2)), continuing(), epochs=1, callbacks=[Look()])


def test_both_directions_cannot_go_on(fit: Fit) -> None:
    with pytest.raises(ConfigError, match="'rnn' reads sequences from their ends"):
        fit(lm.Sequential(rnn=lm.Bidirectional(lm.GRU(3)), head=lm.Dense(2)), continuing(), epochs=1)


def test_the_learning_rate_finder_remembers_too() -> None:
    data = continuing(4000)
    found = lm.find_learning_rate(network(lm.GRU), data, batch_size=20, steps=300)
    assert 1e-4 < found.suggestion < 0.1
    with pytest.raises(TrainingError, match="No learning rate"):
        lm.find_learning_rate(network(lm.GRU), without_memory(data), batch_size=20, steps=300)
