"""PyTorch: an eager loop, or the forward pass, loss and backward pass through torch.compile."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from networks import Network, first_weights
from torch import nn

from workers.base import EVALUATION_BATCH, Trainer

__all__ = ["TorchTrainer"]


class TorchTrainer(Trainer):
    """Channels-first in PyTorch's own order of axes; which of them lie together in memory is a variant."""

    def __init__(self, threads: int, *, fused: bool, compiled: bool) -> None:
        self.fused, self.compiled = fused, compiled
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)  # as XLA does: else dead units' moments slow Adam down

    def variants(self, network: Network) -> list[dict[str, Any]]:
        if not network.convolutional:
            return [{}]
        return [{"layout": "channels_last"}, {"layout": "contiguous"}]

    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        torch._dynamo.reset()
        self.channels_last = variant.get("layout") == "channels_last"
        self.pictures = len(network.input_shape) == 3
        self.weights = _weights(network, seed)
        self.model = nn.Sequential(*_modules(network))
        if self.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, fused=self.fused or None)
        loss = nn.CrossEntropyLoss()

        def objective(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return loss(self.model(x), y)

        self.objective = torch.compile(objective) if self.compiled else objective
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = self._arranged(x), torch.from_numpy(y).long()

    def reset(self) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), self.weights, strict=True):
                parameter.copy_(torch.from_numpy(value))
        self.optimizer.state.clear()

    def train(self, rows: np.ndarray) -> None:
        for row in torch.from_numpy(rows):
            x, y = self._batch(self.x, row), self.y[row]
            self.optimizer.zero_grad(set_to_none=True)
            self.objective(x, y).backward()
            self.optimizer.step()

    def logits(self, x: np.ndarray) -> np.ndarray:
        arranged = self._arranged(x)
        with torch.inference_mode():
            pieces = torch.arange(len(x)).split(EVALUATION_BATCH)
            return torch.cat([self.model(self._batch(arranged, piece)) for piece in pieces]).numpy()

    def _arranged(self, x: np.ndarray) -> torch.Tensor:
        if self.pictures and not self.channels_last:
            x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        return torch.from_numpy(x)

    def _batch(self, x: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        picked = x[row]
        return picked.permute(0, 3, 1, 2) if self.pictures and self.channels_last else picked


def _modules(network: Network) -> list[nn.Module]:
    modules: list[nn.Module] = []
    weights = first_weights(network, 0)
    for index, (kind, size, *window) in enumerate(network.layers):
        if kind == "dense":
            modules.append(nn.Linear(weights[index][0].shape[0], size))
        elif kind == "conv":
            modules.append(nn.Conv2d(weights[index][0].shape[2], size, window[0], padding="same"))
        else:
            modules.append({"relu": nn.ReLU(), "flatten": nn.Flatten(), "pool": nn.MaxPool2d(size or 1)}[kind])
    return modules


def _weights(network: Network, seed: int) -> list[np.ndarray]:
    """The first weights in PyTorch's order of axes; the Dense layer after Flatten sees channels first."""
    shape = network.input_shape
    flattened: tuple[int, ...] = ()
    weights = first_weights(network, seed)
    ordered = []
    for index, (kind, size, *_) in enumerate(network.layers):
        if kind == "conv":
            kernel, bias = weights[index]
            ordered += [kernel.transpose(3, 2, 0, 1), bias]
            shape = (*shape[:-1], size)
        elif kind == "pool":
            shape = (shape[0] // size, shape[1] // size, shape[2])
        elif kind == "flatten":
            flattened = shape
        elif kind == "dense":
            kernel, bias = weights[index]
            if flattened:
                kernel = kernel.reshape(*flattened, size).transpose(2, 0, 1, 3).reshape(-1, size)
                flattened = ()
            ordered += [kernel.T, bias]
    return [np.ascontiguousarray(array) for array in ordered]
