"""Parameters that several places of a network share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, nearest
from lamina.layers.base import (
    Context,
    Layer,
    Params,
    Spec,
    State,
)

__all__ = ["Tied", "Ties", "completed", "released"]

Ties: TypeAlias = tuple[tuple[str, str], ...]  # path of the parameter that is not made, path (and ".T") of its source


@dataclass(frozen=True, init=False, repr=False)
class Tied(Layer):
    """A network some of whose parameters are others, possibly transposed: they are trained as one.

    Args:
        body: the network.
        ties: ``{"decoder.2.kernel": "encoder.0.kernel.T"}``: the parameter on the left is not made; the one on the
            right (``.T``: its last two axes swapped) takes its place.

    Raises:
        ConfigError: where a path is not one of the network's parameters, or the shapes differ.
    """

    on_masked = "own"

    body: Layer
    ties: Ties

    def __init__(self, body: Layer, ties: Mapping[str, str] | Sequence[tuple[str, str]]) -> None:
        pairs = ties.items() if isinstance(ties, Mapping) else ties
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "ties", tuple((target, source) for target, source in pairs))

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield "body", self.body

    def out_spec(self, in_spec: Spec) -> Spec:
        return self.body.out_spec(in_spec)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params, state = self.body.setup(key, in_spec)
        return released(params, self.ties), state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        return self.body.apply(completed(params, self.ties), state, x, ctx)


def released(params: Params, ties: Ties) -> Params:
    """Params without those that are tied to others.

    Raises:
        ConfigError: where a path is not one of the parameters, or the shapes differ.
    """
    for target, source in ties:
        if _find(params, target).shape != _tied_value(params, source).shape:
            raise ConfigError(
                f"Tied: {target} has shape {_find(params, target).shape}, "
                f"but {source} has {_tied_value(params, source).shape}."
            )
    for target, _ in ties:
        params = _without(params, target.split("."))
    for _, source in ties:
        _tied_value(params, source)
    return params


def completed(params: Params, ties: Ties) -> Params:
    """Params with those in their places that are tied to others."""
    whole = params
    for target, source in ties:
        whole = _with(whole, target.split("."), _tied_value(params, source))
    return whole


def _find(params: Params, path: str) -> jax.Array:
    value: Any = params
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            known = [
                jax.tree_util.keystr(key, simple=True, separator=".") for key, _ in jax.tree.leaves_with_path(params)
            ]
            raise ConfigError(f"Tied: the network has no parameter {path!r}.", nearest(path, known))
        value = value[name]
    return cast(jax.Array, value)


def _tied_value(params: Params, source: str) -> jax.Array:
    if source.endswith(".T"):
        return jnp.swapaxes(_find(params, source.removesuffix(".T")), -1, -2)
    return _find(params, source)


def _without(params: Params, path: list[str]) -> Params:
    copy = dict(params)
    if len(path) == 1:
        del copy[path[0]]
        return copy
    inner = _without(copy[path[0]], path[1:])
    if inner:
        copy[path[0]] = inner
    else:
        del copy[path[0]]
    return copy


def _with(params: Params, path: list[str], value: jax.Array) -> Params:
    copy = dict(params)
    copy[path[0]] = value if len(path) == 1 else _with(copy.get(path[0], {}), path[1:], value)
    return copy
