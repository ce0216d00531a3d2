"""What every peer can do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from data_and_weights import Weights, epoch_order
from networks import Network, Residual, shape_after

__all__ = ["EVALUATION_BATCH", "Trainer", "modules", "on_our_kernels"]

EVALUATION_BATCH = 256
_TRIES = 3


class Trainer:
    """A network and its optimiser in one library: Adam, softmax cross-entropy from logits, weights in float32.

    Attributes:
        precision: in which the network computes, "f32" or "bf16" (bfloat16, by the library's own mixed precision).
    """

    precision: str = "f32"

    def remark(self) -> str:
        """What should be said of it beside the numbers, once the network is built."""
        return ""

    def variants(self, network: Network) -> list[dict[str, Any]]:
        """Options among which the fastest may be chosen, the usual ones first; names and values are shown."""
        return [{}]

    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        """Make the network with its first weights (`networks.first_weights`)."""
        raise NotImplementedError

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        """Take all examples over into the library's own arrays."""
        raise NotImplementedError

    def reset(self) -> None:
        """Back to the first weights and a fresh optimiser; what is compiled stays."""
        raise NotImplementedError

    def train(self, rows: np.ndarray) -> None:
        """One step on each of these batches, ``(steps, batch)`` indices of examples. Returns when they are done."""
        raise NotImplementedError

    def logits(self, x: np.ndarray, *, training: bool = False) -> np.ndarray:
        """The network's outputs (those of a softmax's input), float32 ``(n, classes)``.

        With ``training`` as in a training step: in its batches, with their statistics.
        """
        raise NotImplementedError

    def choose(
        self, network: Network, x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int, rate: float
    ) -> dict[str, Any]:
        """Build the variant that is fastest on these batches; it is warm then for as many others."""
        variants = self.variants(network)
        timed = []
        for variant in variants:
            self.build(network, seed, rate, **variant)
            self.feed(x, y)
            self.train(rows)
            if len(variants) == 1:
                return variant
            timed.append(min(self._seconds(rows) for _ in range(_TRIES)))
        best = variants[int(np.argmin(timed))]
        if best is not variants[-1]:
            self.build(network, seed, rate, **best)
            self.feed(x, y)
            self.train(rows)
        return best

    def _seconds(self, rows: np.ndarray) -> float:
        began = time.perf_counter()
        self.train(rows)
        return time.perf_counter() - began

    def race(
        self, network: Network, data: dict[str, np.ndarray], seed: int, rate: float, target: float, epochs: int
    ) -> dict[str, Any]:
        """Train epoch by epoch until the accuracy on the test part is at least ``target``.

        Returns:
            ``{"cold": …, "warm": …}``, each with "seconds" (None: not reached), "accuracies" an epoch, and
            "seconds_in_all". Cold begins with building the network and includes all compilation; warm begins again
            from the first weights with everything compiled.
        """
        began = time.perf_counter()
        self.build(network, seed, rate, **self.variants(network)[0])
        self.feed(data["x"], data["y"])
        cold = self._race(network, data, seed, target, epochs, began)
        self.reset()
        return {"cold": cold, "warm": self._race(network, data, seed, target, epochs, time.perf_counter())}

    def _race(
        self, network: Network, data: dict[str, np.ndarray], seed: int, target: float, epochs: int, began: float
    ) -> dict[str, Any]:
        accuracies: list[float] = []
        for epoch in range(1, epochs + 1):
            self.train(epoch_order(len(data["y"]), network.batch_size, seed, epoch))
            accuracies.append(float(np.mean(np.argmax(self.logits(data["x_test"]), axis=1) == data["y_test"])))
            if accuracies[-1] >= target:
                break
        seconds = time.perf_counter() - began
        reached = accuracies[-1] >= target
        return {"seconds": seconds if reached else None, "seconds_in_all": seconds, "accuracies": accuracies}


def modules(
    layers: tuple[Any, ...],
    shape: tuple[int, ...],
    prefix: str,
    weights: Weights,
    chain: Callable[..., Any],
    leaf: Callable[..., Any],
    residual: Callable[..., Any],
) -> list[Any]:
    """A library's modules for a chain of layers.

    Args:
        chain: of layers, the shape of their input, the prefix of their paths and all weights: for the parts of a block.
        leaf: of a layer, its input's channels and its own weights.
        residual: of a body and a shortcut, or None.
    """
    made = []
    for index, layer in enumerate(layers):
        path = f"{prefix}{index}"
        if isinstance(layer, Residual):
            parts = {name: chain(part, shape, f"{path}.{name}.", weights) for name, part in layer.parts().items()}
            made.append(residual(parts["body"], parts.get("shortcut")))
        else:
            made.append(leaf(layer, shape[-1], weights.get(path, {})))
        shape = shape_after((layer,), shape)
    return made


def on_our_kernels(library: str, program: str) -> str:
    """How many of a lowered program's convolutions run on Lamina's kernels, where any do."""
    ours, left = program.count("@lamina_conv"), program.count("stablehlo.convolution")
    if not ours:
        return ""
    return f"{library} with `install()`: {ours} of the step's {ours + left} convolutions run on Lamina's kernels."
