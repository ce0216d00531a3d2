"""Keras 3 on the backend that KERAS_BACKEND names: a call a step, or its own loop with several steps an execution."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from networks import Network, first_weights

from workers.base import EVALUATION_BATCH, Trainer

__all__ = ["KerasTrainer"]


class KerasTrainer(Trainer):
    def __init__(self, threads: int, *, fit: bool) -> None:
        self.fit = fit
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)

    def variants(self, network: Network) -> list[dict[str, Any]]:
        if keras.backend.backend() == "jax":
            return [{}]
        return [{"jit_compile": "auto"}, {"jit_compile": False}]

    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        keras.backend.clear_session()
        self.network = network
        self.model = keras.Sequential([keras.Input(network.input_shape), *(_layer(*spec) for spec in network.layers)])
        self.model.compile(
            # Keras' own epsilon is 1e-7.
            optimizer=keras.optimizers.Adam(rate, epsilon=1e-8),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=network.per_execution if self.fit else 1,
            jit_compile=variant.get("jit_compile", "auto"),
        )
        self.weights = [array for pair in first_weights(network, seed).values() for array in pair]
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh = [np.array(variable) for variable in self.model.optimizer.variables]
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def reset(self) -> None:
        self.model.set_weights(self.weights)
        for variable, value in zip(self.model.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)

    def train(self, rows: np.ndarray) -> None:
        if self.fit:
            picked = rows.reshape(-1)
            self.model.fit(self.x[picked], self.y[picked], batch_size=rows.shape[1], shuffle=False, verbose=0)
            return
        for row in rows:
            self.model.train_on_batch(self.x[row], self.y[row])

    def logits(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(x, batch_size=EVALUATION_BATCH, verbose=0))


def _layer(kind: str, size: int, window: int = 0) -> Any:
    if kind == "dense":
        return keras.layers.Dense(size)
    if kind == "conv":
        return keras.layers.Conv2D(size, window, padding="same")
    if kind == "pool":
        return keras.layers.MaxPooling2D(size)
    return {"relu": keras.layers.ReLU, "flatten": keras.layers.Flatten}[kind]()
