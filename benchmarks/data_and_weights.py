"""What every peer is given: the networks' weights, the examples and their order; and the loss that it is judged by."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from networks import GATES, BatchNorm, Conv, Dense, Embedding, Network, Recurrent

__all__ = ["Weights", "cross_entropy", "epoch_order", "examples", "first_weights", "loss", "trained_weights"]

Weights: TypeAlias = dict[str, dict[str, np.ndarray]]  # path → name → array


def first_weights(network: Network, seed: int) -> Weights:
    """Float32: He's normal initialisation, zeros for biases; ones for scales and an LSTM's forget gates.

    Kernels are ``(inputs, units)`` and ``(height, width, channels or 1, filters)``; what is flattened is channels-last.
    Gates are in the order i, f, g, o (LSTM) and r, z, n (GRU).
    """
    rng = np.random.default_rng((seed, 1))
    weights: Weights = {}
    for path, layer, shape in network.walk():
        match layer:
            case Dense(units):
                weights[path] = {"kernel": _normal(rng, (shape[-1], units), 2), "bias": _zeros(units)}
            case Conv(filters, window):
                kernel = _normal(rng, (window, window, 1 if layer.depthwise else shape[-1], filters), 2)
                weights[path] = {"kernel": kernel} | ({"bias": _zeros(filters)} if layer.bias else {})
            case BatchNorm():
                zeros = _zeros(shape[-1])
                weights[path] = {"scale": zeros + 1, "bias": zeros, "mean": zeros, "var": zeros + 1}
            case Embedding(symbols, features):
                weights[path] = {"table": rng.standard_normal((symbols, features)).astype(np.float32)}
            case Recurrent(cell, units):
                wide = GATES[cell] * units
                kernels = {
                    "kernel": _normal(rng, (shape[-1], wide), 1),
                    "recurrent_kernel": _normal(rng, (units, wide), 1),
                }
                bias = _zeros(wide)
                if cell == "lstm":
                    bias[units : 2 * units] = 1
                biases = {"bias": bias} | ({"recurrent_bias": _zeros(wide)} if cell == "gru" else {})
                weights[path] = kernels | biases
    return weights


def trained_weights(network: Network, seed: int) -> Weights:
    """Like `first_weights`, but no bias is zero, and BatchNorm's scales and running statistics are as if learned."""
    rng = np.random.default_rng((seed, 3))
    weights = first_weights(network, seed)
    for own in weights.values():
        for name, value in own.items():
            if name in ("bias", "mean"):
                own[name] = (0.1 * rng.standard_normal(value.shape)).astype(np.float32)
            elif name in ("scale", "var"):
                own[name] = rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
    return weights


def _normal(rng: np.random.Generator, shape: tuple[int, ...], gain: int) -> np.ndarray:
    return (rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[:-1]))).astype(np.float32)


def _zeros(count: int) -> np.ndarray:
    return np.zeros(count, np.float32)


def examples(network: Network, batches: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Enough examples for so many different batches: normal inputs, float32, and int32 labels.

    The labels follow a random linear rule, except for every tenth, which is drawn at random: gradients stay alive.
    Symbols follow one another by a random rule, again except for every tenth.
    """
    rng = np.random.default_rng((seed, 2))
    count = batches * network.batch_size
    if network.reads_symbols:
        text = rng.integers(network.classes, size=(count, network.input_shape[0] + 1)).astype(np.int32)
        follows, noisy = rng.permutation(network.classes), rng.random(text.shape) < 0.1
        for step in range(1, text.shape[1]):
            text[:, step] = np.where(noisy[:, step], text[:, step], follows[text[:, step - 1]])
        return text[:, :-1], text[:, 1:]
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


def loss(network: Network, outputs: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """What the network is trained on: cross-entropy by the labels, or the mean squared error by its own inputs."""
    if network.reconstructs:
        return float(np.mean(np.square(np.subtract(outputs, x, dtype=np.float64))))
    return cross_entropy(outputs, y)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean softmax cross-entropy in nats, in float64; of sequences over all steps."""
    logits, labels = logits.astype(np.float64).reshape(-1, logits.shape[-1]), labels.reshape(-1)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_sums - shifted[np.arange(len(labels)), labels]))
