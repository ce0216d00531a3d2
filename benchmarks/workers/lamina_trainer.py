"""Lamina: the compiled program that `lamina.fit` runs, many steps a call."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from networks import Network, first_weights

import lamina as lm
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ArraySplit, ClassTarget, Data, DataCard
from lamina.train.callbacks import Callback
from lamina.train.loop import Plan, Training
from lamina.train.step import Program
from workers.base import EVALUATION_BATCH, Trainer

__all__ = ["LaminaTrainer"]


class LaminaTrainer(Trainer):
    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        self.rate = rate
        layers = {f"layer{index}": _layer(*layer) for index, layer in enumerate(network.layers)}
        self.program = Program(
            network=lm.Sequential(**layers),
            preprocessing=ArrayPreprocessing(network.input_shape),
            target=ClassTarget(tuple(map(str, range(network.classes)))),
            loss=lm.losses.SoftmaxCrossEntropy(),
            optimizer=lm.optim.Adam(rate),
        )
        self.params, self.state = self.program.network.init(jax.random.key(seed), network.input_shape)
        for index, (kernel, bias) in first_weights(network, seed).items():
            self.params[f"layer{index}"] = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
        self.key = jax.random.key(seed)
        self._chunk = jax.jit(self.program.chunk)
        self._predict = jax.jit(self.program.predict)
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)

    def reset(self) -> None:
        self.carry = self.program.start(self.params, self.state)

    def train(self, rows: np.ndarray) -> None:
        rates = jnp.full(len(rows), self.rate, jnp.float32)
        self.carry = jax.block_until_ready(
            self._chunk(
                self.carry, self.x, self.y, jnp.asarray(rows), rates, jnp.int32(0), jnp.int32(len(rows)), self.key
            )
        )

    def logits(self, x: np.ndarray) -> np.ndarray:
        batches = [x[start : start + EVALUATION_BATCH] for start in range(0, len(x), EVALUATION_BATCH)]
        outputs = [self._predict(self.carry.params, self.carry.state, jnp.asarray(batch)) for batch in batches]
        return np.concatenate([np.asarray(output) for output in outputs])

    def race(
        self, network: Network, data: dict[str, np.ndarray], seed: int, rate: float, target: float, epochs: int
    ) -> dict[str, Any]:
        """With `lamina.fit`'s own loop in place of `train`: it shuffles, evaluates and keeps the best weights."""
        began = time.perf_counter()
        self.build(network, seed, rate)
        target_names = self.program.target
        split = Data(
            train=ArraySplit(data["x"], data["y"]),
            validation=ArraySplit(data["x_test"], data["y_test"]),
            test=None,
            preprocessing=self.program.preprocessing,
            target=target_names,
            card=DataCard("the benchmark's arrays", "array"),
        )
        plan = Plan(epochs=epochs, batch_size=network.batch_size, seed=seed)

        def prepare() -> tuple[Training, _Finish]:
            finish = _Finish(target)
            training = Training(self.program, split, plan, lambda: (self.params, self.state), [finish])
            training.compile()
            return training, finish

        training, finish = prepare()
        training.run()
        cold = finish.result(began)
        training, finish = prepare()
        training.outputs(split.validation, self.params, self.state)  # compiles the evaluation
        began = time.perf_counter()
        training.run()
        return {"cold": cold, "warm": finish.result(began)}


class _Finish(Callback):
    """Stops the run at the accuracy that is aimed at."""

    def __init__(self, target: float) -> None:
        self.target = target
        self.accuracies: list[float] = []

    def on_epoch(self, training: Training, row: dict[str, Any]) -> None:
        self.accuracies.append(row["val_accuracy"])
        self.ended = time.perf_counter()
        if self.accuracies[-1] >= self.target:
            training.stop("reached")

    def result(self, began: float) -> dict[str, Any]:
        seconds = self.ended - began
        reached = self.accuracies[-1] >= self.target
        return {"seconds": seconds if reached else None, "seconds_in_all": seconds, "accuracies": self.accuracies}


def _layer(kind: str, size: int, window: int = 0) -> Any:
    if kind == "dense":
        return lm.Dense(size)
    if kind == "conv":
        return lm.Conv(size, window)
    return {"relu": lm.relu, "flatten": lm.Flatten(), "pool": lm.MaxPool(size or 1)}[kind]
