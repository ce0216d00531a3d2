"""ResNets, for large pictures and for small ones."""

from __future__ import annotations

from lamina.layers import (
    BatchNorm,
    Conv,
    Dense,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Residual,
    Sequential,
    Subsample,
    relu,
)
from lamina.zoo._blocks import pointwise

__all__ = ["BLOCKS", "cifar_resnet", "resnet"]

# Blocks in each of the four stages. From 50 layers on they are bottlenecks.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet(depth: int, classes: int) -> Sequential:
    """He et al. 2016, "Deep residual learning for image recognition", arXiv:1512.03385.

    Departure, torchvision's: a bottleneck's stride is at its 3×3 convolution, not at the first 1×1 ("ResNet v1.5").
    """
    layers: dict[str, Layer] = {
        "conv1": Conv(64, 7, strides=2, padding=3, use_bias=False),
        "bn1": BatchNorm(),
        "relu": relu,
        "maxpool": MaxPool(3, 2, padding=1),
    }
    bottleneck = depth >= 50
    channels = 64
    for stage, count in enumerate(BLOCKS[depth]):
        filters, blocks = 64 << stage, []
        for index in range(count):
            strides = 2 if stage and not index else 1
            out = filters * 4 if bottleneck else filters
            shortcut = Sequential(pointwise(out, strides), BatchNorm()) if strides > 1 or channels != out else None
            body = _bottleneck(filters, strides) if bottleneck else _basic(filters, strides)
            blocks.append(Sequential(residual=Residual(body, shortcut), relu=relu))
            channels = out
        layers[f"layer{stage + 1}"] = Sequential(*blocks)
    return Sequential(**layers, avgpool=GlobalAvgPool(), fc=Dense(classes))


def cifar_resnet(depth: int, classes: int) -> Sequential:
    """The same paper's networks for 32×32 pictures (section 4.2): 6n + 2 layers in three stages.

    Where the maps are halved the shortcut has no weights: every other place, and zeros for the new channels (option A).
    """
    layers: dict[str, Layer] = {"conv1": Conv(16, 3, padding=1, use_bias=False), "bn1": BatchNorm(), "relu": relu}
    for stage in range(3):
        blocks = []
        for index in range((depth - 2) // 6):
            halved = stage > 0 and index == 0
            body = _basic(16 << stage, 2 if halved else 1)
            shortcut = Subsample(16 << stage) if halved else None
            blocks.append(Sequential(residual=Residual(body, shortcut), relu=relu))
        layers[f"layer{stage + 1}"] = Sequential(*blocks)
    return Sequential(**layers, avgpool=GlobalAvgPool(), linear=Dense(classes))


def _basic(filters: int, strides: int) -> Sequential:
    return Sequential(
        conv1=Conv(filters, 3, strides=strides, padding=1, use_bias=False),
        bn1=BatchNorm(),
        relu=relu,
        conv2=Conv(filters, 3, padding=1, use_bias=False),
        bn2=BatchNorm(),
    )


def _bottleneck(filters: int, strides: int) -> Sequential:
    return Sequential(
        conv1=pointwise(filters),
        bn1=BatchNorm(),
        relu1=relu,
        conv2=Conv(filters, 3, strides=strides, padding=1, use_bias=False),
        bn2=BatchNorm(),
        relu2=relu,
        conv3=pointwise(filters * 4),
        bn3=BatchNorm(),
    )
