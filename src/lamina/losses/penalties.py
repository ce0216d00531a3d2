"""Penalties on weights, and the max-norm constraint."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lamina.config import Config
from lamina.errors import ConfigError, nearest
from lamina.losses.base import floating

__all__ = ["L1", "L2", "MaxNorm", "Penalty"]


@dataclass(frozen=True, repr=False)
class Penalty(Config):
    """Base of penalties on weights: ``penalty(params) -> scalar``, to be added to the loss.

    Args:
        strength: λ, at least 0.
        paths: which parameters, as a pattern on their dotted paths: ``*`` matches anything.
    """

    strength: float
    paths: str = "*kernel*"

    def __post_init__(self) -> None:
        _check_strength(self, "strength", self.strength)

    def __call__(self, params: Any) -> jax.Array:
        """The penalty as a float32 scalar.

        Raises:
            ConfigError: when no parameter matches ``paths``.
        """
        chosen = _matching(self, self.paths, params)
        return self.strength * sum((self.of(floating(leaf)) for leaf in chosen), start=jnp.zeros(()))

    def of(self, array: jax.Array) -> jax.Array:
        """The penalty of one array at strength 1."""
        raise NotImplementedError(f"{type(self).__name__} has no method 'of'.")


@dataclass(frozen=True, repr=False)
class L1(Penalty):
    """``λ Σ|w|``: drives weights to exactly zero. Source: Tibshirani 1996, JRSS B 58:267-288."""

    def of(self, array: jax.Array) -> jax.Array:
        return jnp.sum(jnp.abs(array))


@dataclass(frozen=True, repr=False)
class L2(Penalty):
    """``λ Σ w²``, as Keras has it (an optimiser's ``weight_decay`` of 2λ does the same to the gradient)."""

    def of(self, array: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(array))


@dataclass(frozen=True, repr=False)
class MaxNorm(Config):
    """Shrinks the incoming weights of every unit to a norm of at most ``limit``: ``constraint(params) -> params``.

    A unit's incoming weights are all axes but the last. Applied after each step.

    Source: Srivastava et al. 2014, JMLR 15:1929-1958.

    Args:
        limit: the greatest Euclidean norm; above 0.
        paths: which parameters, as a pattern on their dotted paths: ``*`` matches anything.
    """

    limit: float
    paths: str = "*kernel*"

    def __post_init__(self) -> None:
        _check_strength(self, "limit", self.limit)
        if self.limit == 0:
            raise ConfigError("MaxNorm expects a limit above 0. Received: limit=0.")

    def __call__(self, params: Any) -> Any:
        """Params with the chosen ones shrunk.

        Raises:
            ConfigError: when no parameter matches ``paths``.
        """
        _matching(self, self.paths, params)

        def shrink(path: Any, leaf: jax.Array) -> jax.Array:
            if not fnmatch.fnmatchcase(_dotted(path), self.paths):
                return leaf
            squares = jnp.sum(jnp.square(floating(leaf)), axis=tuple(range(leaf.ndim - 1)), keepdims=True)
            norm = jnp.sqrt(jnp.maximum(squares, self.limit**2))
            return leaf * (self.limit / norm).astype(leaf.dtype)

        return jax.tree_util.tree_map_with_path(shrink, params)


def _check_strength(config: Config, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(
            f"{type(config).__name__} expects a finite number of at least 0 as {name}. Received: {name}={value!r}."
        )
    object.__setattr__(config, name, float(value))


def _dotted(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _matching(config: Config, pattern: str, params: Any) -> list[jax.Array]:
    leaves = {_dotted(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    chosen = [leaf for path, leaf in leaves.items() if fnmatch.fnmatchcase(path, pattern)]
    if not chosen:
        raise ConfigError(
            f"{type(config).__name__} finds no parameter whose path matches {pattern!r}.", nearest(pattern, leaves)
        )
    return chosen
