"""Initial values of parameters."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lamina.config import Config

__all__ = ["HeNormal", "Initializer", "Zeros"]


class Initializer(Config):
    """Makes an array of initial values: ``initializer(key, shape) -> float32 array``."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Zeros(Initializer):
    """All zeros."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jnp.zeros(shape, jnp.float32)


@dataclass(frozen=True, repr=False)
class HeNormal(Initializer):
    """Normal with variance 2 / fan_in."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jax.nn.initializers.he_normal()(key, shape, jnp.float32)
