"""What networks are made of."""

from lamina.layers.base import Context, Function, Layer, Tape
from lamina.layers.combine import Auxiliary, Graph, Merge, Parallel, Residual, Sequential, Tied, TimeDistributed
from lamina.layers.dense import Dense

__all__ = [
    "Auxiliary",
    "Context",
    "Dense",
    "Function",
    "Graph",
    "Layer",
    "Merge",
    "Parallel",
    "Residual",
    "Sequential",
    "Tape",
    "Tied",
    "TimeDistributed",
]
