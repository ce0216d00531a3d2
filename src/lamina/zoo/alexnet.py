"""AlexNet."""

from __future__ import annotations

from lamina.layers import AdaptiveAvgPool, Conv, Dense, Dropout, Flatten, MaxPool, Sequential, relu

__all__ = ["alexnet"]


def alexnet(classes: int) -> Sequential:
    """Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", NeurIPS 25.

    Departures, torchvision's: one tower in place of two and its numbers of filters (Krizhevsky 2014, arXiv:1404.5997);
    no local response normalisation; an adaptive pool before the dense layers, so that other input sizes fit.
    """
    features = Sequential(
        *(Conv(64, 11, strides=4, padding=2), relu, MaxPool(3, 2)),
        *(Conv(192, 5, padding=2), relu, MaxPool(3, 2)),
        *(Conv(384, 3, padding=1), relu),
        *(Conv(256, 3, padding=1), relu),
        *(Conv(256, 3, padding=1), relu, MaxPool(3, 2)),
    )
    classifier = Sequential(*(Dropout(0.5), Dense(4096), relu), *(Dropout(0.5), Dense(4096), relu), Dense(classes))
    return Sequential(features=features, avgpool=AdaptiveAvgPool((6, 6)), flatten=Flatten(), classifier=classifier)
