"""What several of the networks are made of."""

from __future__ import annotations

from typing import Any

from lamina.layers import BatchNorm, Conv, Layer, Sequential

__all__ = ["conv_norm", "pointwise"]


def conv_norm(
    filters: int, window: int, strides: int = 1, *, activation: Layer, groups: int = 1, padding: Any = None
) -> Sequential:
    """Convolution without bias, BatchNorm, activation. The padding keeps the size where the stride is 1."""
    pads = (window - 1) // 2 if padding is None else padding
    conv = Conv(filters, window, strides=strides, padding=pads, groups=groups, use_bias=False)
    return Sequential(conv, BatchNorm(), activation)


def pointwise(filters: int, strides: int = 1) -> Conv:
    """A 1×1 convolution without bias."""
    return Conv(filters, 1, strides=strides, padding=0, use_bias=False)
