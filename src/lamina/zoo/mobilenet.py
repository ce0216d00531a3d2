"""MobileNets."""

from __future__ import annotations

from lamina.layers import BatchNorm, Dense, Dropout, GlobalAvgPool, Layer, Residual, Sequential, relu6
from lamina.zoo._blocks import conv_norm, pointwise

__all__ = ["mobilenet_v1", "mobilenet_v2"]

# Expansion, filters, blocks, stride of the first.
_STAGES_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# Filters and stride of the depthwise convolution.
_BLOCKS_V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)


def mobilenet_v1(classes: int, width: float = 1.0) -> Sequential:
    """Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision", arXiv:1704.04861.

    Departure: ReLU6, as in the authors' code.

    Args:
        width: factor of all numbers of filters.
    """
    channels = int(32 * width)
    layers: list[Layer] = [conv_norm(channels, 3, 2, padding="SAME", activation=relu6)]
    for wanted, strides in _BLOCKS_V1:
        layers.append(conv_norm(channels, 3, strides, groups=channels, padding="SAME", activation=relu6))
        channels = int(wanted * width)
        layers.append(conv_norm(channels, 1, activation=relu6))
    return Sequential(features=Sequential(*layers), avgpool=GlobalAvgPool(), classifier=Dense(classes))


def mobilenet_v2(classes: int) -> Sequential:
    """Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks", arXiv:1801.04381."""
    channels = 32
    features: list[Layer] = [conv_norm(channels, 3, 2, activation=relu6)]
    for expansion, filters, blocks, first_stride in _STAGES_V2:
        for index in range(blocks):
            features.append(_inverted(channels, filters, first_stride if index == 0 else 1, expansion))
            channels = filters
    features.append(conv_norm(1280, 1, activation=relu6))
    classifier = Sequential(Dropout(0.2), Dense(classes))
    return Sequential(features=Sequential(*features), avgpool=GlobalAvgPool(), classifier=classifier)


def _inverted(channels: int, filters: int, strides: int, expansion: int) -> Layer:
    hidden = channels * expansion
    wide = [conv_norm(hidden, 1, activation=relu6)] if expansion > 1 else []
    depthwise = conv_norm(hidden, 3, strides, groups=hidden, activation=relu6)
    body = Sequential(conv=Sequential(*wide, depthwise, pointwise(filters), BatchNorm()))
    return Residual(body) if strides == 1 and channels == filters else body
