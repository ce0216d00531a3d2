"""GoogLeNet."""

from __future__ import annotations

from lamina.layers import (
    AdaptiveAvgPool,
    Auxiliary,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Parallel,
    Sequential,
    relu,
)

__all__ = ["googlenet"]

# Filters of a block: 1×1; 3×3 and the 1×1 before it; the second 3×3 and the 1×1 before it; 1×1 after the pool.
_BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(classes: int, *, auxiliary: bool = True) -> Sequential:
    """Szegedy et al. 2015, "Going deeper with convolutions", arXiv:1409.4842.

    Departures, torchvision's: BatchNorm after every convolution; 3×3 for the blocks' 5×5; no local response
    normalisation; dropout 0.2 before the last layer (0.4); dropout 0.7 in the auxiliary heads, which pool adaptively.

    Args:
        auxiliary: with the two heads that training adds a loss for; they do nothing in evaluation.
    """
    heads = {name: Auxiliary(_head(classes)) if auxiliary else None for name in ("4a", "4d")}
    layers: dict[str, Layer] = {
        "conv1": _conv(64, 7, 2),
        "maxpool1": MaxPool(3, 2, ceil_mode=True),
        "conv2": _conv(64, 1),
        "conv3": _conv(192, 3),
        "maxpool2": MaxPool(3, 2, ceil_mode=True),
    }
    for name, filters in _BLOCKS.items():
        layers[f"inception{name}"] = _block(*filters)
        head = heads.get(name)
        if head is not None:
            layers[f"aux{1 if name == '4a' else 2}"] = head
        if name == "3b":
            layers["maxpool3"] = MaxPool(3, 2, ceil_mode=True)
        if name == "4e":
            layers["maxpool4"] = MaxPool(2, 2, ceil_mode=True)
    return Sequential(**layers, avgpool=GlobalAvgPool(), dropout=Dropout(0.2), fc=Dense(classes))


def _conv(filters: int, window: int, strides: int = 1) -> Sequential:
    conv = Conv(filters, window, strides=strides, padding=(window - 1) // 2, use_bias=False)
    return Sequential(conv=conv, bn=BatchNorm(epsilon=0.001), relu=relu)


def _block(one: int, before: int, three: int, before_second: int, second: int, pooled: int) -> Parallel:
    return Parallel(
        branch1=_conv(one, 1),
        branch2=Sequential(_conv(before, 1), _conv(three, 3)),
        branch3=Sequential(_conv(before_second, 1), _conv(second, 3)),
        branch4=Sequential(MaxPool(3, 1, padding=1, ceil_mode=True), _conv(pooled, 1)),
    )


def _head(classes: int) -> Sequential:
    return Sequential(
        pool=AdaptiveAvgPool((4, 4)),
        conv=_conv(128, 1),
        flatten=Flatten(),
        fc1=Dense(1024),
        relu=relu,
        dropout=Dropout(0.7),
        fc2=Dense(classes),
    )
