from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import psutil
import pytest

import lamina as lm
from lamina import trees
from lamina.data import load
from lamina.data.base import Data
from lamina.errors import BadInputError, ConfigError, ShapeError, TrainingError
from lamina.losses import L2, Hinge, MaxNorm
from lamina.optim import SGD, Adam, CosineDecay
from lamina.run import Run
from lamina.train import Callback, feed
from lamina.train.recipe import Recipe

Fit = Callable[..., Run]

MLP = lm.Sequential(lm.Flatten(), lm.Dense(32), lm.relu, lm.Dense(10))
CONV = lm.Sequential(lm.Conv(8, 3), lm.BatchNorm(), lm.relu, lm.MaxPool(2), lm.Flatten(), lm.Dropout(0.2), lm.Dense(10))
SMALL = lm.Sequential(lm.Dense(8), lm.tanh, lm.Dense(3))


def weights(run: Run) -> dict[str, np.ndarray]:
    return trees.flatten((run.model.params, run.model.state))


def same(one: Run, other: Run) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


class Recorder(Callback):
    """Notes what happens, and does something at it."""

    def __init__(self, **actions: Callable[[Any], None]) -> None:
        self.events: list[str] = []
        self.actions = actions

    def note(self, event: str, training: Any) -> None:
        self.events.append(event)
        self.actions.get(event, lambda training: None)(training)

    def on_start(self, training: Any) -> None:
        self.note("start", training)

    def on_chunk(self, training: Any) -> None:
        self.note("chunk", training)

    def on_epoch(self, training: Any, row: dict[str, Any]) -> None:
        self.note("epoch", training)

    def on_end(self, training: Any) -> None:
        self.note("end", training)


class TestLearning:
    @pytest.mark.parametrize("network", [MLP, CONV], ids=["dense", "convolutional"])
    def test_loss_falls_and_accuracy_rises(self, network: lm.Layer, fit: Fit, digits: Data) -> None:
        run = fit(network, digits, epochs=5, optimizer=Adam(0.005))
        first, last = run.history[0], run.history[-1]
        assert last["loss"] < 0.3 * first["loss"]
        assert last["accuracy"] > max(first["accuracy"], 0.9)
        assert run.validation["accuracy"][0] > 0.9
        assert run.test["accuracy"][0] > 0.9
        assert run.status == "finished"
        assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5]
        assert [row["step"] for row in run.history] == [45 * epoch for epoch in range(1, 6)]

    def test_the_best_epochs_weights_are_kept(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=8, optimizer=SGD(3.0))
        scores = [(row["val_accuracy"], -row["val_loss"]) for row in run.history]
        assert scores[run.best_epoch - 1] == max(scores)
        assert run.validation["accuracy"][0] == max(scores)[0]
        best = [row["best"] for row in run.history]
        assert best[run.best_epoch - 1]
        assert not any(best[run.best_epoch :])

    def test_scores_are_those_of_the_model(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=2)
        assert blobs.test is not None
        for split, measured in ((blobs.validation, run.validation), (blobs.test, run.test)):
            assert run.model.evaluate(split) == measured
            predicted = run.model.predict_split(split).probabilities
            assert predicted is not None
            assert measured["accuracy"][0] == pytest.approx(np.mean(predicted.argmax(axis=1) == split.targets))

    def test_the_test_split_is_read_after_all_choices(self, fit: Fit, blobs: Data) -> None:
        recorder = Recorder()

        class Watched:
            def __init__(self, split: Any) -> None:
                self.split, self.targets, self.names, self.in_memory = split, split.targets, split.names, True

            def __len__(self) -> int:
                return len(self.split)

            def read(self, indices: np.ndarray) -> Any:
                recorder.events.append("test read")
                return self.split.read(indices)

        fit(SMALL, replace(blobs, test=Watched(blobs.test)), epochs=3, callbacks=[recorder])
        assert recorder.events.index("end") < recorder.events.index("test read")
        assert recorder.events.count("test read") == 1

    def test_full_batch_is_one_step_an_epoch(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=5, batch_size="full")
        assert [row["step"] for row in run.history] == [1, 2, 3, 4, 5]
        assert run.config["batch_size"] == 100
        assert same(run, fit(SMALL, blobs, epochs=5, batch_size=1000))

    def test_bfloat16_trains_with_float32_weights(self, fit: Fit, digits: Data) -> None:
        half, single = (fit(CONV, digits, epochs=4, optimizer=Adam(0.005), precision=p) for p in ("bf16", "f32"))
        assert half.validation["accuracy"][0] > 0.9
        assert {array.dtype for array in weights(half).values()} == {np.dtype(np.float32)}
        assert half.history[-1]["val_loss"] == pytest.approx(single.history[-1]["val_loss"], rel=0.3)
        assert not same(half, single)

    def test_the_recipes_precision_is_taken_unless_another_is_named(self, fit: Fit, digits: Data) -> None:
        recipe = Recipe(MLP, precision="bf16")
        assert fit(recipe, digits, epochs=1).config["precision"] == "bf16"
        assert same(fit(recipe, digits, epochs=1, precision="f32"), fit(MLP, digits, epochs=1))

    def test_any_optax_transformation_trains(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=5, optimizer=optax.adabelief(0.05))
        assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]

    def test_the_schedule_is_followed(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=4, optimizer=SGD(0.1, schedule=CosineDecay()))
        expected = SGD(0.1, schedule=CosineDecay()).rate(np.arange(1, 5) * 4 - 1, 16)
        np.testing.assert_allclose([row["learning_rate"] for row in run.history], expected, rtol=1e-6)


