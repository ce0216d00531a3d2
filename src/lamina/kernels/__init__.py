"""The heavy operations: what most of a network's arithmetic is spent on."""

from lamina.kernels.conv import conv, conv_transpose
from lamina.kernels.explanation import explain
from lamina.kernels.matmul import matmul
from lamina.kernels.recurrent import recurrent
from lamina.kernels.replacement import install, uninstall

__all__ = ["conv", "conv_transpose", "explain", "install", "matmul", "recurrent", "uninstall"]
