"""What several layers ask of their options and inputs, and the words when they do not get it."""

from __future__ import annotations

import math
import numbers
from typing import Any

import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError


def is_whole(value: Any, least: int) -> bool:
    """Whether the value is a whole number of at least ``least``."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least


def check_whole(who: str, name: str, value: Any, least: int = 1) -> None:
    """Refuse anything but a whole number of at least ``least``."""
    if not is_whole(value, least):
        raise ConfigError(f"{who} needs a whole number of at least {least} for {name}. Received: {name}={value!r}.")


def check_floating(who: str, dtype: Any) -> None:
    """Refuse whole numbers and booleans, in which weights would be cut to zeros."""
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ShapeError(
            f"{who} computes with floating-point numbers, got {jnp.dtype(dtype).name}.",
            "Convert first: x.astype('float32').",
        )


def check_rate(who: str, name: str, value: Any) -> None:
    """Refuse anything but a fraction to drop."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(
            f"{who}'s {name} is the fraction dropped, at least 0 and below 1. Received: {name}={value!r}."
        )


def check_number(who: str, name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> None:
    """Refuse anything but a finite number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{who} needs a finite number for {name}. Received: {name}={value!r}.")
    if not low <= value <= high:
        raise ConfigError(f"{who} needs {name} between {low} and {high}. Received: {name}={value!r}.")