class TestSeed:
    def test_the_same_seed_gives_the_same_bits_and_another_others(self, fit: Fit, digits: Data) -> None:
        first, again, other = (fit(CONV, digits, epochs=2, seed=seed) for seed in (1, 1, 2))
        assert same(first, again)
        assert not same(first, other)
        for one, two in zip(first.history, again.history, strict=True):
            assert one["loss"] == two["loss"]
            assert one["val_loss"] == two["val_loss"]

    def test_chunks_of_any_length_give_the_same_bits(
        self, fit: Fit, digits: Data, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = fit(CONV, digits, epochs=2)
        monkeypatch.setattr("lamina.train.loop._CHUNK_SECONDS", 1e-9)
        recorder = Recorder()
        assert same(whole, fit(CONV, digits, epochs=2, callbacks=[recorder]))
        assert recorder.events.count("chunk") == 2 * 45


def test_nothing_is_compiled_after_the_first_epoch(
    fit: Fit, digits: Data, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamina.train.loop._CHUNK_SECONDS", 0.01)  # several chunks of several lengths an epoch
    compiled: list[int] = []

    def count(_: Any) -> None:
        compiled.append(sum("Finished XLA compilation" in record.message for record in caplog.records))

    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        fit(MLP, digits, epochs=5, callbacks=[Recorder(epoch=count)])
    chunks = [record.message for record in caplog.records if "compilation of jit(chunk)" in record.message]
    assert len(chunks) == 1
    assert len(set(compiled[1:])) == 1


class TestStreaming:
    @pytest.mark.parametrize("steps", [1, 7, 1000])
    def test_streamed_data_gives_the_same_weights(
        self, steps: int, fit: Fit, digits: Data, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = fit(CONV, digits, epochs=2)
        monkeypatch.setattr(feed, "_BLOCK_BYTES", steps * 32 * (8 * 8 + 4))
        streamed = replace(digits, train=replace(digits.train, in_memory=False))
        assert same(whole, fit(CONV, streamed, epochs=2))

    def test_a_split_that_fails_to_read_ends_the_run_in_words(self, fit: Fit, digits: Data, tmp_path: Path) -> None:
        class Lost:
            targets, names, in_memory = digits.train.targets, digits.train.names, False

            def __len__(self) -> int:
                return len(self.targets)

            def read(self, indices: np.ndarray) -> Any:
                if len(indices) > 1:
                    raise OSError(5, "Input/output error")
                return digits.train.read(indices)

        with pytest.raises(TrainingError, match="The run failed: Input/output error"):
            fit(MLP, replace(digits, train=Lost()), epochs=1)


class TestSeveralRates:
    @pytest.mark.parametrize("network", [MLP, CONV], ids=["dense", "convolutional"])
    def test_they_equal_separate_runs(self, network: lm.Layer, fit: Fit, digits: Data) -> None:
        rates = (0.01, 0.001)
        together = fit(network, digits, epochs=2, learning_rates=rates)
        for index, rate in enumerate(rates):
            alone = fit(network, digits, epochs=2, optimizer=Adam(rate))
            for ours, theirs in zip(together.history, alone.history, strict=True):
                row = ours["rates"][index]
                assert row["learning_rate"] == rate
                assert row["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
                assert row["val_loss"] == pytest.approx(theirs["val_loss"], rel=2e-2)

    def test_the_best_rate_wins(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=4, learning_rates=(1e-6, 0.05, 1e-5))
        assert run.history[-1]["learning_rate"] == pytest.approx(0.05)
        alone = fit(SMALL, blobs, epochs=4, optimizer=Adam(0.05))
        assert run.validation["accuracy"][0] == pytest.approx(alone.validation["accuracy"][0])
        shapes = {name: array.shape for name, array in weights(alone).items()}
        assert {name: array.shape for name, array in weights(run).items()} == shapes

    def test_one_that_diverges_does_not_stop_the_others(self, fit: Fit, blobs: Data, tmp_path: Path) -> None:
        network = lm.Sequential(lm.Dense(16), lm.relu, lm.Dense(16), lm.relu, lm.Dense(3))
        run = fit(network, blobs, epochs=5, optimizer=SGD(), learning_rates=(0.05, 1e30), out=tmp_path / "run")
        good, bad = zip(*(row["rates"] for row in run.history), strict=True)
        assert good[-1]["loss"] < 0.5 * good[0]["loss"]
        assert bad[-1]["loss"] is None
        assert run.validation["accuracy"][0] > 0.8
        assert all(np.isfinite(array).all() for array in weights(run).values())
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
            json.loads(line, parse_constant=pytest.fail)

    def test_all_that_diverge_end_the_run(self, fit: Fit, blobs: Data) -> None:
        network = lm.Sequential(lm.Dense(16), lm.relu, lm.Dense(16), lm.relu, lm.Dense(3))
        with pytest.raises(TrainingError, match="diverged in epoch"):
            fit(network, blobs, epochs=5, optimizer=SGD(), learning_rates=(1e29, 1e30))


class TestDivergence:
    def test_epoch_step_and_layer_are_named(self, fit: Fit, blobs: Data) -> None:
        network = lm.Sequential(lm.Dense(4), lm.Sequential(lm.relu, root=lambda x: jnp.log(x - 1e6)), lm.Dense(3))
        words = r"diverged in epoch 1, step 1 of 4: the output of layer '1\.root' \(Function\) is not finite\."
        with pytest.raises(TrainingError, match=words):
            fit(network, blobs)

    def test_a_gradient_that_is_not_finite_is_named(self, fit: Fit, blobs: Data) -> None:
        network = lm.Sequential(lm.Dense(4), lambda x: jnp.sqrt(x * 0.0), lm.Dense(3))
        with pytest.raises(TrainingError, match=r"but the gradient of '0\.(bias|kernel)' is not finite"):
            fit(network, blobs)

    def test_weights_too_large_to_validate_end_the_run(self, fit: Fit, blobs: Data) -> None:
        network = lm.Sequential(lm.Dense(16), lm.relu, lm.Dense(3))
        with pytest.raises(
            TrainingError, match=r"diverged in epoch 1: .* validation loss that is not finite.*Try a learn"
        ):
            fit(network, blobs, epochs=1, batch_size="full", optimizer=SGD(1e30))

    def test_the_right_step_is_named(self, fit: Fit, blobs: Data) -> None:
        """Weights that shrink by one an optimiser step, under a root that ends at the sixth."""

        class Down(lm.losses.Loss):
            def per_example(self, outputs: Any, targets: Any) -> jax.Array:
                return jnp.sum(outputs, axis=1)

        network = lm.Sequential(
            lm.Dense(3, kernel_init=lm.initializers.Zeros(), bias_init=lm.initializers.Constant(5.5)),
            lambda x: jnp.where(x > 0, x, jnp.nan),
        )
        with pytest.raises(TrainingError, match=r"epoch 2, step 3 of 4: the output of layer '1' \(Function\)"):
            fit(network, blobs, loss=Down(), optimizer=SGD(1.0))

    def test_nothing_that_is_not_finite_is_saved(self, fit: Fit, blobs: Data, tmp_path: Path) -> None:
        network = lm.Sequential(lm.Dense(16), lm.relu, lm.Dense(16), lm.relu, lm.Dense(3))
        grow = optax.sgd(lambda step: jnp.where(step < 6, 0.05, 1e30))
        with pytest.raises(TrainingError, match="diverged in epoch 2"):
            fit(network, blobs, epochs=9, optimizer=grow, out=tmp_path / "run")
        assert not (tmp_path / "run" / "model.lamina").exists()
        table = trees.from_bytes((tmp_path / "run" / "checkpoints" / "last.safetensors").read_bytes())
        assert all(np.isfinite(array).all() for name, array in table.items() if array.dtype.kind == "f")
        assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


class TestWeights:
    def test_a_penalty_shrinks_them(self, fit: Fit, blobs: Data) -> None:
        free, bound = (
            fit(SMALL, blobs, epochs=9, optimizer="sgd", penalties=penalties) for penalties in ((), (L2(0.1),))
        )
        norm, shrunk = (np.linalg.norm(weights(run)["0.0.kernel"]) for run in (free, bound))
        assert shrunk < 0.8 * norm

    def test_a_constraint_holds(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=5, optimizer=SGD(1.0), constraint=MaxNorm(0.5))
        norms = np.linalg.norm(weights(run)["0.0.kernel"], axis=0)
        assert norms.max() <= 0.5 + 1e-6
        assert norms.max() > 0.49

    def test_auxiliary_heads_are_trained(self, fit: Fit, blobs: Data) -> None:
        network = lm.Sequential(lm.Dense(8), lm.tanh, lm.Auxiliary(lm.Dense(3), weight=0.3), lm.Dense(3))
        run = fit(network, blobs, epochs=1)
        start, _ = network.init(jax.random.fold_in(jax.random.key(0), 1), (2,))
        assert not np.allclose(weights(run)["0.2.head.kernel"], start["2"]["head"]["kernel"], atol=1e-4)


class TestStopping:
    def test_patience_ends_a_run_that_does_not_improve(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=50, optimizer=SGD(1e-30), patience=3)
        assert run.status == "stopped early"
        assert (len(run.history), run.best_epoch) == (4, 1)

    def test_a_time_limit_ends_it(self, fit: Fit, blobs: Data) -> None:
        run = fit(SMALL, blobs, epochs=10**6, time_limit=0.5)
        assert 0 < len(run.history) < 10**6
        assert run.test

    def test_a_time_limit_in_the_middle_of_an_epoch_gives_a_whole_run(self, fit: Fit, digits: Data) -> None:
        run = fit(MLP, digits, epochs=3, time_limit=1e-9)
        assert run.status == "time is up"
        assert len(run.history) == 1
        assert run.history[0]["step"] < 45
        assert np.isfinite(run.history[0]["val_loss"])

    def test_callbacks_are_called_in_order_and_may_stop(self, fit: Fit, blobs: Data) -> None:
        def enough(training: Any) -> None:
            if training.epoch == 3:
                training.stop("enough")

        recorder = Recorder(epoch=enough)
        run = fit(SMALL, blobs, epochs=9, callbacks=[recorder])
        assert run.status == "enough"
        assert len(run.history) == 3
        assert recorder.events[0] == "start"
        assert recorder.events[-2:] == ["epoch", "end"]
        assert recorder.events.count("end") == 1
        assert "chunk" in recorder.events[: recorder.events.index("epoch")]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_ctrl_c_ends_it_with_the_best_weights_so_far(self, number: int, fit: Fit, blobs: Data) -> None:
        before = signal.getsignal(number)

        def interrupt(training: Any) -> None:
            if training.epoch == 3:
                os.kill(os.getpid(), number)

        run = fit(SMALL, blobs, epochs=9, callbacks=[Recorder(chunk=interrupt)])
        assert run.status == "interrupted"
        assert len(run.history) == 2
        assert run.best_epoch in (1, 2)
        assert len(run.model.predict(np.zeros((2, 2), np.float32))) == 2
        assert signal.getsignal(number) is before

    def test_it_runs_in_a_thread(self, fit: Fit, blobs: Data) -> None:
        runs: list[Run] = []
        thread = threading.Thread(target=lambda: runs.append(fit(SMALL, blobs, epochs=1)))
        thread.start()
        thread.join()
        assert same(runs[0], fit(SMALL, blobs, epochs=1))


class TestTasks:
    def test_two_classes_and_one_unit(self, fit: Fit, two_blobs: Data) -> None:
        run = fit(lm.Sequential(lm.Dense(8), lm.tanh, lm.Dense(1)), two_blobs, epochs=8, optimizer=Adam(0.03))
        assert run.config["loss"]["type"] == "BinaryCrossEntropy"
        assert run.test["accuracy"][0] > 0.9
        predicted = run.model.predict_split(two_blobs.validation).probabilities
        assert predicted is not None
        assert predicted.shape == (40, 2)
        np.testing.assert_allclose(predicted.sum(axis=1), 1)
        closed = lm.Sequential(lm.Dense(8), lm.tanh, lm.Dense(1), lm.sigmoid)
        assert same(run, fit(closed, two_blobs, epochs=8, optimizer=Adam(0.03)))

    def test_a_perceptron(self, fit: Fit, two_blobs: Data) -> None:
        run = fit(lm.Dense(1), two_blobs, epochs=20, loss=Hinge(margin=0), optimizer="sgd")
        assert run.validation["accuracy"][0] > 0.85

    def test_a_closing_softmax_changes_nothing(self, fit: Fit, blobs: Data) -> None:
        open_end = fit(SMALL, blobs, epochs=3)
        closed = fit(lm.Sequential(lm.Dense(8), lm.tanh, lm.Dense(3), lm.softmax), blobs, epochs=3)
        assert same(open_end, closed)
        assert closed.history[-1]["val_loss"] == open_end.history[-1]["val_loss"]
        answers = [run.model.predict_split(blobs.validation).probabilities for run in (open_end, closed)]
        np.testing.assert_array_equal(*answers)
        assert closed.test == open_end.test

    def test_regression_answers_in_the_targets_own_unit(self, fit: Fit) -> None:
        random = np.random.default_rng(0)
        x = random.normal(size=(400, 2)).astype(np.float32)
        y = 1000 + 50 * x[:, 0] - 20 * x[:, 1]
        run = fit(lm.Dense(1), (x, y), epochs=30, optimizer=Adam(0.05))
        assert run.validation["r2"][0] > 0.99
        predicted = run.model.predict(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
        assert predicted.labels is None
        np.testing.assert_allclose(np.ravel(predicted.values), [1050, 980], atol=5)

    def test_a_closing_sigmoid_stays_in_regression(self, fit: Fit) -> None:
        x = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
        run = fit(lm.Sequential(lm.Dense(1), lm.sigmoid), (x, 10 * x[:, 0] + 100), epochs=2)
        outputs = run.model.outputs(run.data.validation)
        assert outputs.min() >= 0
        assert outputs.max() <= 1

    def test_several_labels_at_once(self, fit: Fit) -> None:
        random = np.random.default_rng(0)
        x = random.normal(size=(400, 3)).astype(np.float32)
        y = (x > [0.0, 0.5, -0.5]).astype(np.int64)
        run = fit(lm.Dense(3), load((x, y), task="multilabel"), epochs=30, optimizer=Adam(0.1))
        assert run.config["loss"]["type"] == "BinaryCrossEntropy"
        predicted = run.model.predict(np.array([[9.0, -9.0, 9.0], [-9.0, -9.0, -9.0]], np.float32))
        assert predicted.labels is not None
        assert [len(labels) for labels in predicted.labels] == [2, 0]
        assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("network", "words"),
        [
            (lm.Sequential(lm.Flatten(), lm.Conv(3, 3), lm.Dense(10)), r"layer '1 \(Conv\)'"),
            (lm.Sequential(body=lm.Sequential(lm.MaxPool(9))), r"layer 'body\.0 \(MaxPool\)'"),
            (lm.Sequential(lm.Flatten(), lm.Dense(9)), r"shape \(9,\), but the data has 10 classes.*Dense\(10\)"),
            (lm.Sequential(lm.Conv(10, 3)), r"shape \(8, 8, 10\), but the data has 10 classes.*Flatten"),
        ],
    )
    def test_a_network_that_does_not_fit_names_the_layer(
        self, network: lm.Layer, words: str, fit: Fit, digits: Data, tmp_path: Path
    ) -> None:
        with pytest.raises(ShapeError, match=words):
            fit(network, digits, out=tmp_path / "run")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"epochs": 0}, "epochs=0"),
            ({"epochs": 2.5}, r"epochs=2\.5"),
            ({"batch_size": -1}, "batch_size=-1"),
            ({"batch_size": "all"}, "batch_size='all'"),
            ({"precision": "f16"}, "precision='f16'"),
            ({"optimizer": "adan"}, "Unknown optimiser 'adan'.*adam"),
            ({"loss": "hing"}, "hinge"),
            ({"learning_rates": (0.1, 0.0)}, r"Received: 0\.0"),
            ({"learning_rates": (float("nan"),)}, "Received: nan"),
            ({"patience": 0}, "patience=0"),
            ({"time_limit": -1.0}, r"time_limit=-1\.0"),
            ({"seed": 1.5}, r"seed=1\.5"),
            ({"resume": True}, "there is no out"),
        ],
    )
    def test_unusable_options_are_named(self, options: dict[str, Any], words: str, fit: Fit, blobs: Data) -> None:
        with pytest.raises(BadInputError, match=words):
            fit(SMALL, blobs, **options)

    def test_a_network_that_is_none(self, fit: Fit, blobs: Data) -> None:
        with pytest.raises(ConfigError, match="'autp'"):
            fit("autp", blobs)
        with pytest.raises(ConfigError, match="Expected a layer"):
            fit(3, blobs)

    def test_a_batch_that_does_not_fit_names_one_that_does(
        self, fit: Fit, digits: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1_000_000))
        with pytest.raises(ConfigError, match=r"A batch of 512 needs about .* GB .*A batch size of \d+ fits") as caught:
            fit(CONV, digits, batch_size=512, out=tmp_path / "run")
        assert 1 <= int(caught.value.hint.split()[-2]) < 512
        assert list(tmp_path.iterdir()) == []

    def test_a_bare_function_trains_and_is_refused_where_it_has_to_be_saved(
        self, fit: Fit, blobs: Data, tmp_path: Path
    ) -> None:
        network = lm.Sequential(lm.Dense(8), lambda x: jnp.abs(x), lm.Dense(3))
        recorder = Recorder()
        with pytest.raises(ConfigError, match="Write it as a Layer subclass"):
            fit(network, blobs, epochs=1, out=tmp_path / "run", callbacks=[recorder])
        assert recorder.events == []
        assert list(tmp_path.iterdir()) == []
        run = fit(network, blobs, epochs=1)
        with pytest.raises(ConfigError, match="Write it as a Layer subclass"):
            run.model.save(tmp_path / "m.lamina")
