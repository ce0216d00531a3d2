"""The heavy operations: what most of a network's arithmetic is spent on."""

from lamina.kernels.conv import conv, conv_transpose

__all__ = ["conv", "conv_transpose"]
