"""Channels and bands with a mean and a spread each: what pictures, videos and spectrograms share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from lamina.errors import ConfigError

__all__ = ["as_floats", "check_channels", "standardised"]


def as_floats(values: Any) -> tuple[float, ...]:
    """Means or deviations, as JSON or NumPy gives them, as a tuple that compares and hashes."""
    return tuple(float(value) for value in values)


def check_channels(channels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Refuse anything but a mean and a positive standard deviation for each channel.

    Raises:
        ConfigError: with what was received.
    """
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise ConfigError(
            f"Expected a mean and a positive standard deviation for each of the {channels} channels. "
            f"Received: mean={mean}, std={std}."
        )


def standardised(x: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> Any:
    """``(x − mean) / std`` along the last axis, in float32, inside the compiled program."""
    centre, spread = jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32)
    return (x.astype(jnp.float32) - centre) / spread
