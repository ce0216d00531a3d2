"""LeNet-5."""

from __future__ import annotations

from lamina.layers import AvgPool, Conv, Dense, Flatten, Sequential, tanh

__all__ = ["lenet5"]


def lenet5(classes: int) -> Sequential:
    """LeCun et al. 1998, "Gradient-based learning applied to document recognition", Proceedings of the IEEE 86.

    Departures: every map of the second convolution sees all six of the first; pooling has no weights; the output layer
    is dense, with softmax cross-entropy, in place of radial basis functions; tanh is not scaled.
    """
    return Sequential(
        conv1=Conv(6, 5, padding="VALID"),
        tanh1=tanh,
        pool1=AvgPool(2),
        conv2=Conv(16, 5, padding="VALID"),
        tanh2=tanh,
        pool2=AvgPool(2),
        flatten=Flatten(),
        fc1=Dense(120),
        tanh3=tanh,
        fc2=Dense(84),
        tanh4=tanh,
        fc3=Dense(classes),
    )
