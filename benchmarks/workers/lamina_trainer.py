"""Lamina: the compiled program that `lamina.fit` runs, many steps a call."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from data_and_weights import Weights, first_weights
from networks import (
    EPSILON,
    MOMENTUM,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Embedding,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Network,
    Recurrent,
    Relu,
    Relu6,
    Residual,
)

import lamina as lm
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ArraySplit, ClassTarget, Data, DataCard, InputTarget, Preprocessing, Target
from lamina.data.characters import CharacterPreprocessing, SymbolTarget
from lamina.kernels import native
from lamina.layers.base import Spec
from lamina.train.callbacks import Callback
from lamina.train.loop import Plan, Training
from lamina.train.step import Program
from workers.base import EVALUATION_BATCH, Trainer

__all__ = ["LaminaTrainer", "entering", "made", "multiply_adds", "placed"]


class LaminaTrainer(Trainer):
    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        self.rate = rate
        self.batch_size = network.batch_size
        self.reads_symbols = network.reads_symbols
        preprocessing, target = _data(network)
        self.program = Program(
            network=made(network.layers),
            preprocessing=preprocessing,
            target=target,
            loss=lm.losses.SquaredError() if network.reconstructs else lm.losses.SoftmaxCrossEntropy(),
            optimizer=lm.optim.Adam(rate),
            dtype={"f32": "float32", "bf16": "bfloat16"}[self.precision],
        )
        self.params, self.state = self.program.network.init(jax.random.key(seed), entering(network))
        placed(first_weights(network, seed), self.params, self.state)
        self.key = jax.random.key(seed)
        self._chunk = jax.jit(self.program.chunk)
        self._outputs = jax.jit(self._apply, static_argnames="training")
        self.reset()

    def remark(self) -> str:
        return f"Lamina: {native.native().reason}"

    def _apply(self, params: Any, state: Any, x: jax.Array, training: bool) -> jax.Array:
        inputs = x if self.reads_symbols else self.program.inputs(x, None)
        outputs, _ = self.program.network.apply(params, state, inputs, train=training, key=self.key)
        return outputs.astype(jnp.float32)

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        if self.reads_symbols:  # pieces of a text, one symbol longer than what is read of them
            x = np.concatenate([x, y[:, -1:]], axis=1)
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

    def logits(self, x: np.ndarray, *, training: bool = False) -> np.ndarray:
        size = self.batch_size if training else EVALUATION_BATCH
        batches = [jnp.asarray(x[start : start + size]) for start in range(0, len(x), size)]
        outputs = [self._outputs(self.carry.params, self.carry.state, batch, training=training) for batch in batches]
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
        training.scorer.outputs(split.validation, self.params, self.state)  # compiles the evaluation
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


def _data(network: Network) -> tuple[Preprocessing, Target]:
    """What the examples are, and what is learned from them."""
    names = tuple(map(str, range(network.classes)))
    if network.reads_symbols:
        return CharacterPreprocessing(names, network.input_shape[0]), SymbolTarget(names)
    return ArrayPreprocessing(network.input_shape), InputTarget() if network.reconstructs else ClassTarget(names)


def entering(network: Network) -> Spec:
    """What the network is made for."""
    return _data(network)[0].input_spec()


def made(layers: tuple[Any, ...]) -> lm.Sequential:
    """The layers as Lamina's own."""
    return lm.Sequential(*map(_layer, layers))


def placed(weights: Weights, params: dict[str, Any], state: dict[str, Any]) -> None:
    """Put weights where `made`'s network keeps its own."""
    for path, own in weights.items():
        for name, value in own.items():
            place = state if name in ("mean", "var") else params
            for part in path.split("."):
                place = place[part]
            assert place[name].shape == value.shape
            place[name] = jnp.asarray(value)


def multiply_adds(network: Network) -> int:
    """Of one training step: forward once and backward twice, without the gradient of the batch itself."""
    found = lm.summary(made(network.layers), entering(network))
    path, first, shape = next(network.walk())
    by_batch = found.rows[0].multiply_adds  # of the products with the batch
    if isinstance(first, Recurrent):
        by_batch = shape[0] * int(first_weights(network, 0)[path]["kernel"].size)
    return network.batch_size * (3 * found.multiply_adds - by_batch)


def _layer(layer: Any) -> lm.Layer:
    match layer:
        case Dense(units):
            return lm.Dense(units)
        case Conv(filters, window, stride, bias):
            groups = filters if layer.depthwise else 1
            return lm.Conv(filters, window, stride, layer.padding, groups=groups, use_bias=bias)
        case BatchNorm():
            return lm.BatchNorm(MOMENTUM, EPSILON)
        case Relu():
            return lm.relu
        case Relu6():
            return lm.relu6
        case MaxPool(window, stride, padding, ceil):
            return lm.MaxPool(window, stride, padding, ceil_mode=ceil)
        case GlobalAvgPool():
            return lm.GlobalAvgPool()
        case Flatten():
            return lm.Flatten()
        case Embedding(symbols, features):
            return lm.Embedding(symbols, features)
        case Recurrent(cell, units, sequences):
            return {"lstm": lm.LSTM, "gru": lm.GRU}[cell](units, return_sequences=sequences)
        case Residual(body, shortcut):
            return lm.Residual(made(body), made(shortcut) if shortcut else None)
        case Concat(branches):
            return lm.Parallel(*map(made, branches))
    raise NotImplementedError(f"no {layer}")
