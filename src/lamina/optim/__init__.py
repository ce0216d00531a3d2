"""Optimisers and learning-rate schedules: named descriptions of optax transformations.

An `Optimizer` is data. Its `build` gives an optax transformation for a learning rate of 1; the training step multiplies
the updates by the rate of the moment, `Optimizer.rate`, so that one compiled program serves every rate and schedule.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import optax

from lamina.errors import ConfigError, nearest
from lamina.optim.base import OptaxOptimizer, Optimizer
from lamina.optim.named import SGD, Adagrad, Adam, AdamW, Lion, Momentum, Muon, Nesterov, RMSProp
from lamina.optim.schedules import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
    resolve_schedule,
    schedule_names,
)

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ConstantRate",
    "CosineDecay",
    "ExponentialDecay",
    "Lion",
    "Momentum",
    "Muon",
    "Nesterov",
    "OneCycle",
    "OptaxOptimizer",
    "Optimizer",
    "RMSProp",
    "Schedule",
    "StepDecay",
    "WarmUp",
    "names",
    "resolve",
    "resolve_schedule",
    "schedule_names",
]

_BY_NAME: dict[str, type[Optimizer]] = {
    cls.name: cls for cls in (SGD, Momentum, Nesterov, RMSProp, Adagrad, Adam, AdamW, Lion, Muon)
}


def names() -> tuple[str, ...]:
    """The names that `resolve` knows."""
    return tuple(_BY_NAME)


def resolve(value: str | Optimizer | optax.GradientTransformation, **overrides: Any) -> Optimizer:
    """The optimiser meant by a name, an `Optimizer`, or an optax transformation.

    Args:
        value: such as ``"adam"``, ``Adam(1e-3)`` or ``optax.adabelief(1e-3)``.
        overrides: fields to set, such as ``learning_rate=0.01``; None leaves the field as it is. A schedule may be a
            name, such as ``"cosine"``.

    Raises:
        ConfigError: for an unknown name or field, or a value out of its range; near names are offered.
    """
    overrides = {field: given for field, given in overrides.items() if given is not None}
    if isinstance(overrides.get("schedule"), str):
        overrides["schedule"] = resolve_schedule(overrides["schedule"])
    if isinstance(value, str):
        key = value.lower().replace("-", "").replace("_", "")
        if key not in _BY_NAME:
            raise ConfigError(f"Unknown optimiser {value!r}.", nearest(value, _BY_NAME))
        value = _BY_NAME[key]()
    elif isinstance(value, optax.GradientTransformation):
        value = OptaxOptimizer(transformation=value)
    elif not isinstance(value, Optimizer):
        raise ConfigError(
            f"Expected an optimiser's name, an Optimizer or an optax transformation. Received: {value!r}.",
            f"Names: {', '.join(_BY_NAME)}.",
        )
    known = {field.name for field in dataclasses.fields(value)}
    for field in overrides:
        if field not in known:
            raise ConfigError(f"{type(value).__name__} has no option {field!r}.", nearest(field, known))
    return dataclasses.replace(value, **overrides)
