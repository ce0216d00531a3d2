"""Epochs: the compiled program run in chunks of about a second, so that Python stays off the hot path."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from lamina.data.base import Data
from lamina.errors import ConfigError, TrainingError
from lamina.layers.base import Params, State
from lamina.metrics import higher_is_better, main_metric
from lamina.train.callbacks import Callback
from lamina.train.feed import Block, Feed
from lamina.train.interruption import interruptible
from lamina.train.scoring import InterruptedPassError, Scorer
from lamina.train.step import Carry, Program

__all__ = ["Best", "Plan", "Training"]

_CHUNK_SECONDS = 0.6
_CALMER = "Try a learning rate ten times smaller, clip_norm=1.0, or --scale standard."


@dataclass(frozen=True)
class Plan:
    """How long and in what portions to train.

    Attributes:
        epochs: at most this many.
        batch_size: examples a step.
        seed: of shuffling, dropout and augmentation (weights are initialised by the caller).
        patience: stop after this many epochs without a better validation score; None: never.
        time_limit: seconds after which to stop; the schedule is stretched to end with it. None: none.
        rates: multiples of the optimiser's learning rate trained side by side; empty for one.
        keep: the weights of the "best" epoch by the validation score, or of the "last" one.
        validated: whether every epoch is; where not, the last one's weights are kept.
    """

    epochs: int
    batch_size: int
    seed: int = 0
    patience: int | None = None
    time_limit: float | None = None
    rates: tuple[float, ...] = ()
    keep: Literal["best", "last"] = "best"
    validated: bool = True


@dataclass
class Best:
    """The best weights so far by the validation score, ties by the validation loss."""

    key: tuple[float, float] = (-np.inf, -np.inf)
    epoch: int = 0
    rate: int = 0
    params: Params = field(default_factory=dict)
    state: State = field(default_factory=dict)


class Training:
    """One training run: live for callbacks while it runs, the outcome afterwards.

    Args:
        initial: makes the first weights and state; it is compiled. They are there after `compile`.
        given: arguments of ``initial``, such as weights to begin with.

    Attributes:
        history: one row an epoch, as in ``metrics.jsonl``.
        best: the best weights so far.
        epoch: number of the running epoch, from 1.
        status: "running", "finished", "stopped early", "time is up", "interrupted" or "diverged".
        metric: name of the score: "accuracy", "r2", …
    """

    def __init__(
        self,
        program: Program,
        data: Data,
        plan: Plan,
        initial: Callable[..., tuple[Params, State]],
        callbacks: Sequence[Callback] = (),
        given: tuple[Any, ...] = (),
    ) -> None:
        self.program, self.data, self.plan, self.callbacks = program, data, plan, tuple(callbacks)
        self.metric = main_metric(data.target.task)
        self._better = 1.0 if higher_is_better(self.metric) else -1.0
        self.feed = Feed(data.train, plan.batch_size, plan.seed)
        if self.feed.streams:
            self.program = program = replace(program, streams=self.feed.streams)
        self.key = jax.random.key(plan.seed)
        self._initial, self._given = initial, given
        self.best = Best()
        self.history: list[dict[str, Any]] = []
        self.epoch = 0
        self.steps_done = 0
        self.epochs_planned = plan.epochs
        self.seconds_before = 0.0  # of the runs that this one resumes
        self.status = "running"
        self.running_loss = self.running_score = float("nan")
        self.examples_per_second = 0.0
        self.compile_seconds = 0.0
        self._stop = ""
        self._chunk_steps = 1
        self.scorer = Scorer(program, data, lambda: self._stop == "interrupted" and self.status == "running")

    # What callbacks may ask and do.

    @property
    def steps_per_epoch(self) -> int:
        return self.feed.steps

    @property
    def seconds(self) -> float:
        """Spent since the start, compilation and earlier parts of a resumed run included."""
        return self.seconds_before + time.perf_counter() - self._began

    def spent(self, seconds: float) -> None:
        """Count time that went by before, on other work than epochs."""
        self.seconds_before += seconds
        self.compile_seconds += seconds

    def seconds_left(self) -> float | None:
        """Expected until the end, validation included; None before there is anything to go by."""
        epochs_done = self.epoch - 1 + self.steps_done / self.steps_per_epoch
        spent = self.seconds - self.compile_seconds
        if epochs_done <= 0 or spent <= 0:
            return None
        return spent / epochs_done * (self.epochs_planned - epochs_done)

    def stop(self, reason: str) -> None:
        """End the run after the current chunk, as ``reason``."""
        self._stop = self._stop or reason

    # The run.

    def compile(self) -> None:
        """Make the carry, compile the chunk and check that it fits into memory.

        Raises:
            ConfigError: where it does not, naming a batch size that does.
        """
        self._began = time.perf_counter()
        start = jax.jit(lambda *given: self.program.start(*self._initial(*given))).lower(*self._given)
        with ThreadPoolExecutor(1, "lamina-compile") as pool:  # XLA compiles this while Python traces the chunk
            starting = pool.submit(lambda: start.compile()(*self._given))
            self._chunk = self._compile_chunk(start.out_info)
            self.carry = starting.result()
        self.best.params, self.best.state = self.weights()
        self.compile_seconds = time.perf_counter() - self._began
        analysis = self._chunk.memory_analysis()
        needed = (analysis.temp_size_in_bytes + analysis.output_size_in_bytes) if analysis else 0
        _check_memory(needed, self.feed.batch_size)

    def _compile_chunk(self, carry: Any) -> Any:
        block_steps = self.feed.block_steps()
        inputs, targets = self.feed.shapes()
        integer = jax.ShapeDtypeStruct((), jnp.int32)
        rates = (block_steps, len(self.plan.rates)) if self.plan.rates else (block_steps,)
        lowered = jax.jit(self.program.chunk).lower(
            carry,
            inputs,
            targets,
            jax.ShapeDtypeStruct((block_steps, self.feed.batch_size), jnp.int32),
            jax.ShapeDtypeStruct(rates, jnp.float32),
            integer,
            integer,
            self.key,
        )
        return lowered.compile()

    def run(self) -> None:
        """Train until the end, an early stop, Ctrl-C or a number that is not finite.

        Raises:
            TrainingError: for the last; the weights before the bad step are kept in ``best`` and the carry.
        """
        with interruptible(lambda: self.stop("interrupted")):
            for callback in self.callbacks:
                callback.on_start(self)
            try:
                while self.epoch < self.epochs_planned and not self._stop:
                    self.epoch += 1
                    self._run_epoch()
            finally:
                for callback in self.callbacks:
                    callback.on_end(self)
        self.status = self._stop or "finished"

    def release(self) -> None:
        """Let go of what only more epochs would need: the examples, the optimiser's state, the compiled program."""
        del self.feed, self.carry, self._chunk

    def chosen_history(self) -> list[dict[str, Any]]:
        """The history with the numbers of the learning rate that won, where several were trained."""
        if not self.plan.rates:
            return self.history
        rows = []
        for row in self.history:
            won = row["rates"][self.best.rate]
            rows.append(row | won | {"learning_rate": row["schedule"] * won["learning_rate"]})
        return rows

    def _run_epoch(self) -> None:
        began = time.perf_counter()
        self.steps_done = 0
        self.carry = self.program.forget(self.carry)
        for block in self.feed.blocks(self.epoch):
            self._run_block(block)
            if self._stop:
                break
        trained = time.perf_counter() - began
        row: dict[str, Any] = {"epoch": self.epoch, "step": int(np.max(np.asarray(self.carry.step)))}
        sums = jax.tree.map(np.asarray, self.carry.sums)
        losses, scores = _mean(sums.loss, sums.steps), _mean(sums.score, sums.steps)
        self.carry = self.carry._replace(sums=jax.tree.map(np.zeros_like, sums))
        scheduled = float(
            self.program.optimizer.rate(max(row["step"] - 1, 0), self.steps_per_epoch * self.epochs_planned)
        )
        if not self.plan.validated:
            self.best = self._current(0, self.best.key)
            row |= {"learning_rate": scheduled, "loss": _number(losses[0]), self.metric: _number(scores[0])}
        else:
            try:
                validated = [self.scorer.validate(*self.weights(rate)) for rate in range(max(1, len(self.plan.rates)))]
            except InterruptedPassError:  # the person is waiting: the best weights so far are the result
                self.best = self.best if self.best.epoch else self._current(0, (-np.inf, -np.inf))
                return
            row |= self._judge(validated, losses, scores, scheduled)
        row["examples_per_second"] = round(self.steps_done * self.feed.batch_size / trained, 1)
        row["seconds"] = round(self.seconds, 3)
        self.history.append(row)
        self._replan()
        for callback in self.callbacks:
            callback.on_epoch(self, row)
        if self.plan.patience is not None and self.epoch - self.best.epoch >= self.plan.patience:
            self.stop("stopped early")

    def _judge(
        self, validated: list[tuple[float, float | None]], losses: np.ndarray, scores: np.ndarray, scheduled: float
    ) -> dict[str, Any]:
        """Keep the weights if they are the best so far, and tell the epoch's numbers.

        Args:
            validated: loss and score of the validation split for each learning rate.
            losses, scores: of the training batches, for each.
            scheduled: the learning rate of the schedule.
        """
        if not any(np.isfinite(loss) for loss, _ in validated):
            self.status = "diverged"
            raise TrainingError(
                f"The training diverged in epoch {self.epoch}: its weights give a validation loss that is not finite.",
                _CALMER,
            )
        before = self.best.key
        if self.plan.keep == "last":  # of several learning rates still the best
            self.best = Best()
        for rate, (loss, score) in enumerate(validated):
            bad = self.plan.rates and int(self.carry.bad[rate]) >= 0
            key = (-np.inf, -np.inf) if bad or score is None or not np.isfinite(loss) else (self._better * score, -loss)
            if key > self.best.key or not self.best.epoch:
                self.best = self._current(rate, key)
        numbers = [
            {
                "learning_rate": rate,
                "loss": _number(loss),
                self.metric: _number(score),
                "val_loss": _number(val_loss),
                f"val_{self.metric}": val_score,
            }
            for rate, loss, score, (val_loss, val_score) in zip(
                self.plan.rates or (1.0,), losses, scores, validated, strict=True
            )
        ]
        row = numbers[self.best.rate] | {
            "learning_rate": scheduled * (self.plan.rates or (1.0,))[self.best.rate],
            "best": self.best.key > before or self.plan.keep == "last",
        }
        return row | ({"rates": numbers, "schedule": scheduled} if self.plan.rates else {})

    def _run_block(self, block: Block) -> None:
        total = self.steps_per_epoch * self.epochs_planned
        start = (self.epoch - 1) * self.steps_per_epoch + block.first
        rates = self.program.optimizer.rate(np.arange(start, start + len(block.indices)), total).astype(np.float32)
        if self.plan.rates:
            rates = rates[:, None] * np.asarray(self.plan.rates, np.float32)
        device_rates = jnp.asarray(rates)

        def run(carry: Carry, first: int, count: int) -> Carry:
            chunk: Carry = self._chunk(
                carry,
                block.inputs,
                block.targets,
                block.indices,
                device_rates,
                jnp.int32(first),
                jnp.int32(count),
                self.key,
            )
            return chunk

        done = 0
        while done < block.steps and not self._stop:
            count = min(self._chunk_steps, block.steps - done)
            began = time.perf_counter()
            before = self.carry
            self.carry = jax.block_until_ready(run(before, done, count))
            spent = time.perf_counter() - began
            done += count
            self.steps_done = block.first + done
            self.examples_per_second = count * self.feed.batch_size / spent
            # Grows by doubling: the first chunks of a small network are too short to be measured.
            fitting = int(_CHUNK_SECONDS / spent * count)
            self._chunk_steps = max(1, min(fitting, 2 * self._chunk_steps) if fitting > count else fitting)
            if np.all(np.asarray(self.carry.bad) >= 0):
                self._diverged(block, functools.partial(run, before, done - count))
            sums = jax.tree.map(np.asarray, self.carry.sums)
            self.running_loss = float(np.nanmin(_mean(sums.loss, sums.steps)))
            self.running_score = float(self._better * np.nanmax(self._better * _mean(sums.score, sums.steps)))
            if self.plan.time_limit is not None and self.seconds > self.plan.time_limit:
                self.stop("time is up")
            for callback in self.callbacks:
                callback.on_chunk(self)

    def _diverged(self, block: Block, replay: Callable[[int], Carry]) -> None:
        """Stop with the layer named; the carry goes back to the weights before the bad step.

        Args:
            block: what was being trained on.
            replay: the carry after so many steps of the chunk that went bad.
        """
        self.status = "diverged"
        rate = int(np.argmax(np.asarray(self.carry.bad)))
        steps = int(np.max(np.asarray(self.carry.bad))) - int(np.max(np.asarray(replay(0).step)))
        self.carry = replay(steps)
        if steps and not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(self.weights(rate)[0])):
            steps -= 1  # the loss before this one was still finite, but its gradient was not
            self.carry = replay(steps)
        carry = jax.tree.map(lambda leaf: leaf[rate], self.carry) if self.plan.rates else self.carry
        step = int(carry.step) - (self.epoch - 1) * self.steps_per_epoch
        rows = np.asarray(block.indices[step - block.first])
        x = jax.tree.map(lambda a: a[rows], block.inputs)
        where = self.program.culprit(carry, x, np.asarray(block.targets[rows]), self.key)
        raise TrainingError(
            f"The training diverged in epoch {self.epoch}, step {step + 1} of {self.steps_per_epoch}: {where}.",
            _CALMER,
        )

    def _current(self, rate: int, key: tuple[float, float]) -> Best:
        return Best(key, self.epoch, rate, *self.weights(rate))

    def weights(self, rate: int = 0) -> tuple[Params, State]:
        """The current parameters and state (of one of several learning rates)."""
        pair = (self.carry.params, self.carry.state)
        return jax.tree.map(lambda leaf: leaf[rate], pair) if self.plan.rates else pair

    def _replan(self) -> None:
        """Under a time limit, fit the number of epochs to the time that is left."""
        limit = self.plan.time_limit
        if limit is None:
            return
        spent = self.seconds - self.compile_seconds
        left = limit - self.seconds
        more = int(left / (spent / self.epoch))
        self.epochs_planned = max(self.epoch, min(self.plan.epochs, self.epoch + more))


def _mean(totals: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Means for each learning rate; NaN for one that has done no step because it diverged before."""
    totals, steps = np.atleast_1d(totals), np.atleast_1d(steps)
    return np.where(steps > 0, totals / np.maximum(steps, 1), np.nan)


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _check_memory(needed: int, batch_size: int) -> None:
    import psutil

    free = psutil.virtual_memory().available
    if needed <= free:
        return
    fitting = 1 << max(int(batch_size * 0.7 * free / needed).bit_length() - 1, 0)
    raise ConfigError(
        f"A batch of {batch_size} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free.",
        f"A batch size of {fitting} fits." if fitting < batch_size else "Use a smaller network or input size.",
    )
