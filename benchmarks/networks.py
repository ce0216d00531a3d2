"""The networks that all peers compute.

A network is a tuple of layers, which each peer builds in its own library. A layer's path, "3.body.0", is its place in
this tuple, and in those of the layers that hold others; the weights go by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

__all__ = [
    "EPSILON", "GATES", "IMAGENET", "MOMENTUM", "NETWORKS", "BatchNorm", "Concat", "Conv", "Dense", "Embedding",
    "Flatten", "GlobalAvgPool", "MaxPool", "Network", "Recurrent", "Relu", "Relu6", "Residual", "shape_after",
]  # fmt: skip

Layers: TypeAlias = tuple[Any, ...]  # of the classes below

MOMENTUM = 0.9  # BatchNorm's: weight kept on the old running statistics
EPSILON = 1e-5  # BatchNorm's
GATES = {"lstm": 4, "gru": 3}


@dataclass(frozen=True)
class Dense:
    units: int


@dataclass(frozen=True)
class Conv:
    """``padding`` zeros on all four sides, by default (window - 1) // 2. Depthwise: a window for each channel."""

    filters: int
    window: int
    stride: int = 1
    bias: bool = True
    depthwise: bool = False
    padding: int = -1

    def __post_init__(self) -> None:
        if self.padding < 0:
            object.__setattr__(self, "padding", (self.window - 1) // 2)


@dataclass(frozen=True)
class BatchNorm:
    pass


@dataclass(frozen=True)
class Relu:
    pass


@dataclass(frozen=True)
class Relu6:
    pass


@dataclass(frozen=True)
class MaxPool:
    """``ceil``: also a last window that reaches beyond the picture."""

    window: int
    stride: int
    padding: int = 0
    ceil: bool = False


@dataclass(frozen=True)
class GlobalAvgPool:
    pass


@dataclass(frozen=True)
class Flatten:
    pass


@dataclass(frozen=True)
class Embedding:
    """A vector for each of so many symbols; first in its network, which then says after each symbol what is next."""

    symbols: int
    features: int


@dataclass(frozen=True)
class Recurrent:
    """The last state of an LSTM, or of a GRU whose reset gate acts after the product (with two biases).

    ``sequences``: the states after all steps in place of the last one.
    """

    cell: Literal["lstm", "gru"]
    units: int
    sequences: bool = False


@dataclass(frozen=True)
class Residual:
    """Body plus shortcut, or plus the input itself."""

    body: Layers
    shortcut: Layers = ()

    def parts(self) -> dict[str, Layers]:
        return {"body": self.body} | ({"shortcut": self.shortcut} if self.shortcut else {})


@dataclass(frozen=True)
class Concat:
    """The branches' outputs, joined along the channels."""

    branches: tuple[Layers, ...]

    def parts(self) -> dict[str, Layers]:
        return {str(index): branch for index, branch in enumerate(self.branches)}


@dataclass(frozen=True)
class Network:
    """A network in words that every peer can build.

    Attributes:
        input_shape: of an example, channels-last.
        layers: the last one gives logits, or the input again where it reconstructs.
        steps: optimiser steps that are timed as one.
        per_execution: Keras' steps_per_execution.
        batches: different ones that are trained on in turn.
        rate: Adam's.
        peers: who is measured unless others are asked for; empty for all.
        compared_after: steps after which the losses are compared. Adam's first steps divide a gradient by its size:
            what rounding does to the smallest ones grows with every layer and step.
        reconstructs: an auto-encoder: the loss is the mean squared error between its outputs and its inputs.
    """

    title: str
    input_shape: tuple[int, ...]
    layers: Layers
    batch_size: int = 1
    steps: int = 1
    per_execution: int = 1
    compared_after: int = 20
    batches: int = 64
    rate: float = 1e-3
    peers: tuple[str, ...] = ()
    reconstructs: bool = False

    @property
    def classes(self) -> int:
        return shape_after(self.layers, self.input_shape)[-1]

    @property
    def reads_symbols(self) -> bool:
        """Its inputs are symbols ``(n, steps)``, its labels those that follow each, and it has logits for each step."""
        return isinstance(self.layers[0], Embedding)

    @property
    def symbols(self) -> int:
        """That a step reads."""
        return self.batch_size * self.input_shape[0] if self.reads_symbols else 0

    @property
    def convolutional(self) -> bool:
        return any(isinstance(layer, Conv) for _, layer, _ in self.walk())

    def walk(self) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
        """Path, layer and shape of its input, of all layers that hold no others."""
        return _walk(self.layers, self.input_shape, "")


def _walk(layers: Layers, shape: tuple[int, ...], prefix: str) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    for index, layer in enumerate(layers):
        path = f"{prefix}{index}"
        if isinstance(layer, Residual | Concat):
            for name, part in layer.parts().items():
                yield from _walk(part, shape, f"{path}.{name}.")
        else:
            yield path, layer, shape
        shape = shape_after((layer,), shape)


def shape_after(layers: Layers, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the last one's output."""
    for layer in layers:
        match layer:
            case Dense(units):
                shape = (*shape[:-1], units)
            case Embedding(_, features):
                shape = (*shape, features)
            case Recurrent(_, units, sequences):
                shape = (*shape[:-1], units) if sequences else (units,)
            case Conv(filters):
                shape = (*_slid(layer, shape), filters)
            case MaxPool():
                shape = (*_slid(layer, shape), shape[-1])
            case GlobalAvgPool():
                shape = shape[-1:]
            case Flatten():
                shape = (int(np.prod(shape)),)
            case Residual(body):
                shape = shape_after(body, shape)
            case Concat(branches):
                outputs = [shape_after(branch, shape) for branch in branches]
                shape = (*outputs[0][:-1], sum(output[-1] for output in outputs))
    return shape


def _slid(layer: Conv | MaxPool, shape: tuple[int, ...]) -> tuple[int, ...]:
    more = layer.stride - 1 if isinstance(layer, MaxPool) and layer.ceil else 0
    return tuple((size + 2 * layer.padding - layer.window + more) // layer.stride + 1 for size in shape[:-1])


def _dense(*units: int) -> Layers:
    hidden: Layers = ()
    for width in units[:-1]:
        hidden += (Dense(width), Relu())
    return (*hidden, Dense(units[-1]))


def _lenet(window: int) -> Layers:
    return (
        *(Conv(32, window), Relu(), MaxPool(2, 2)),
        *(Conv(64, window), Relu(), MaxPool(2, 2)),
        *(Flatten(), *_dense(128, 10)),
    )


def _normed(filters: int, window: int, stride: int = 1, *, depthwise: bool = False) -> Layers:
    return (Conv(filters, window, stride, bias=False, depthwise=depthwise), BatchNorm())


def _resnet18(stem: Layers, classes: int) -> Layers:
    """He et al. 2016, arXiv:1512.03385: four stages of two blocks each."""
    layers = stem
    channels = 64
    for filters, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        body = (*_normed(filters, 3, stride), Relu(), *_normed(filters, 3))
        changes = stride > 1 or filters != channels
        layers += (Residual(body, _normed(filters, 1, stride) if changes else ()), Relu())
        channels = filters
    return (*layers, GlobalAvgPool(), Dense(classes))


def _mobilenet(channels: int, blocks: tuple[tuple[int, int], ...], classes: int) -> Layers:
    """Howard et al. 2017, arXiv:1704.04861: depthwise and pointwise convolutions in turn."""
    layers: Layers = (*_normed(channels, 3, 2), Relu())
    for filters, stride in blocks:
        layers += (*_normed(channels, 3, stride, depthwise=True), Relu(), *_normed(filters, 1), Relu())
        channels = filters
    return (*layers, GlobalAvgPool(), Dense(classes))


def _mobilenet_v2(classes: int) -> Layers:
    """Sandler et al. 2018, arXiv:1801.04381: narrow ends, a depthwise convolution on six times as many channels."""
    layers: Layers = (*_normed(32, 3, 2), Relu6())
    channels = 32
    for factor, filters, blocks, first in _STAGES:
        for stride in (first, *(1,) * (blocks - 1)):
            hidden = channels * factor
            wide = (*_normed(hidden, 1), Relu6()) if factor > 1 else ()
            body = (*wide, *_normed(hidden, 3, stride, depthwise=True), Relu6(), *_normed(filters, 1))
            layers += (Residual(body),) if stride == 1 and channels == filters else body
            channels = filters
    return (*layers, *_normed(1280, 1), Relu6(), GlobalAvgPool(), Dense(classes))


def _vgg11(classes: int) -> Layers:
    """Simonyan & Zisserman 2015, arXiv:1409.1556, configuration A."""
    layers: Layers = ()
    for filters, count in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        layers += (Conv(filters, 3), Relu()) * count + (MaxPool(2, 2),)
    return (*layers, Flatten(), *_dense(4096, 4096, classes))


def _squeezenet(stem: Conv, pooled_before: tuple[int, int], classes: int) -> Layers:
    """Iandola et al. 2016, arXiv:1602.07360."""
    layers: Layers = (stem, Relu(), MaxPool(3, 2, ceil=True))
    for index, (squeezed, each) in enumerate(
        ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    ):
        layers += (MaxPool(3, 2, ceil=True),) if index in pooled_before else ()
        layers += (Conv(squeezed, 1), Relu(), Concat(((Conv(each, 1), Relu()), (Conv(each, 3), Relu()))))
    return (*layers, Conv(classes, 1), Relu(), GlobalAvgPool())


# Factor, filters, blocks, stride of the first.
_STAGES = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1))

# What is applied, and trained with names that end in "-224": networks of `lamina.zoo`, without their dropout.
_STEM = (*_normed(64, 7, 2), Relu(), MaxPool(3, 2, padding=1))
_FIRST = {"1.0": Conv(96, 7, 2, padding=0), "1.1": Conv(64, 3, 2, padding=0)}
IMAGENET = {
    name: Network(f"{title}, 224×224×3, 1,000 classes", (224, 224, 3), layers)
    for name, title, layers in (
        ("resnet18", "ResNet-18", _resnet18(_STEM, 1000)),
        ("vgg11", "VGG-11", _vgg11(1000)),
        ("squeezenet1_0", "SqueezeNet 1.0", _squeezenet(_FIRST["1.0"], (3, 7), 1000)),
        ("squeezenet", "SqueezeNet 1.1", _squeezenet(_FIRST["1.1"], (2, 4), 1000)),
        ("mobilenet_v2", "MobileNetV2", _mobilenet_v2(1000)),
    )
}


def _for_training(network: Network, batch_size: int) -> Network:
    # Few batches and few peers at a time: with Adam's moments, VGG-11 takes each of them two gigabytes and more.
    peers = ("lamina", "torch-fused", "torch-compile", "keras-jax", "keras-tensorflow")
    title = f"{network.title}, batch {batch_size}"
    own = {"batch_size": batch_size, "steps": 1, "compared_after": 1, "batches": 4, "rate": 1e-5, "peers": peers}
    return replace(network, title=title, **own)


# What is trained.
NETWORKS = {
    "mlp-small": Network("MLP 2-8-8-2, batch 32", (2,), _dense(8, 8, 2), 32, 1000, 50),
    "mlp": Network("MLP 784-512-512-10, batch 64", (784,), _dense(512, 512, 10), 64, 200, 20),
    "lenet": Network(
        "LeNet-like 28×28, batch 64: conv 5×5 32, pool 2, conv 5×5 64, pool 2, dense 128, dense 10",
        *((28, 28, 1), _lenet(5), 64, 20, 10),
    ),
    "lstm": Network(
        "LSTM, batch 64: 100 steps of 28 features, LSTM 128, dense 10",
        *((100, 28), (Recurrent("lstm", 128), Dense(10)), 64, 20, 10),
    ),
    "gru": Network(
        "GRU, batch 64: 100 steps of 28 features, GRU 128, dense 10",
        *((100, 28), (Recurrent("gru", 128), Dense(10)), 64, 20, 10),
    ),
    "resnet18": Network(
        "ResNet-18 32×32×3, batch 64",
        *((32, 32, 3), _resnet18((*_normed(64, 3), Relu()), 10), 64, 2, 2, 2),
    ),
    "mobilenet": Network(
        "MobileNet-like 96×96×3, batch 32: conv 3×3 32, eight depthwise-separable blocks up to 512, dense 10",
        *((96, 96, 3), _mobilenet(32, _BLOCKS, 10), 32, 4, 2, 2),
    ),
    **{f"{name}-224": _for_training(network, 8 if name == "vgg11" else 16) for name, network in IMAGENET.items()},
    "autoencoder": Network(
        "Auto-encoder 784-1000-500-250-30 and its mirror, batch 100, squared error",
        *((784,), _dense(1000, 500, 250, 30, 250, 500, 1000, 784), 100, 20, 10),
        reconstructs=True,
    ),
    "lenet-small": Network(
        "LeNet-like 8×8, batch 32: conv 3×3 32, pool 2, conv 3×3 64, pool 2, dense 128, dense 10",
        *((8, 8, 1), _lenet(3), 32, 100, 10),
    ),
    **{
        f"{cell}-{units}": Network(
            f"{cell.upper()}, batch {batch}: {steps} steps of {features} features, {cell.upper()} {units}, dense 10",
            *((steps, features), (Recurrent(cell, units), Dense(10)), batch, 10 if units == 256 else 2, 2, 2),
        )
        for steps, batch, features, units in ((50, 32, 64, 256), (256, 16, 128, 512))
        for cell in ("lstm", "gru")
    },
    "characters": Network(
        "character model, batch 32: 64 characters of 65, embedding 64, LSTM 384, dense 65 after each",
        *((64,), (Embedding(65, 64), Recurrent("lstm", 384, sequences=True), Dense(65)), 32, 10, 10, 2),
    ),
}
