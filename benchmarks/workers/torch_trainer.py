"""PyTorch: an eager loop, or the forward pass, loss and backward pass through torch.compile."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
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
    shape_after,
)
from torch import nn

from workers.base import EVALUATION_BATCH, Trainer

__all__ = ["TorchTrainer", "load", "made", "matmul_peak"]

_TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


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
        self.network = network
        self.weights = first_weights(network, seed)
        self.model = made(network.layers, network.input_shape)
        if self.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, fused=self.fused or None)
        loss = nn.MSELoss() if network.reconstructs else nn.CrossEntropyLoss()

        def objective(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            outputs = self._outputs(x)
            return loss(outputs.flatten(0, 1), y.flatten()) if network.reads_symbols else loss(outputs, y)

        self.objective = torch.compile(objective) if self.compiled else objective
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = self._arranged(x), torch.from_numpy(y).long()

    def reset(self) -> None:
        load(self.model, self.network, self.weights)
        self.optimizer.state.clear()

    def train(self, rows: np.ndarray) -> None:
        for row in torch.from_numpy(rows):
            x = self._batch(self.x, row)
            y = x if self.network.reconstructs else self.y[row]
            self.optimizer.zero_grad(set_to_none=True)
            self.objective(x, y).backward()
            self.optimizer.step()

    def logits(self, x: np.ndarray, *, training: bool = False) -> np.ndarray:
        arranged = self._arranged(x)
        self.model.train(training)
        with torch.inference_mode():
            pieces = torch.arange(len(x)).split(self.network.batch_size if training else EVALUATION_BATCH)
            outputs = torch.cat([self._outputs(self._batch(arranged, piece)) for piece in pieces])
        self.model.train()
        return outputs.numpy()

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            outputs: torch.Tensor = self.model(x)
        return outputs.float()

    def _arranged(self, x: np.ndarray) -> torch.Tensor:
        if self.pictures and not self.channels_last:
            x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        return torch.from_numpy(x)

    def _batch(self, x: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        picked = x[row]
        return picked.permute(0, 3, 1, 2) if self.pictures and self.channels_last else picked


def matmul_peak(precision: str, sizes: tuple[int, ...] = (1024, 2048, 3072), tries: int = 4) -> float:
    """The most operations a second, in 10⁹, that a product of large matrices reaches."""
    best = 0.0
    for size in sizes:
        a, b = (torch.randn(size, size).to(_TYPES[precision]) for _ in range(2))
        for _ in range(tries):
            began = time.perf_counter()
            a @ b
            best = max(best, 2 * size**3 / (time.perf_counter() - began) / 1e9)
    return best


class _Residual(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


class _Concat(nn.ModuleList):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self], 1)


class _States(nn.RNNBase):
    """The states after all steps, or the last one, of the recurrent layer that it is mixed into."""

    def __init__(self, inputs: int, units: int, sequences: bool) -> None:
        super().__init__(inputs, units, batch_first=True)
        self.sequences = sequences

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = super().forward(x)[0]
        return states if self.sequences else states[:, -1]


class _LSTM(_States, nn.LSTM):
    def __init__(self, inputs: int, units: int, sequences: bool) -> None:
        super().__init__(inputs, units, sequences)
        # The others have one bias. Two would both be trained: together they would move twice as far.
        self.bias_hh_l0.requires_grad_(False)


class _GRU(_States, nn.GRU):
    pass


def made(layers: tuple[Any, ...], shape: tuple[int, ...]) -> nn.Sequential:
    """The layers as PyTorch's own, for inputs of this shape (channels-last)."""
    modules = []
    for layer in layers:
        modules.append(_module(layer, shape))
        shape = shape_after((layer,), shape)
    return nn.Sequential(*modules)


def _module(layer: Any, shape: tuple[int, ...]) -> nn.Module:
    inputs = shape[-1]
    match layer:
        case Dense(units):
            return nn.Linear(inputs, units)
        case Conv(filters, window, stride, bias):
            groups = inputs if layer.depthwise else 1
            return nn.Conv2d(inputs, filters, window, stride, layer.padding, groups=groups, bias=bias)
        case BatchNorm():
            return nn.BatchNorm2d(inputs, EPSILON, 1 - MOMENTUM)
        case Relu():
            return nn.ReLU()
        case Relu6():
            return nn.ReLU6()
        case MaxPool(window, stride, padding, ceil):
            return nn.MaxPool2d(window, stride, padding, ceil_mode=ceil)
        case GlobalAvgPool():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case Flatten():
            return nn.Flatten()
        case Embedding(symbols, features):
            return nn.Embedding(symbols, features)
        case Recurrent(cell, units, sequences):
            return {"lstm": _LSTM, "gru": _GRU}[cell](inputs, units, sequences)
        case Residual(body, shortcut):
            return _Residual(made(body, shape), made(shortcut, shape) if shortcut else nn.Identity())
        case Concat(branches):
            return _Concat(made(branch, shape) for branch in branches)
    raise NotImplementedError(f"no {layer}")


def load(model: nn.Module, network: Network, weights: Weights) -> None:
    """Give a model its weights in PyTorch's order of axes."""
    found: dict[str, np.ndarray] = {}
    flattened: tuple[int, ...] = ()
    for path, layer, shape in network.walk():
        own = weights.get(path, {})
        match layer:
            case Flatten():
                flattened = shape
            case Dense(units):
                kernel = own["kernel"]
                if flattened:  # of channels-first pictures
                    kernel = kernel.reshape(*flattened, units).transpose(2, 0, 1, 3).reshape(-1, units)
                    flattened = ()
                found |= {f"{path}.weight": kernel.T, f"{path}.bias": own["bias"]}
            case Conv():
                found[f"{path}.weight"] = own["kernel"].transpose(3, 2, 0, 1)
                if layer.bias:
                    found[f"{path}.bias"] = own["bias"]
            case BatchNorm():
                names = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
                found |= {f"{path}.{name}": own[ours] for ours, name in names.items()}
            case Embedding():
                found[f"{path}.weight"] = own["table"]
            case Recurrent():
                second = own.get("recurrent_bias", np.zeros_like(own["bias"]))
                found |= {f"{path}.weight_ih_l0": own["kernel"].T, f"{path}.weight_hh_l0": own["recurrent_kernel"].T}
                found |= {f"{path}.bias_ih_l0": own["bias"], f"{path}.bias_hh_l0": second}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in found.items()}
    left = model.load_state_dict(tensors, strict=False)
    assert not left.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in left.missing_keys)
