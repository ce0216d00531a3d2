"""The bag of n-grams against a loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ConfigError, ShapeError
from lamina.layers.base import spec

CODES = np.asarray([[1, 2, 3, 1], [4, 4, 0, 0]], np.int32)
LENGTHS = np.asarray([4, 2], np.int32)


def bucket(codes: list[int], buckets: int) -> int:
    hashed = 0x811C9DC5
    for code in codes:
        hashed = ((hashed ^ code) * 0x01000193) % 2**32
    return (hashed ^ (hashed >> 15)) % buckets


@pytest.mark.parametrize("order", [1, 2, 3])
def test_it_sums_the_vectors_of_all_n_grams_within_the_length(order: int) -> None:
    layer = lm.BagOfNGrams(6, 5, order, buckets=50)
    params, state = layer.init(jax.random.key(0), lm.Masked(spec((4,), "int32"), spec((), "int32")))
    y, _ = layer.apply(params, state, lm.Masked(jnp.asarray(CODES), jnp.asarray(LENGTHS)))
    for row, length, found in zip(CODES, LENGTHS, np.asarray(y), strict=True):
        vectors = [np.asarray(params["table"][code]) for code in row[:length]]
        for width in range(2, order + 1):
            grams = [row[i : i + width].tolist() for i in range(length - width + 1)]
            vectors += [np.asarray(params["ngrams"][bucket(gram, 50)]) for gram in grams]
        np.testing.assert_allclose(found, np.sum(vectors, axis=0) / np.sqrt(len(vectors)), rtol=1e-5, atol=1e-6)


def test_what_lies_past_the_end_changes_nothing() -> None:
    layer = lm.BagOfNGrams(6, 5)
    masked = lm.Masked(jnp.asarray(CODES), jnp.asarray(LENGTHS))
    params, state = layer.init(jax.random.key(0), lm.Masked(spec((4,), "int32"), spec((), "int32")))
    other = lm.Masked(masked.values.at[1, 2:].set(99), masked.lengths)

    def total(params: object, x: lm.Masked) -> jax.Array:
        return jnp.sum(layer.apply(params, state, x)[0] ** 2)

    found = [jax.value_and_grad(total)(params, x) for x in (masked, other)]
    jax.tree.map(np.testing.assert_array_equal, *found)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_n_grams_drop_out_in_training_alone_and_the_mean_is_kept() -> None:
    layer = lm.BagOfNGrams(6, 3, drop=0.5)
    params, state = layer.init(jax.random.key(0), spec((4,), "int32"))
    x = jnp.asarray(np.tile(CODES[:1], (4000, 1)))
    still, _ = layer.apply(params, state, x[:1])
    dropped, _ = layer.apply(params, state, x, train=True, key=jax.random.key(1))
    assert float(jnp.std(dropped, axis=0).min()) > 0
    np.testing.assert_allclose(dropped.mean(axis=0), still[0], atol=0.005)


def test_an_unknown_code_gives_nan() -> None:
    layer = lm.BagOfNGrams(6, 3, order=1)
    params, state = layer.init(jax.random.key(0), spec((2,), "int32"))
    y, _ = layer.apply(params, state, jnp.asarray([[6, 1], [-1, 1], [5, 1]]))
    assert np.isnan(np.asarray(y)).all(axis=1).tolist() == [True, True, False]


def test_it_refuses_what_are_no_codes() -> None:
    with pytest.raises(ShapeError, match="whole numbers"):
        lm.BagOfNGrams(6, 3).init(jax.random.key(0), (4,))
    with pytest.raises(ConfigError, match="drop is the share left out"):
        lm.BagOfNGrams(6, 3, drop=1.0)
    with pytest.raises(ConfigError, match="order"):
        lm.BagOfNGrams(6, 3, order=0)
