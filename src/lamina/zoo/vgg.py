"""VGG."""

from __future__ import annotations

from lamina.layers import AdaptiveAvgPool, BatchNorm, Conv, Dense, Dropout, Flatten, Layer, MaxPool, Sequential, relu

__all__ = ["DEPTHS", "vgg"]

# Convolutions in each of the five stages, between which the maps are halved.
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_FILTERS = (64, 128, 256, 512, 512)


def vgg(depth: int, classes: int, *, batch_norm: bool = False) -> Sequential:
    """Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556.

    Departures, torchvision's: optionally BatchNorm after every convolution; an adaptive pool before the dense layers.
    """
    layers: list[Layer] = []
    for filters, count in zip(_FILTERS, DEPTHS[depth], strict=True):
        for _ in range(count):
            layers += [Conv(filters, 3, padding=1), *([BatchNorm()] if batch_norm else []), relu]
        layers.append(MaxPool(2))
    classifier = Sequential(*(Dense(4096), relu, Dropout(0.5)), *(Dense(4096), relu, Dropout(0.5)), Dense(classes))
    return Sequential(
        features=Sequential(*layers), avgpool=AdaptiveAvgPool((7, 7)), flatten=Flatten(), classifier=classifier
    )
