"""EfficientNet-Lite0."""

from __future__ import annotations

from lamina.layers import BatchNorm, Conv, Dense, Dropout, GlobalAvgPool, Layer, Residual, Sequential, relu6

__all__ = ["efficientnet_lite0"]

# Window, stride of the first block, expansion, filters, blocks.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def efficientnet_lite0(classes: int, *, symmetric: bool = False) -> Sequential:
    """Tan & Le 2019, "EfficientNet: rethinking model scaling", arXiv:1905.11946, in a form for small devices.

    Departures, the authors' own in the "lite" networks: no squeeze-and-excitation, ReLU6 for SiLU, stem and head not
    scaled.

    Args:
        symmetric: padded as PyTorch does, with BatchNorm's usual epsilon, as timm trained its own: in place of
            TensorFlow's padding, which puts the larger half behind where a stride leaves an odd number.
    """
    channels = 32
    blocks: list[Layer] = []
    for window, first_stride, expansion, filters, count in _STAGES:
        for index in range(count):
            strides = first_stride if index == 0 else 1
            blocks.append(_block(channels, filters, window, strides, expansion, symmetric))
            channels = filters
    return Sequential(
        _conv_stem=_conv(32, 3, symmetric, strides=2),
        _bn0=_norm(symmetric),
        relu0=relu6,
        _blocks=Sequential(*blocks),
        _conv_head=_conv(1280, 1, symmetric),
        _bn1=_norm(symmetric),
        relu1=relu6,
        avgpool=GlobalAvgPool(),
        dropout=Dropout(0.2),
        _fc=Dense(classes),
    )


def _conv(filters: int, window: int, symmetric: bool, *, strides: int = 1, groups: int = 1) -> Conv:
    padding = (window - 1) // 2 if symmetric else "SAME"
    return Conv(filters, window, strides=strides, padding=padding, groups=groups, use_bias=False)


def _norm(symmetric: bool) -> BatchNorm:
    return BatchNorm() if symmetric else BatchNorm(momentum=0.99, epsilon=1e-3)


def _block(channels: int, filters: int, window: int, strides: int, expansion: int, symmetric: bool) -> Layer:
    hidden = channels * expansion
    layers: dict[str, Layer] = {}
    if expansion > 1:
        layers |= {"_expand_conv": _conv(hidden, 1, symmetric), "_bn0": _norm(symmetric), "relu0": relu6}
    layers |= {
        "_depthwise_conv": _conv(hidden, window, symmetric, strides=strides, groups=hidden),
        "_bn1": _norm(symmetric),
        "relu1": relu6,
        "_project_conv": _conv(filters, 1, symmetric),
        "_bn2": _norm(symmetric),
    }
    body = Sequential(**layers)
    return Residual(body) if strides == 1 and channels == filters else body
