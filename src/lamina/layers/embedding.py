"""Embedding: a learned vector for each word, category or other whole number."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lamina.errors import ShapeError
from lamina.initializers import Initializer, Uniform
from lamina.layers._checks import check_whole
from lamina.layers.base import Context, Layer, Params, Spec, State, spec

__all__ = ["Embedding"]


@dataclass(frozen=True, repr=False)
class Embedding(Layer):
    """y = E[x]: row x of a learned table.

    An index outside 0 … vocabulary - 1 gives NaN, never another word's vector: the loss turns NaN and training stops
    with this layer's name, where clamping would learn nonsense in silence.

    Source: Bengio et al. 2003, "A neural probabilistic language model", JMLR 3:1137-1155.

    Args:
        vocabulary: number of rows.
        features: length of each vector.
        table_init: initial values of the table ``(vocabulary, features)``.

    Shapes: whole numbers ``(batch, ...)`` → ``(batch, ..., features)`` in the dtype of the table, or of the context.
    Initialise it with a spec, since a bare shape means float32:
    ``net.init(key, jax.ShapeDtypeStruct((length,), "int32"))``.

    Raises:
        ShapeError: for inputs that are not whole numbers.
    """

    on_masked = "each"

    vocabulary: int
    features: int
    table_init: Initializer = Uniform(0.05)

    def __post_init__(self) -> None:
        check_whole("Embedding", "vocabulary", self.vocabulary)
        check_whole("Embedding", "features", self.features)

    def out_spec(self, in_spec: Spec) -> Spec:
        _check_integer(in_spec.dtype)
        return spec((*in_spec.shape, self.features), jnp.float32)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        return {"table": self.table_init(key, (self.vocabulary, self.features))}, {}

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        _check_integer(x.dtype)
        if x.dtype.itemsize < 4:
            x = x.astype(jnp.int32)
        # jnp.take lets negative indices count from the end.
        rows = jnp.where(x < 0, self.vocabulary, x)
        vectors = jnp.take(params["table"], rows, axis=0, mode="fill", fill_value=jnp.nan)
        return vectors.astype(ctx.dtype or vectors.dtype), state


def _check_integer(dtype: jnp.dtype) -> None:
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ShapeError(
            f"Embedding looks up whole numbers, got {jnp.dtype(dtype).name}.",
            "Initialise the network with jax.ShapeDtypeStruct(shape, 'int32') and feed it integers.",
        )
