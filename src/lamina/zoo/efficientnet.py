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


def efficientnet_lite0(classes: int) -> Sequential:
    """Tan & Le 2019, "EfficientNet: rethinking model scaling", arXiv:1905.11946, in a form for small devices.

    Departures, the authors' own in the "lite" networks: no squeeze-and-excitation, ReLU6 for SiLU, stem and head not
    scaled.
    """
    channels = 32
    blocks: list[Layer] = []
    for window, first_stride, expansion, filters, count in _STAGES:
        for index in range(count):
            blocks.append(_block(channels, filters, window, first_stride if index == 0 else 1, expansion))
            channels = filters
    return Sequential(
        _conv_stem=Conv(32, 3, strides=2, use_bias=False),
        _bn0=_norm(),
        relu0=relu6,
        _blocks=Sequential(*blocks),
        _conv_head=Conv(1280, 1, use_bias=False),
        _bn1=_norm(),
        relu1=relu6,
        avgpool=GlobalAvgPool(),
        dropout=Dropout(0.2),
        _fc=Dense(classes),
    )


def _norm() -> BatchNorm:
    return BatchNorm(momentum=0.99, epsilon=1e-3)


def _block(channels: int, filters: int, window: int, strides: int, expansion: int) -> Layer:
    hidden = channels * expansion
    layers: dict[str, Layer] = {}
    if expansion > 1:
        layers |= {"_expand_conv": Conv(hidden, 1, use_bias=False), "_bn0": _norm(), "relu0": relu6}
    layers |= {
        "_depthwise_conv": Conv(hidden, window, strides=strides, groups=hidden, use_bias=False),
        "_bn1": _norm(),
        "relu1": relu6,
        "_project_conv": Conv(filters, 1, use_bias=False),
        "_bn2": _norm(),
    }
    body = Sequential(**layers)
    return Residual(body) if strides == 1 and channels == filters else body
