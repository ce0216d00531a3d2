"""The network and the recipe that are chosen for sounds."""

from __future__ import annotations

from lamina.data.augment import Augmentations
from lamina.data.augment_sound import SpecAugment, Timbre, Warp
from lamina.data.base import Data
from lamina.layers import BatchNorm, Conv, Dense, Dropout, GlobalAvgPool, Layer, MaxPool, Sequential, relu
from lamina.losses import SoftmaxCrossEntropy
from lamina.optim import AdamW, OneCycle
from lamina.train.recipe import Recipe

__all__ = ["sounds", "spectrogram_net"]

_EXAMPLES_SEEN = 50_000  # an epoch's worth of examples times the number of epochs


def spectrogram_net(data: Data) -> Layer:
    """Convolutions over time and mel bands with BatchNorm and ReLU, halving both and doubling the filters.

    Source: the shape of Hershey et al. 2017, arXiv:1609.09430 (a VGG on log-mel spectrograms), much smaller.
    """
    frames, bands, _ = data.preprocessing.input_spec().shape
    side, filters = min(frames, bands), 16
    layers: list[Layer] = [_block(filters, 5)]
    while side >= 8 and filters < 128:
        filters *= 2
        # The early maps are large, so one convolution has to do there.
        layers += [MaxPool(2), *[_block(filters, 3) for _ in range(1 if filters < 64 else 2)]]
        side //= 2
    return Sequential(*layers, GlobalAvgPool(), Dropout(0.3), Dense(data.target.units))


def sounds(data: Data) -> Recipe:
    """Network and recipe for sounds by class."""
    frames, bands, _ = data.preprocessing.input_spec().shape
    epochs = min(max(round(_EXAMPLES_SEEN / len(data.train)), 12), 40)
    return Recipe(
        network=spectrogram_net(data),
        optimizer=AdamW(3e-3, schedule=OneCycle(), weight_decay=0.02),
        loss=SoftmaxCrossEntropy(label_smoothing=0.1),
        epochs=epochs,
        batch_size=64 if len(data.train) >= 2_000 else 32,
        augmentation=Augmentations((Warp(), Timbre(), SpecAugment())),
        reasons=(
            f"Spectrograms of {frames} frames × {bands} mel bands: a convolutional network with BatchNorm.",
            f"{len(data.train):,} training examples decide how many epochs; a one-cycle learning rate.",
            "Other voices and rooms as augmentation: stretched and moved in time and pitch, tilted, masked.",
        ),
    )


def _block(filters: int, window: int) -> Layer:
    return Sequential(Conv(filters, window, use_bias=False), BatchNorm(), relu)
