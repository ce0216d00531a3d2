"""SqueezeNet."""

from __future__ import annotations

from lamina.layers import Conv, Dropout, GlobalAvgPool, Layer, MaxPool, Parallel, Sequential, relu

__all__ = ["squeezenet"]

# Filters of the squeezing and of each expanding convolution of the eight fire modules.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def squeezenet(version: str, classes: int, *, last_padding: int = 0) -> Sequential:
    """Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", arXiv:1602.07360.

    Args:
        version: "1.0", the paper's, or "1.1", the authors' later one, which computes 2.4 times less.
        last_padding: of the last convolution: 1 in the authors' Caffe files, 0 in torchvision.
    """
    first = Conv(96, 7, strides=2, padding=0) if version == "1.0" else Conv(64, 3, strides=2, padding=0)
    pooled_after = (2, 6) if version == "1.0" else (1, 3)  # fire modules
    layers: list[Layer] = [first, relu, MaxPool(3, 2, ceil_mode=True)]
    for index, (squeezed, expanded) in enumerate(_FIRES):
        layers.append(_fire(squeezed, expanded))
        if index in pooled_after:
            layers.append(MaxPool(3, 2, ceil_mode=True))
    classifier = Sequential(Dropout(0.5), Conv(classes, 1, padding=last_padding), relu, GlobalAvgPool())
    return Sequential(features=Sequential(*layers), classifier=classifier)


def _fire(squeezed: int, expanded: int) -> Sequential:
    return Sequential(
        squeeze=Conv(squeezed, 1),
        relu=relu,
        expand=Parallel(
            expand1x1=Sequential(conv=Conv(expanded, 1), relu=relu),
            expand3x3=Sequential(conv=Conv(expanded, 3, padding=1), relu=relu),
        ),
    )
