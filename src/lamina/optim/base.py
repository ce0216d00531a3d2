"""What an optimiser is: a description of an optax transformation, with a schedule and clipping."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np
import optax
from numpy.typing import ArrayLike, NDArray

from lamina.config import Config
from lamina.errors import ConfigError
from lamina.optim.groups import check_groups, grouped
from lamina.optim.schedules import ConstantRate, Schedule

__all__ = ["OptaxOptimizer", "Optimizer"]


@dataclass(frozen=True, repr=False)
class Optimizer(Config):
    """Base of all optimisers: ``w ← w − rate · direction(gradients, state, w)``.

    Args:
        learning_rate: the rate that the schedule's multiplier, at most 1, is applied to; above 0.
        schedule: the multiplier over the run.
        weight_decay: λ ≥ 0. SGD, Momentum, Nesterov, RMSProp, Adagrad and Adam add λ·w to the gradient (an L2 penalty
            of λ/2·|w|², as PyTorch's do); AdamW, Lion and Muon shrink the weights beside the gradient's step, by
            rate·λ·w. Parameters of one dimension (biases, scales of norms) are never decayed.
        clip_norm: gradients whose norm over all parameters together exceeds this are scaled down to it; None: never.
        groups: pairs (path, factor): the parameters at or below a path ("layer1.0"; ``*`` stands for anything) learn
            at factor times the rate, and with factor 0 stay as they are. The first pair that fits counts; what none
            fits learns at the rate itself.

    Raises:
        ConfigError: for a value out of its range.
    """

    name: ClassVar[str] = ""

    learning_rate: float = 1e-3
    schedule: Schedule = dataclasses.field(default=ConstantRate(), kw_only=True)
    weight_decay: float = dataclasses.field(default=0.0, kw_only=True)
    clip_norm: float | None = dataclasses.field(default=None, kw_only=True)
    groups: tuple[tuple[str, float], ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        self._check("learning_rate", above=0.0)
        self._check("weight_decay", at_least=0.0)
        if self.clip_norm is not None:
            self._check("clip_norm", above=0.0)
        if not isinstance(self.schedule, Schedule):
            raise ConfigError(
                f"{type(self).__name__} expects a schedule such as CosineDecay(). Received: schedule={self.schedule!r}."
            )
        object.__setattr__(self, "groups", check_groups(type(self).__name__, self.groups))

    def build(self, params: Any) -> optax.GradientTransformation:
        """The optax transformation for a learning rate of 1.

        Its updates are ready to be added: ``optax.apply_updates(params, rate * updates)``.

        Args:
            params: the parameters (arrays or their specs) that will be trained.
        """
        clip = [] if self.clip_norm is None else [optax.clip_by_global_norm(self.clip_norm)]
        parts = [*clip, *self._parts(params)]
        if self.groups:
            parts = grouped(parts, self.groups, params)
        return _with_implicit_promotion(optax.chain(*parts))

    def rate(self, step: ArrayLike, total_steps: int) -> NDArray[np.float32]:
        """The learning rate at optimiser steps ``step``, counted from 0, of a run of ``total_steps``.

        Returns:
            float32 array of step's shape.
        """
        return self.schedule(step, total_steps) * np.float32(self.learning_rate)

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        """The transformations of a chain whose updates are to be added to the weights, clipping apart."""
        raise NotImplementedError(f"{type(self).__name__} has no transformation.")

    def _decay(self) -> list[optax.GradientTransformation]:
        if self.weight_decay == 0.0:
            return []
        return [optax.add_decayed_weights(self.weight_decay, mask=_decayed)]

    def _check(
        self, field: str, *, above: float | None = None, at_least: float | None = None, below: float | None = None
    ) -> None:
        value = getattr(self, field)
        given = f"Received: {field}={value!r}."
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"{type(self).__name__} expects a finite number as {field}. {given}")
        wanted = [
            f"above {above:g}" if above is not None and not value > above else "",
            f"of at least {at_least:g}" if at_least is not None and not value >= at_least else "",
            f"below {below:g}" if below is not None and not value < below else "",
        ]
        if any(wanted):
            raise ConfigError(f"{type(self).__name__} expects a {field} {''.join(wanted)}. {given}")
        object.__setattr__(self, field, float(value))


@dataclass(frozen=True, repr=False)
class OptaxOptimizer(Optimizer):
    """Any optax transformation, used as it is: its own learning rate and schedule count, and `rate` is always 1.

    It trains; it cannot be written as JSON, so a run's configuration keeps its repr.
    """

    name: ClassVar[str] = "optax"

    learning_rate: float = 1.0
    transformation: optax.GradientTransformation = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learning_rate != 1.0 or self.schedule != ConstantRate() or self.weight_decay != 0.0:
            raise ConfigError(
                "An optax transformation has its own learning rate, schedule and weight decay.",
                "Set them inside, as in optax.adam(1e-3), or name the optimiser, as in Adam(1e-3).",
            )

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [self.transformation]


def _with_implicit_promotion(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same transformation under jax_numpy_dtype_promotion="strict", where optax's bias correction fails."""
    inner = optax.with_extra_args_support(inner)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        with jax.numpy_dtype_promotion("standard"):
            updates, state = inner.update(updates, state, params, **extra)
        return updates, state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _decayed(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
