"""The network and the recipe that are chosen for videos."""

from __future__ import annotations

from lamina.data.augment import Shift
from lamina.data.augment_video import Framewise
from lamina.data.base import Data
from lamina.layers import (
    LSTM,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool,
    Sequential,
    TimeDistributed,
    relu,
)
from lamina.optim import AdamW, OneCycle
from lamina.train.recipe import Recipe

__all__ = ["frames_then_lstm", "videos"]

_EXAMPLES_SEEN = 40_000  # an epoch's worth of examples times the number of epochs
_SIDE = 8  # cells a side of a frame's last map: where things are is kept


def frames_then_lstm(data: Data) -> Layer:
    """The same small convolutional network on every frame, then an LSTM over what it says of them.

    A frame's last map is flattened, not pooled: what moves is told from where it is.

    Source: Donahue et al. 2015, arXiv:1411.4389.
    """
    _, height, width, _ = data.preprocessing.input_spec().shape
    side, filters = min(height, width), 16
    layers: list[Layer] = [_block(filters, strides=2 if side > 2 * _SIDE else 1)]
    side = -(-side // 2) if side > 2 * _SIDE else side
    while side > _SIDE:
        filters = min(2 * filters, 64)
        layers += [_block(filters), MaxPool(2)]
        side //= 2
    layers += [_block(32), Flatten(), Dense(64), relu]
    return Sequential(TimeDistributed(Sequential(*layers)), LSTM(64), Dropout(0.3), Dense(data.target.units))


def videos(data: Data) -> Recipe:
    """Network and recipe for videos by class."""
    frames, height, width, _ = data.preprocessing.input_spec().shape
    return Recipe(
        network=frames_then_lstm(data),
        optimizer=AdamW(2e-3, schedule=OneCycle(), weight_decay=0.02, clip_norm=1.0),
        epochs=min(max(round(_EXAMPLES_SEEN / len(data.train)), 8), 40),
        batch_size=32,
        augmentation=Framewise(Shift(0.07)),
        reasons=(
            f"Videos of {frames} frames of {height}×{width}: a convolutional network on every frame, then an LSTM.",
            f"{len(data.train):,} training examples decide how many epochs; a one-cycle learning rate.",
            "Small shifts, the same in all frames of a video, as augmentation; no mirroring, which would turn motions "
            "around.",
        ),
    )


def _block(filters: int, strides: int = 1) -> Layer:
    return Sequential(Conv(filters, 3, strides=strides, use_bias=False), BatchNorm(), relu)
