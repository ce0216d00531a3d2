"""Keras 3 on the backend that KERAS_BACKEND names: a call a step, or its own loop with several steps an execution."""

from __future__ import annotations

from typing import Any

import keras
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

from workers.base import EVALUATION_BATCH, Trainer

__all__ = ["KerasTrainer", "built", "place"]


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
        keras.config.set_dtype_policy({"f32": "float32", "bf16": "mixed_bfloat16"}[self.precision])
        self.network = network
        self.model = built(network)
        self.model.compile(
            # Keras' own epsilon is 1e-7.
            optimizer=keras.optimizers.Adam(rate, epsilon=1e-8),
            loss=keras.losses.MeanSquaredError()
            if network.reconstructs
            else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=network.per_execution if self.fit else 1,
            jit_compile=variant.get("jit_compile", "auto"),
        )
        self.weights = first_weights(network, seed)
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh = [np.array(variable) for variable in self.model.optimizer.variables]
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, x if self.network.reconstructs else y

    def reset(self) -> None:
        place(self.model, self.network, self.weights)
        for variable, value in zip(self.model.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)

    def train(self, rows: np.ndarray) -> None:
        if self.fit:
            picked = rows.reshape(-1)
            self.model.fit(self.x[picked], self.y[picked], batch_size=rows.shape[1], shuffle=False, verbose=0)
            return
        for row in rows:
            self.model.train_on_batch(self.x[row], self.y[row])

    def logits(self, x: np.ndarray, *, training: bool = False) -> np.ndarray:
        if not training:
            return np.asarray(self.model.predict(x, batch_size=EVALUATION_BATCH, verbose=0), np.float32)
        size = self.network.batch_size
        pieces = [self.model(x[start : start + size], training=True) for start in range(0, len(x), size)]
        return np.concatenate([keras.ops.convert_to_numpy(piece).astype(np.float32) for piece in pieces])


def built(network: Network) -> Any:
    """A network as Keras' functional model."""
    inputs = keras.Input(network.input_shape, dtype="int32" if network.reads_symbols else None)
    return keras.Model(inputs, _chain(network.layers, "", inputs))


def place(model: Any, network: Network, weights: Weights) -> None:
    """Give a model its weights."""
    for path, arrays in _ordered(network, weights).items():
        model.get_layer(path).set_weights(arrays)


def _chain(layers: tuple[Any, ...], prefix: str, x: Any) -> Any:
    """The layers called one after the other; they are named by their paths."""
    for index, layer in enumerate(layers):
        path = f"{prefix}{index}"
        if isinstance(layer, Residual | Concat):
            outputs = [_chain(part, f"{path}.{name}.", x) for name, part in layer.parts().items()]
            if isinstance(layer, Concat):
                x = keras.layers.Concatenate()(outputs)
            else:
                x = keras.layers.Add()([outputs[0], outputs[1] if layer.shortcut else x])
        else:
            padding = getattr(layer, "padding", 0)
            if padding and layer.stride > 1:
                x = keras.layers.ZeroPadding2D(padding)(x)
            if isinstance(layer, MaxPool) and layer.ceil:  # after ReLU zeros are as good as nothing
                missing = [-(size - layer.window) % layer.stride for size in x.shape[1:-1]]
                x = keras.layers.ZeroPadding2D([(0, more) for more in missing])(x) if any(missing) else x
            x = _layer(layer, path)(x)
    return x


def _layer(layer: Any, name: str) -> Any:
    match layer:
        case Dense(units):
            return keras.layers.Dense(units, name=name)
        case Conv(filters, window, stride, bias):
            # "same" would pad a strided window on one side more.
            padding = "same" if layer.padding and stride == 1 else "valid"
            if layer.depthwise:
                return keras.layers.DepthwiseConv2D(window, stride, padding, use_bias=bias, name=name)
            return keras.layers.Conv2D(filters, window, stride, padding, use_bias=bias, name=name)
        case BatchNorm():
            return keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=name)
        case Relu():
            return keras.layers.ReLU(name=name)
        case Relu6():
            return keras.layers.ReLU(6, name=name)
        case MaxPool(window, stride):  # `_chain` has padded
            return keras.layers.MaxPooling2D(window, stride, name=name)
        case GlobalAvgPool():
            return keras.layers.GlobalAveragePooling2D(name=name)
        case Flatten():
            return keras.layers.Flatten(name=name)
        case Embedding(symbols, features):
            return keras.layers.Embedding(symbols, features, name=name)
        case Recurrent("lstm", units, sequences):
            return keras.layers.LSTM(units, return_sequences=sequences, name=name)
        case Recurrent("gru", units, sequences):
            return keras.layers.GRU(units, reset_after=True, return_sequences=sequences, name=name)
    raise NotImplementedError(f"no {layer}")


def _ordered(network: Network, weights: Weights) -> dict[str, list[np.ndarray]]:
    """Weights in Keras' order."""
    ordered = {}
    for path, layer, _ in network.walk():
        if path not in weights:
            continue
        own = weights[path]
        if isinstance(layer, Conv) and layer.depthwise:
            own = own | {"kernel": own["kernel"].swapaxes(2, 3)}
        if isinstance(layer, Recurrent) and layer.cell == "gru":
            own = {name: _update_first(value) for name, value in own.items()}
            own["bias"] = np.stack([own["bias"], own.pop("recurrent_bias")])
        if isinstance(layer, Recurrent):
            own = {name: own[name] for name in ("kernel", "recurrent_kernel", "bias")}
        ordered[path] = list(own.values())
    return ordered


def _update_first(gates: np.ndarray) -> np.ndarray:
    """From the order r, z, n to Keras' z, r, h."""
    reset, update, new = np.split(gates, 3, -1)
    return np.concatenate([update, reset, new], -1)
