"""Groups of parameters, each with a learning rate of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from lamina import trees
from lamina.errors import ConfigError, nearest

__all__ = ["Groups", "check_groups", "grouped"]

Groups: TypeAlias = tuple[tuple[str, float], ...]


def check_groups(who: str, groups: Any) -> Groups:
    """The groups as tuples. Raises `ConfigError` for anything but pairs of a path and a factor of at least 0."""
    try:
        pairs = [(path, factor) for path, factor in groups]
    except (TypeError, ValueError):
        raise ConfigError(f"{who} expects groups as pairs (path, factor). Received: groups={groups!r}.") from None
    for path, factor in pairs:
        number = isinstance(factor, int | float) and not isinstance(factor, bool)
        if not isinstance(path, str) or not path or not number or not 0 <= factor < math.inf:
            raise ConfigError(
                f"{who} expects groups as pairs of a path and a factor of at least 0, such as ('layer1', 0.1). "
                f"Received: {(path, factor)!r}."
            )
    return tuple((path, float(factor)) for path, factor in pairs)


def grouped(
    parts: Sequence[optax.GradientTransformation], groups: Groups, params: Any
) -> list[optax.GradientTransformation]:
    """Transformations whose updates are scaled by the factor of each parameter's group.

    Raises:
        ConfigError: for a path that no parameter lies at.
    """
    paths = trees.paths(params)
    for pattern, _ in groups:
        if not any(_fits(path, pattern) for path in paths):
            first = {path.partition(".")[0] for path in paths}
            raise ConfigError(f"No parameter lies at the group's path {pattern!r}.", nearest(pattern, first))
    factors = [next((factor for pattern, factor in groups if _fits(path, pattern)), 1.0) for path in paths]
    tree = jax.tree.unflatten(jax.tree.structure(params), factors)

    def learned(update: jax.Array, factor: float) -> jax.Array:
        return jnp.zeros_like(update) if factor == 0 else update

    def scaled(update: jax.Array, factor: float) -> jax.Array:
        return jnp.zeros_like(update) if factor == 0 else update * jnp.asarray(factor, update.dtype)

    # What stays as it is has no part in the norm that is clipped, and its gradient need not be computed.
    before = optax.stateless(lambda updates, params: jax.tree.map(learned, updates, tree))
    after = optax.stateless(lambda updates, params: jax.tree.map(scaled, updates, tree))
    return [before, *parts, after]


def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")
