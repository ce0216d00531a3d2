"""Learning-rate schedules: what the learning rate is multiplied by over a run.

All lengths are fractions of the run, so a schedule fits any number of steps. Values come from NumPy, outside the
compiled step, and equal those of optax's schedules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lamina.config import Config
from lamina.errors import ConfigError, nearest

__all__ = [
    "ConstantRate",
    "CosineDecay",
    "ExponentialDecay",
    "OneCycle",
    "Schedule",
    "StepDecay",
    "WarmUp",
    "resolve_schedule",
    "schedule_names",
]


class Schedule(Config):
    """Base of all schedules: ``schedule(step, total_steps) -> multiplier`` of the learning rate."""

    def __call__(self, step: ArrayLike, total_steps: int) -> NDArray[np.float32]:
        """The multiplier.

        Args:
            step: optimiser steps done so far, from 0: a number or an array. Beyond the run its end counts.
            total_steps: optimiser steps of the whole run, at least 1.

        Returns:
            float32 array of step's shape.
        """
        if total_steps < 1:
            raise ConfigError(f"A schedule needs a run of at least one step. Received: total_steps={total_steps}.")
        steps = np.clip(np.asarray(step, np.float64), 0, total_steps)
        return np.asarray(self.values(steps, total_steps), np.float32)

    def values(self, steps: NDArray[np.float64], total_steps: int) -> NDArray[np.float64]:
        """What a schedule of your own writes: multipliers for steps in [0, total_steps]."""
        raise NotImplementedError(f"{type(self).__name__} has no values.")

    def _check(self, field: str, low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> None:
        value: Any = getattr(self, field)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < low or value > high or (open_low and value == low) or (open_high and value == high):
            bounds = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
            raise ConfigError(
                f"{type(self).__name__} expects a number in {bounds} as {field}. Received: {field}={value!r}."
            )
        object.__setattr__(self, field, float(value))


@dataclass(frozen=True, repr=False)
class ConstantRate(Schedule):
    """1 throughout."""

    def values(self, steps: NDArray[np.float64], total_steps: int) -> NDArray[np.float64]:
        return np.ones_like(steps)


@dataclass(frozen=True, repr=False)
class StepDecay(Schedule):
    """``factor ^ ⌊step / (every · total)⌋``: a drop after each part of the run.

    Args:
        every: length of a part, as a fraction of the run in (0, 1], rounded to whole steps.
        factor: what each drop multiplies by, in (0, 1].
    """

    every: float = 0.3
    factor: float = 0.1

    def __post_init__(self) -> None:
        self._check("every", 0, 1, open_low=True)
        self._check("factor", 0, 1, open_low=True)

    def values(self, steps: NDArray[np.float64], total_steps: int) -> NDArray[np.float64]:
        return np.asarray(self.factor ** (steps // max(1, round(self.every * total_steps))))


@dataclass(frozen=True, repr=False)
class ExponentialDecay(Schedule):
    """``final ^ (step / total)``: the same share off at each step, down to ``final`` at the run's end.

    Args:
        final: the multiplier at the end, in (0, 1].
    """

    final: float = 0.01

    def __post_init__(self) -> None:
        self._check("final", 0, 1, open_low=True)

    def values(self, steps: NDArray[np.float64], total_steps: int) -> NDArray[np.float64]:
        return np.asarray(self.final ** (steps / total_steps))


@dataclass(frozen=True, repr=False)
class WarmUp(Schedule):
    """A straight ramp up to 1, then another schedule over the rest of the run.

    The ramp is ``(step + 1) / (w + 1)`` over its w steps: no step is wasted on a rate of zero.

    Source: Goyal et al. 2017, arXiv:1706.02677.

    Args:
        fraction: length of the ramp, as a fraction of the run in [0, 1), rounded to whole steps.
        then: the schedule of the rest.
    """

    fraction: float = 0.05
    then: Schedule = ConstantRate()

    def __post_init__(self) -> None:
        self._check("fraction", 0, 1, open_high=True)
        if not isinstance(self.then, Schedule):
            raise ConfigError(f"WarmUp expects a schedule as then. Received: then={self.then!r}.")

    def values(self, steps: NDArray[np.float64], total_steps: int) -> NDArray[np.float64]:
        ramp = min(round(self.fraction * total_steps), total_steps - 1)
        rest = self.then.values(np.maximum(steps - ramp, 0), total_steps - ramp)
        return np.where(steps < ramp, (steps + 1) / (ramp + 1), rest)


@dataclass(frozen=True, repr=False)
class CosineDecay(Schedule):
    """``final + (1 − final) · (1 + cos(π · step / total)) / 2``, after a ramp as in `WarmUp`.

    Source: Loshchilov and Hutter 2017, ICLR, arXiv:1608.03983, without restarts.

    Args:
        warmup: length of the ramp, as a fraction of the run in [0, 1).
        final: the multiplier at the end, in [0, 1].
    """

    warmup: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        self._check("warmup", 0, 1, open_high=True)
        self._check("final", 0, 1)

    def values(self, steps: NDArray[np.float64], total_steps: int) -> NDArray[np.float64]:
        if self.warmup:
            return WarmUp(self.warmup, CosineDecay(0.0, self.final)).values(steps, total_steps)
        return _cosine(1.0, self.final, steps / total_steps)


@dataclass(frozen=True, repr=False)
class OneCycle(Schedule):
    """Up along half a cosine from ``initial`` to 1, then down along another to ``final``.

    Source: Smith and Topin 2017, arXiv:1708.07120. Departure: cosines in place of straight lines, and momentum stays.

    Args:
        peak: where the top is, as a fraction of the run in [0, 1].
        initial, final: the multipliers at the start and at the end, in [0, 1].
    """

    peak: float = 0.3
    initial: float = 0.04
    final: float = 4e-6

    def __post_init__(self) -> None:
        self._check("peak", 0, 1)
        self._check("initial", 0, 1)
        self._check("final", 0, 1)

    def values(self, steps: NDArray[np.float64], total_steps: int) -> NDArray[np.float64]:
        top = int(self.peak * total_steps)
        rise = _cosine(self.initial, 1.0, steps / max(top, 1))
        fall = _cosine(1.0, self.final, (steps - top) / max(total_steps - top, 1))
        return np.where(steps < top, rise, fall)


_BY_NAME: dict[str, type[Schedule]] = {
    "constant": ConstantRate,
    "step": StepDecay,
    "exponential": ExponentialDecay,
    "cosine": CosineDecay,
    "warmup": WarmUp,
    "one_cycle": OneCycle,
}


def schedule_names() -> tuple[str, ...]:
    """The names that `resolve_schedule` knows."""
    return tuple(_BY_NAME)


def resolve_schedule(value: str | Schedule) -> Schedule:
    """The schedule meant by a name such as ``"cosine"``; a schedule as it is.

    Raises:
        ConfigError: for an unknown name; near ones are offered.
    """
    if isinstance(value, Schedule):
        return value
    key = value.lower().replace("-", "_") if isinstance(value, str) else ""
    if key not in _BY_NAME:
        raise ConfigError(f"Unknown schedule {value!r}.", nearest(str(value), _BY_NAME))
    return _BY_NAME[key]()


def _cosine(start: float, end: float, progress: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(end + (start - end) * (1 + np.cos(np.pi * progress)) / 2)
