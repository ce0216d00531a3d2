"""Losses, penalties on weights, and the max-norm constraint.

Losses take logits wherever an entropy or a hinge is meant, and compute in float32 (float64 stays float64).
"""

from __future__ import annotations

from collections.abc import Callable

from lamina.errors import ConfigError, nearest
from lamina.losses.base import Loss
from lamina.losses.classes import BinaryCrossEntropy, Hinge, KLDivergence, SoftmaxCrossEntropy
from lamina.losses.penalties import L1, L2, MaxNorm, Penalty
from lamina.losses.values import AbsoluteError, CosineDistance, Huber, SquaredError

__all__ = [
    "L1",
    "L2",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "CosineDistance",
    "Hinge",
    "Huber",
    "KLDivergence",
    "Loss",
    "MaxNorm",
    "Penalty",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "names",
    "resolve",
]

_BY_NAME: dict[str, Callable[[], Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "binary_cross_entropy": BinaryCrossEntropy,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "hinge": Hinge,
    "kl_divergence": KLDivergence,
    "cosine_distance": CosineDistance,
}


def names() -> tuple[str, ...]:
    """The names that `resolve` knows."""
    return tuple(_BY_NAME)


def resolve(value: str | Loss) -> Loss:
    """The loss meant by a name such as ``"huber"``; a `Loss` as it is.

    Raises:
        ConfigError: for anything else; near names are offered.
    """
    if isinstance(value, Loss):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"Expected a loss's name or a Loss such as Huber(). Received: {value!r}.")
    key = value.lower().replace("-", "_").replace(" ", "_")
    if key not in _BY_NAME:
        raise ConfigError(f"Unknown loss {value!r}.", nearest(value, _BY_NAME))
    return _BY_NAME[key]()
