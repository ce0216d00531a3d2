"""What all peers train: the networks, their first weights, their examples and the order of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

__all__ = ["NETWORKS", "Network", "cross_entropy", "epoch_order", "examples", "first_weights"]

Layers: TypeAlias = tuple[tuple[str, int] | tuple[str, int, int], ...]


@dataclass(frozen=True)
class Network:
    """A network in words that every peer can build.

    Attributes:
        layers: ("dense", units), ("conv", filters, window) with SAME padding, ("pool", window) by the maximum, each
            dense and conv with a bias; ("relu", 0); ("flatten", 0). The last is dense and gives logits.
        steps: optimiser steps that are timed as one.
        per_execution: Keras' steps_per_execution.
    """

    title: str
    input_shape: tuple[int, ...]
    layers: Layers
    batch_size: int
    steps: int
    per_execution: int

    @property
    def classes(self) -> int:
        return self.layers[-1][1]

    @property
    def convolutional(self) -> bool:
        return any(layer[0] == "conv" for layer in self.layers)


def _dense(*units: int) -> Layers:
    hidden: Layers = ()
    for width in units[:-1]:
        hidden += (("dense", width), ("relu", 0))
    return (*hidden, ("dense", units[-1]))


def _lenet(window: int) -> Layers:
    return (
        *(("conv", 32, window), ("relu", 0), ("pool", 2)),
        *(("conv", 64, window), ("relu", 0), ("pool", 2)),
        *(("flatten", 0), *_dense(128, 10)),
    )


NETWORKS = {
    "mlp-small": Network("MLP 2-8-8-2, batch 32", (2,), _dense(8, 8, 2), 32, 1000, 50),
    "mlp": Network("MLP 784-512-512-10, batch 64", (784,), _dense(512, 512, 10), 64, 200, 20),
    "lenet": Network(
        "LeNet-like 28×28, batch 64: conv 5×5 32, pool 2, conv 5×5 64, pool 2, dense 128, dense 10",
        *((28, 28, 1), _lenet(5), 64, 20, 10),
    ),
    "lenet-small": Network(
        "LeNet-like 8×8, batch 32: conv 3×3 32, pool 2, conv 3×3 64, pool 2, dense 128, dense 10",
        *((8, 8, 1), _lenet(3), 32, 100, 10),
    ),
}


def first_weights(network: Network, seed: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Layer index → kernel and bias, float32: He's normal initialisation and zeros.

    Kernels are ``(inputs, units)`` and ``(height, width, channels, filters)``; what is flattened is channels-last.
    """
    rng = np.random.default_rng((seed, 1))
    shape = network.input_shape
    weights = {}
    for index, layer in enumerate(network.layers):
        kind, size = layer[:2]
        if kind == "dense":
            weights[index] = _he(rng, (*shape, size))
            shape = (size,)
        elif kind == "conv":
            window = layer[2]
            weights[index] = _he(rng, (window, window, shape[-1], size))
            shape = (*shape[:-1], size)
        elif kind == "pool":
            shape = (shape[0] // size, shape[1] // size, shape[2])
        elif kind == "flatten":
            shape = (int(np.prod(shape)),)
    return weights


def _he(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    scale = np.sqrt(2 / np.prod(shape[:-1]))
    return (rng.standard_normal(shape) * scale).astype(np.float32), np.zeros(shape[-1], np.float32)


def examples(network: Network, batches: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Enough examples for so many different batches: normal inputs, float32, and int32 labels.

    The labels follow a random linear rule, except for every tenth, which is drawn at random: gradients stay alive.
    """
    rng = np.random.default_rng((seed, 2))
    count = batches * network.batch_size
    x = rng.standard_normal((count, *network.input_shape)).astype(np.float32)
    flat = x.reshape(count, -1)
    y = np.argmax(flat @ rng.standard_normal((flat.shape[1], network.classes)).astype(np.float32), axis=1)
    noisy = rng.random(count) < 0.1
    y[noisy] = rng.integers(network.classes, size=int(noisy.sum()))
    return x, y.astype(np.int32)


def epoch_order(count: int, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Which examples make which batch, ``(steps, batch)`` int32, just as Lamina shuffles them."""
    order = np.random.Generator(np.random.Philox(key=(seed, epoch))).permutation(count)
    steps = -(-count // batch_size)
    missing = steps * batch_size - count
    return np.concatenate([order, order[:missing]]).astype(np.int32).reshape(steps, batch_size)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean softmax cross-entropy in nats, in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_sums - shifted[np.arange(len(labels)), labels]))
