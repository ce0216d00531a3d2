"""A network, and how it is to be trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lamina.data.augment import Augmentation
from lamina.layers import Layer
from lamina.losses import Loss
from lamina.optim import Adam, Optimizer

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """A network and how to train it.

    Attributes:
        freeze_statistics, precision: see `lamina.fit`.
        keep: "best": the weights of the epoch with the best validation score; "last": those at the end, for schedules
            that bring the learning rate to zero, where too few examples are left for validation to choose by.
        origin: where the network's first weights come from, if they are given.
        seconds: spent on making it.
        reasons: sentences for the person.
    """

    network: Layer
    optimizer: Optimizer = Adam()
    loss: Loss | None = None
    epochs: int = 10
    batch_size: int = 32
    augmentation: Augmentation | None = None
    patience: int | None = None
    freeze_statistics: bool = False
    keep: Literal["best", "last"] = "best"
    precision: Literal["f32", "bf16"] = "f32"
    origin: str = ""
    seconds: float = 0.0
    reasons: tuple[str, ...] = ()
