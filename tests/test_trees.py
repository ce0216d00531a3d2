from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lamina import trees
from lamina.errors import ModelFileError

TREE = {"b": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}, "a": np.int32(7)}


def test_paths_name_the_leaves_in_jaxs_order() -> None:
    assert trees.paths(TREE) == ["a", "b.bias", "b.kernel"]
    assert [leaf.shape for leaf in jax.tree.leaves(TREE)] == [(), (3,), (2, 3)]


def test_flatten_and_fill_are_inverse() -> None:
    table = trees.flatten(TREE, "params.")
    assert set(table) == {"params.a", "params.b.bias", "params.b.kernel"}
    back = trees.fill(TREE, trees.from_bytes(trees.to_bytes(table)), "params.")
    assert jax.tree.structure(back) == jax.tree.structure(TREE)
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(TREE), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_array_equal(one, other)


def test_random_keys_travel_as_their_data() -> None:
    (data,) = trees.flatten({"key": jax.random.key(5)}).values()
    np.testing.assert_array_equal(data, jax.random.key_data(jax.random.key(5)))


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float16, np.int32, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, min_side=0, max_dims=4),
    )
)
def test_arrays_of_any_shape_come_back_bit_for_bit(array: np.ndarray) -> None:
    strided = array[..., ::-1] if array.ndim else array
    back = trees.from_bytes(trees.to_bytes({"x": array, "strided": strided}))
    for name, expected in (("x", array), ("strided", strided)):
        assert (back[name].shape, back[name].dtype) == (expected.shape, expected.dtype)
        assert back[name].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.pop("b.bias"), r"no entry b\.bias"),
        (lambda table: table.update({"b.bias": np.zeros(4, np.float32)}), r"\(4,\) float32; the network needs \(3,\)"),
        (lambda table: table.update({"a": np.float32(7)}), "float32; the network needs .* int32"),
    ],
)
def test_fill_names_what_is_missing_or_different(change: Any, words: str) -> None:
    table = trees.flatten(TREE)
    change(table)
    with pytest.raises(ModelFileError, match=words):
        trees.fill(TREE, table)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_arrays_or_an_error(data: bytes) -> None:
    words = ""
    try:
        assert isinstance(trees.from_bytes(data), dict)
    except ModelFileError as error:
        words = str(error)
    assert not words or "cannot be read" in words


def test_nested_merge_and_without() -> None:
    tree = {"a": {"b": np.ones(2), "c": np.zeros(3)}, "d": np.ones(1)}
    again = trees.nested(trees.flatten(tree))
    assert trees.paths(again) == trees.paths(tree)
    assert set(trees.flatten(trees.without(tree, "a.b"))) == {"a.c", "d"}
    assert set(trees.flatten(trees.without(tree, "a"))) == {"d"}
    merged = trees.merge(tree, {"a": {"b": np.full(2, 5.0)}, "e": np.ones(4)})
    assert set(trees.flatten(merged)) == {"a.b", "a.c", "d", "e"}
    np.testing.assert_array_equal(merged["a"]["b"], [5.0, 5.0])
    np.testing.assert_array_equal(tree["a"]["b"], [1.0, 1.0])
