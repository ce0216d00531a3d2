from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

import lamina as lm
from lamina.data import load
from lamina.data.base import ArraySplit, Data
from lamina.errors import TrainingError
from lamina.optim import SGD, CosineDecay
from lamina.run import Run
from lamina.train import Callback
from lamina.train.loop import Best, Plan
from lamina.train.recipe import Recipe
from lamina.train.refit import train_again

Fit = Callable[..., Run]

NETWORK = lm.Sequential(lm.Dense(8), lm.tanh, lm.Dropout(0.1), lm.Dense(3))
OPTIMIZER = SGD(0.1, schedule=CosineDecay())


def weights(run: Run) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves((run.model.params, run.model.state))]


def assert_same(one: Run, other: Run) -> None:
    for ours, theirs in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def joined(data: Data) -> Data:
    """By hand: the validation examples, then the training examples."""
    everything = [part.read(np.arange(len(part))) for part in (data.validation, data.train)]
    targets = np.concatenate([data.validation.targets, data.train.targets])
    return replace(data, train=ArraySplit(np.concatenate(everything), targets))


def test_the_second_training_is_on_both_parts_for_as_many_epochs_as_were_best(fit: Fit, blobs: Data) -> None:
    given = {"optimizer": OPTIMIZER, "seed": 3}
    once = fit(NETWORK, blobs, epochs=30, **given)
    assert once.best_epoch < 30, "the test needs a best epoch before the last"
    twice = fit(NETWORK, blobs, epochs=30, refit=True, **given)
    assert_same(twice, fit(Recipe(NETWORK, keep="last"), joined(blobs), epochs=once.best_epoch, **given))
    assert (once.refitted, twice.refitted) == (0, 140)
    assert twice.model.card["refitted"] == 140
    assert (twice.best_epoch, len(twice.history)) == (once.best_epoch, 30)


def test_the_validation_scores_are_those_of_the_first_training(fit: Fit, blobs: Data) -> None:
    once, twice = (fit(NETWORK, blobs, epochs=10, refit=refit) for refit in (False, True))
    assert twice.validation == once.validation
    assert twice.test == twice.model.evaluate(blobs.test)
    assert [row["val_loss"] for row in twice.history] == [row["val_loss"] for row in once.history]


def test_the_best_of_several_learning_rates_is_taken(fit: Fit, blobs: Data) -> None:
    run = fit(NETWORK, blobs, epochs=4, optimizer=OPTIMIZER, learning_rates=(1e-6, 0.2, 1e-5), refit=True)
    alone = replace(OPTIMIZER, learning_rate=0.2)
    assert_same(run, fit(Recipe(NETWORK, keep="last"), joined(blobs), epochs=run.best_epoch, optimizer=alone))


def test_a_text_goes_on_from_the_validation_into_the_training_part(fit: Fit, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("".join(f"line {n} of a book\n" for n in range(400)))
    data = load(tmp_path / "book.txt", task="generate")
    net = lm.Sequential(
        lm.Embedding(data.target.units, 8), lm.GRU(8, return_sequences=True), lm.Dense(len(data.target.names))
    )
    whole = replace(joined(data), train=replace(joined(data).train, continues=True))  # type: ignore[type-var]
    run = fit(net, data, epochs=2, batch_size=4, refit=True)
    assert_same(run, fit(Recipe(net, keep="last"), whole, epochs=run.best_epoch, batch_size=4))


def test_the_first_training_gets_its_share_of_the_time(fit: Fit, blobs: Data) -> None:
    limits = []

    class Look(Callback):
        def on_start(self, training: Any) -> None:
            limits.append(training.plan.time_limit)

    fit(NETWORK, blobs, epochs=1, time_limit=240.0, refit=True, callbacks=[Look()])
    assert limits == [100.0]  # of 100 + 140 examples


def test_an_interrupted_run_is_not_trained_again(fit: Fit, blobs: Data) -> None:
    class Stop(Callback):
        def on_epoch(self, training: Any, row: Any) -> None:
            training.stop("interrupted")

    run = fit(NETWORK, blobs, epochs=3, refit=True, callbacks=[Stop()])
    assert (run.status, run.refitted) == ("interrupted", 0)


@pytest.mark.parametrize("end", ["interrupted", "diverged"])
def test_without_the_second_training_the_first_one_counts(blobs: Data, end: str) -> None:
    def run() -> None:
        if end == "diverged":
            raise TrainingError("It diverged.")

    first: Any = SimpleNamespace(program=None, plan=Plan(3, 10), best=Best(epoch=2), data=blobs, release=lambda: None)
    again: Any = SimpleNamespace(status=end, run=run)
    assert train_again(first, lambda *parts: again) is None
    again.status, end = "finished", "finished"
    assert train_again(first, lambda *parts: again) is again
