"""The network and the recipe that are chosen for data when the user names none."""

from __future__ import annotations

from dataclasses import dataclass

from lamina.data.augment import Augmentation
from lamina.data.base import Data
from lamina.layers import Layer
from lamina.losses import Loss
from lamina.optim import Adam, Optimizer

__all__ = ["Recipe", "choose"]


@dataclass(frozen=True)
class Recipe:
    """A network and how to train it; ``reasons`` are sentences for the person."""

    network: Layer
    optimizer: Optimizer = Adam()
    loss: Loss | None = None
    epochs: int = 10
    batch_size: int = 32
    augmentation: Augmentation | None = None
    patience: int | None = None
    reasons: tuple[str, ...] = ()


def choose(data: Data) -> Recipe:
    """Network and recipe for the data's kind, size and task. No choice depends on a data set's name."""
    raise NotImplementedError
