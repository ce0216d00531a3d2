"""Flax as its guide writes it: an nnx module and optimiser, and one jitted step a batch."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from data_and_weights import Weights, first_weights
from flax import nnx
from networks import EPSILON, MOMENTUM, BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, MaxPool, Network, Relu

from workers.base import EVALUATION_BATCH, Trainer, modules, on_our_kernels

__all__ = ["FlaxTrainer"]


class FlaxTrainer(Trainer):
    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        self.network = network
        model = _chain(network.layers, network.input_shape, "", first_weights(network, seed))
        self.first = nnx.split((model, nnx.Optimizer(model, optax.adam(rate), wrt=nnx.Param)))
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)

    def reset(self) -> None:
        graph, state = self.first
        self.model, self.optimizer = nnx.merge(graph, jax.tree.map(jnp.copy, state))

    def train(self, rows: np.ndarray) -> None:
        for row in jnp.asarray(rows):
            _step(self.model, self.optimizer, self.x, self.y, row)
        jax.block_until_ready(nnx.state(self.model))

    def remark(self) -> str:
        row = jnp.zeros(self.network.batch_size, jnp.int32)
        return on_our_kernels("Flax", _step.lower(self.model, self.optimizer, self.x, self.y, row).as_text())

    def logits(self, x: np.ndarray, *, training: bool = False) -> np.ndarray:
        size = self.network.batch_size if training else EVALUATION_BATCH
        graph, state = nnx.split(self.model)
        outputs = [_logits(graph, state, x[start : start + size], training) for start in range(0, len(x), size)]
        return np.concatenate([np.asarray(output) for output in outputs])


@nnx.jit
def _step(model: nnx.Module, optimizer: nnx.Optimizer, x: jax.Array, y: jax.Array, row: jax.Array) -> None:
    def loss(model: Any) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(x[row]), y[row]).mean()

    optimizer.update(model, nnx.grad(loss)(model))


@partial(jax.jit, static_argnums=(0, 3))
def _logits(graph: Any, state: Any, x: jax.Array, training: bool) -> jax.Array:
    model = nnx.merge(graph, state)  # a copy, whose running statistics nobody sees
    if not training:
        model.eval()
    return model(x)


class _Residual(nnx.Module):
    def __init__(self, body: nnx.Module, shortcut: nnx.Module | None) -> None:
        self.body, self.shortcut = body, shortcut

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


def _chain(layers: tuple[Any, ...], shape: tuple[int, ...], prefix: str, weights: Weights) -> nnx.Module:
    made = modules(layers, shape, prefix, weights, _chain, _layer, _Residual)
    return nnx.Sequential(*made)


def _layer(layer: Any, channels: int, own: dict[str, np.ndarray]) -> Any:
    rngs = nnx.Rngs(0)
    match layer:
        case Dense(units):
            module = nnx.Linear(channels, units, rngs=rngs)
        case Conv(filters, window, stride, bias):
            module = nnx.Conv(
                channels,
                filters,
                (window, window),
                stride,
                padding=layer.padding,
                feature_group_count=channels if layer.depthwise else 1,
                use_bias=bias,
                rngs=rngs,
            )
        case BatchNorm():
            module = nnx.BatchNorm(channels, momentum=MOMENTUM, epsilon=EPSILON, rngs=rngs)
        case Relu():
            return nnx.relu
        case MaxPool(window, stride, padding):
            pads = ((padding, padding),) * 2
            return partial(nnx.max_pool, window_shape=(window,) * 2, strides=(stride,) * 2, padding=pads)
        case GlobalAvgPool():
            return partial(jnp.mean, axis=(1, 2))
        case Flatten():
            return _flatten
        case _:
            raise NotImplementedError(f"no {layer}")
    for name, value in own.items():
        getattr(module, name)[...] = jnp.asarray(value)
    return module


def _flatten(x: jax.Array) -> jax.Array:
    return x.reshape(len(x), -1)
