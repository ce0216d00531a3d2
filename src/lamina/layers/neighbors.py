"""Nearest neighbours as the end of a network."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from lamina.errors import ShapeError
from lamina.kernels.precision import widened
from lamina.layers._checks import check_floating, check_whole
from lamina.layers.base import Context, Layer, Params, Spec, State, spec

__all__ = ["NearestNeighbors"]

_FLOOR = 1e-9  # the share of a class that no neighbour has


@dataclass(frozen=True, repr=False)
class NearestNeighbors(Layer):
    """y = log(share of each class among the ``neighbors`` stored examples most like x), so that softmax gives shares.

    Likeness is the cosine of the angle between two vectors. Of equally near examples the first stored counts.

    Source: Cover & Hart 1967, "Nearest neighbor pattern classification", IEEE Transactions on Information Theory 13.

    Args:
        units: number of classes.
        neighbors: how many of the nearest vote, at most ``examples``.
        examples: how many are stored.

    State: ``{"examples": (examples, features) float32, of length 1, "labels": (examples, units)
    float32, 1 at each one's class}``; it is set, not learned (see `lamina.transfer.fit_head`).

    Shapes: ``(batch, features)`` → ``(batch, units)``.
    """

    units: int
    neighbors: int
    examples: int

    def __post_init__(self) -> None:
        check_whole("NearestNeighbors", "units", self.units, 1)
        check_whole("NearestNeighbors", "examples", self.examples, 1)
        check_whole("NearestNeighbors", "neighbors", self.neighbors, 1)

    def out_spec(self, in_spec: Spec) -> Spec:
        check_floating("NearestNeighbors", in_spec.dtype)
        if len(in_spec.shape) != 1:
            raise ShapeError(f"NearestNeighbors takes vectors, got {in_spec.shape}.", "Put a GlobalAvgPool before it.")
        return spec((self.units,), in_spec.dtype)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        stored = jnp.zeros((self.examples, in_spec.shape[0]), jnp.float32)
        return {}, {"examples": stored, "labels": jnp.zeros((self.examples, self.units), jnp.float32)}

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        wide = widened(x)
        length = jnp.sqrt(jnp.sum(jnp.square(wide), -1, keepdims=True))
        likeness = (wide / jnp.maximum(length, 1e-12)) @ jnp.asarray(state["examples"], wide.dtype).T
        _, nearest = lax.top_k(likeness, min(self.neighbors, self.examples))
        votes = jnp.asarray(state["labels"], wide.dtype)[nearest]
        return jnp.log(jnp.maximum(jnp.mean(votes, axis=1), _FLOOR)).astype(x.dtype), state
