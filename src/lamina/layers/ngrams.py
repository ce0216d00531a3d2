"""A bag of n-grams: what occurs in a sequence, whatever the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError
from lamina.initializers import Initializer, Uniform
from lamina.layers._checks import check_whole
from lamina.layers.base import Context, Layer, Params, Spec, State, spec
from lamina.layers.masked import Masked

__all__ = ["BagOfNGrams"]

_PRIME = 0x01000193  # of the FNV hash


@dataclass(frozen=True, repr=False)
class BagOfNGrams(Layer):
    """y = (Σ of a learned vector for each code and each n-gram of codes in the sequence) / √(their number).

    Each code has a vector of its own; n-grams of two codes and more share ``buckets`` vectors by their hash (FNV-1a
    over the codes). In training every n-gram is left out with probability ``drop``, the others counting for more: a
    bag then cannot rely on single words.

    Source: Joulin et al. 2016, "Bag of tricks for efficient text classification", arXiv:1607.01759 (the vectors and
    their hash); Wang & Manning 2013, "Fast dropout training", ICML (n-grams that drop out). Departure: the sum is
    divided by the root of the number, where fastText takes the mean, so that a long text says more than a short one.

    Args:
        vocabulary: number of codes.
        features: length of the vectors.
        order: n-grams of up to this many codes.
        buckets: vectors that n-grams of two codes and more share.
        drop: share of the n-grams that is left out in training, 0 <= drop < 1.
        table_init: initial values of both tables.

    Params: ``{"table": (vocabulary, features), "ngrams": (buckets, features)}``, the latter where order > 1.

    Shapes: whole numbers `Masked` ``(batch, steps)`` or an array of them → ``(batch, features)``. A code outside
    0 … vocabulary - 1 gives NaN.

    Raises:
        ShapeError: for what is no sequence of whole numbers.
    """

    on_masked = "own"

    vocabulary: int
    features: int
    order: int = 2
    buckets: int = 1 << 16
    drop: float = 0.0
    table_init: Initializer = Uniform(0.05)

    def __post_init__(self) -> None:
        for name in ("vocabulary", "features", "order", "buckets"):
            check_whole("BagOfNGrams", name, getattr(self, name), 1)
        if isinstance(self.drop, bool) or not isinstance(self.drop, int | float) or not 0 <= self.drop < 1:
            raise ConfigError(
                f"BagOfNGrams' drop is the share left out, at least 0 and below 1. Received: drop={self.drop!r}."
            )

    def out_spec(self, in_spec: Spec) -> Spec:
        _check(in_spec, 1)
        return spec((self.features,), jnp.float32)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        own, shared = jax.random.split(key)
        params = {"table": self.table_init(own, (self.vocabulary, self.features))}
        if self.order > 1:
            params["ngrams"] = self.table_init(shared, (self.buckets, self.features))
        return params, {}

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[jax.Array, State]:
        _check(x, 2)
        codes = (x.values if isinstance(x, Masked) else x).astype(jnp.int32)
        steps = codes.shape[1]
        lengths = x.lengths if isinstance(x, Masked) else jnp.full(codes.shape[:1], steps, jnp.int32)
        total: Any = 0.0
        count: Any = 0.0
        hashed = jnp.full(codes.shape, 0x811C9DC5, jnp.uint32)
        for order in range(1, min(self.order, steps) + 1):
            width = steps - order + 1
            hashed = (hashed[:, :width] ^ codes[:, order - 1 :].astype(jnp.uint32)) * jnp.uint32(_PRIME)
            inside = jnp.arange(width, dtype=jnp.int32) < lengths[:, None] - (order - 1)
            if order == 1:
                rows = jnp.where(codes < 0, self.vocabulary, codes)  # negative ones would count from the end
                vectors = jnp.take(params["table"], rows, axis=0, mode="fill", fill_value=jnp.nan)
            else:
                mixed = (hashed ^ (hashed >> 15)) % jnp.uint32(self.buckets)
                vectors = params["ngrams"].at[mixed.astype(jnp.int32)].get(mode="promise_in_bounds")
            weight = inside.astype(vectors.dtype)
            count = count + jnp.sum(weight, axis=1)
            if ctx.train and self.drop:
                kept = jax.random.bernoulli(jax.random.fold_in(ctx.rng(), order), 1 - self.drop, inside.shape)
                weight = weight * kept.astype(weight.dtype) / (1 - self.drop)
            # What lies past the end is left out, and not multiplied by 0: it may be any code.
            vectors = jnp.where(inside[..., None], vectors, 0.0)
            total = total + jnp.einsum("bsf,bs->bf", vectors, weight)
        means = total / jnp.sqrt(jnp.maximum(count, 1.0))[:, None]
        return means.astype(ctx.dtype or means.dtype), state


def _check(x: Any, rank: int) -> None:
    if len(x.shape) != rank or not jnp.issubdtype(x.dtype, jnp.integer):
        batch = "(batch, steps)" if rank == 2 else "(steps,)"
        raise ShapeError(
            f"BagOfNGrams takes sequences of whole numbers {batch}, got {tuple(x.shape)} {jnp.dtype(x.dtype).name}.",
            "Put it first, on the codes of words or characters.",
        )
