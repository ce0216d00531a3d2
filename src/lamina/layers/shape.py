"""Layers that only change an array's shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax

from lamina.errors import ConfigError, ShapeError
from lamina.layers._checks import is_whole
from lamina.layers.base import Context, Layer, Params, Spec, State, spec

__all__ = ["Flatten", "Reshape"]


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """All axes but the batch become one, the last axis (channels) running fastest.

    Shapes: ``(batch, ...)`` → ``(batch, product of the rest)``.
    """

    def out_spec(self, in_spec: Spec) -> Spec:
        return spec((math.prod(in_spec.shape),), in_spec.dtype)

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), state


@dataclass(frozen=True, repr=False)
class Reshape(Layer):
    """The same numbers under another shape.

    Args:
        shape: of one example, without the batch axis; one size may be -1 and is then inferred.

    Shapes: ``(batch, ...)`` → ``(batch, *shape)``.

    Raises:
        ShapeError: where the numbers of elements differ.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        given = self.shape
        sizes = tuple(given) if isinstance(given, list | tuple) else (given,)
        if not all(is_whole(size, -1) for size in sizes) or sizes.count(-1) > 1:
            raise ConfigError(
                f"Reshape needs a shape of whole numbers, at most one of them -1. Received: shape={given!r}."
            )
        object.__setattr__(self, "shape", sizes)

    def _resolved(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        size = math.prod(shape)
        fixed = math.prod(part for part in self.shape if part != -1)
        if -1 in self.shape:
            inferred = size // fixed if fixed else 0
            resolved = tuple(inferred if part == -1 else part for part in self.shape)
        else:
            resolved = self.shape
        if math.prod(resolved) != size:
            raise ShapeError(f"Reshape cannot turn {tuple(shape)} ({size} numbers) into {self.shape}.")
        return resolved

    def out_spec(self, in_spec: Spec) -> Spec:
        return spec(self._resolved(in_spec.shape), in_spec.dtype)

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        return x.reshape(x.shape[0], *self._resolved(x.shape[1:])), state
