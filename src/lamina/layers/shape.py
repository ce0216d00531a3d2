"""Layers that only change an array's shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError
from lamina.layers._checks import check_whole, is_whole
from lamina.layers.base import Context, Layer, Params, Spec, State, spec

__all__ = ["Flatten", "Reshape", "Subsample"]


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


@dataclass(frozen=True, repr=False)
class Subsample(Layer):
    """Every other place of each axis of space, with zeros for additional channels on both sides.

    A shortcut without weights, where a residual block halves its maps.

    Source: He et al. 2016, arXiv:1512.03385, section 3.3, option A.

    Args:
        channels: afterwards, at least as many as before.

    Shapes: ``(batch, *space, n)`` → ``(batch, *⌈space / 2⌉, channels)``.

    Raises:
        ShapeError: for an input with more channels.
    """

    channels: int

    def __post_init__(self) -> None:
        check_whole("Subsample", "channels", self.channels, 1)

    def out_spec(self, in_spec: Spec) -> Spec:
        if not in_spec.shape or in_spec.shape[-1] > self.channels:
            raise ShapeError(
                f"Subsample(channels={self.channels}) expects at most as many channels, got {in_spec.shape}."
            )
        return spec((*(-(-size // 2) for size in in_spec.shape[:-1]), self.channels), in_spec.dtype)

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        x = x[(slice(None), *[slice(None, None, 2)] * (x.ndim - 2))]
        more = self.channels - x.shape[-1]
        return jnp.pad(x, [*[(0, 0)] * (x.ndim - 1), (more // 2, more - more // 2)]), state
