"""Equinox as its examples write it: a module of one picture, channels first, vmapped; one jitted step a batch."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from data_and_weights import Weights, first_weights
from networks import EPSILON, MOMENTUM, BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, MaxPool, Network, Relu

from workers.base import EVALUATION_BATCH, Trainer, modules, on_our_kernels

__all__ = ["EquinoxTrainer"]

_AXIS = "batch"


class EquinoxTrainer(Trainer):
    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        self.network = network
        self.optimizer = optax.adam(rate)
        made = eqx.nn.make_with_state(_chain)
        self.first = made(network.layers, network.input_shape, "", first_weights(network, seed))
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = jnp.asarray(x.transpose(0, 3, 1, 2)), jnp.asarray(y)

    def reset(self) -> None:
        model, state = self.first
        self.carry = model, state, self.optimizer.init(eqx.filter(model, eqx.is_inexact_array))

    def train(self, rows: np.ndarray) -> None:
        for row in jnp.asarray(rows):
            self.carry = _step(self.optimizer, *self.carry, self.x, self.y, row)
        jax.block_until_ready(eqx.filter(self.carry, eqx.is_array))

    def remark(self) -> str:
        row = jnp.zeros(self.network.batch_size, jnp.int32)
        return on_our_kernels("Equinox", _step.lower(self.optimizer, *self.carry, self.x, self.y, row).as_text())

    def logits(self, x: np.ndarray, *, training: bool = False) -> np.ndarray:
        size = self.network.batch_size if training else EVALUATION_BATCH
        model, state, _ = self.carry
        model = model if training else eqx.nn.inference_mode(model)
        x = x.transpose(0, 3, 1, 2)
        outputs = [_logits(model, state, x[start : start + size])[0] for start in range(0, len(x), size)]
        return np.concatenate([np.asarray(output) for output in outputs])


def _applied(model: Any, state: Any, x: jax.Array) -> Any:
    """The logits of a batch, and the new running statistics."""
    return jax.vmap(partial(model, key=None), axis_name=_AXIS, in_axes=(0, None), out_axes=(0, None))(x, state)


_logits = eqx.filter_jit(_applied)


@eqx.filter_jit
def _step(
    optimizer: Any, model: Any, state: Any, memory: Any, x: jax.Array, y: jax.Array, row: jax.Array
) -> tuple[Any, Any, Any]:
    def loss(model: Any) -> tuple[jax.Array, Any]:
        logits, new = _applied(model, state, x[row])
        return optax.softmax_cross_entropy_with_integer_labels(logits, y[row]).mean(), new

    grads, new = eqx.filter_grad(loss, has_aux=True)(model)
    updates, memory = optimizer.update(grads, memory)
    return eqx.apply_updates(model, updates), new, memory


class _Residual(eqx.nn.StatefulLayer):
    body: eqx.nn.Sequential
    shortcut: eqx.nn.Sequential | None

    def __call__(self, x: jax.Array, state: Any, *, key: Any = None) -> Any:
        y, state = self.body(x, state)
        if self.shortcut is not None:
            x, state = self.shortcut(x, state)
        return y + x, state


def _chain(layers: tuple[Any, ...], shape: tuple[int, ...], prefix: str, weights: Weights) -> eqx.nn.Sequential:
    made = modules(layers, shape, prefix, weights, _chain, _layer, _Residual)
    return eqx.nn.Sequential(made)


def _layer(layer: Any, channels: int, own: dict[str, np.ndarray]) -> Any:
    key = jax.random.key(0)
    module: Any
    match layer:
        case Dense(units):
            module = eqx.nn.Linear(channels, units, key=key)
            return _with(module, weight=own["kernel"].T, bias=own["bias"])
        case Conv(filters, window, stride, bias):
            groups = channels if layer.depthwise else 1
            module = eqx.nn.Conv2d(
                channels, filters, window, stride, layer.padding, groups=groups, use_bias=bias, key=key
            )
            more = {"bias": own["bias"][:, None, None]} if bias else {}
            return _with(module, weight=own["kernel"].transpose(3, 2, 0, 1), **more)
        case BatchNorm():
            module = eqx.nn.BatchNorm(channels, _AXIS, EPSILON, momentum=MOMENTUM, mode="batch")
            return _with(module, weight=own["scale"], bias=own["bias"])
        case Relu():
            return eqx.nn.Lambda(jax.nn.relu)
        case MaxPool(window, stride, padding):
            return eqx.nn.MaxPool2d(window, stride, padding)
        case GlobalAvgPool():
            return eqx.nn.Lambda(partial(jnp.mean, axis=(1, 2)))
        case Flatten():
            return eqx.nn.Lambda(lambda x: jnp.moveaxis(x, 0, -1).ravel())  # the weights are of channels-last
    raise NotImplementedError(f"no {layer}")


def _with(module: Any, **arrays: np.ndarray) -> Any:
    return eqx.tree_at(
        lambda m: [getattr(m, name) for name in arrays], module, [jnp.asarray(value) for value in arrays.values()]
    )
