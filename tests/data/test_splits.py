"""Splits: every index once, classes in proportion, duplicates on one side, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.data.splits import (
    THREE_WAY,
    class_warnings,
    describe_duplicates,
    describe_splits,
    digest,
    find_duplicates,
    random_split,
    stratified,
)
from lamina.errors import DataError


@given(
    labels=st.lists(st.integers(0, 4), max_size=60),
    groups=st.lists(st.integers(0, 20), min_size=60, max_size=60),
    seed=st.integers(0, 2**32),
)
def test_a_split_is_a_partition_that_keeps_groups_together(labels: list[int], groups: list[int], seed: int) -> None:
    ids = np.asarray(groups[: len(labels)], np.int64)
    parts = stratified(labels, THREE_WAY, seed, ids)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    sides = [set(ids[part].tolist()) for part in parts]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


@given(counts=st.lists(st.integers(3, 40), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_every_class_has_its_share_of_every_part(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    parts = stratified(labels, THREE_WAY, seed)
    for label, count in enumerate(counts):
        for part, share in zip(parts, THREE_WAY, strict=True):
            found = int(np.sum(labels[part] == label))
            assert found >= 1
            assert abs(found - share * count) <= 2


def test_exact_shares_where_they_are_whole_numbers() -> None:
    parts = stratified(np.repeat(["a", "b"], 100), THREE_WAY, seed=3)
    assert [len(part) for part in parts] == [160, 20, 20]


def test_a_class_too_small_for_all_parts_fills_the_training_part_first() -> None:
    labels = np.asarray([0] * 30 + [1] * 2 + [2])
    train, validation, test = stratified(labels, THREE_WAY, seed=0)
    assert sorted(set(labels[train])) == [0, 1, 2]
    assert sorted(set(labels[validation])) == [0, 1]
    assert sorted(set(labels[test])) == [0]


def test_large_groups_still_leave_one_group_for_every_part() -> None:
    groups = np.repeat(np.arange(3), 2)
    parts = stratified(np.zeros(6), THREE_WAY, 0, groups)
    assert all(len(part) == 2 for part in parts)
    parts = stratified(np.zeros(80), THREE_WAY, 0, np.repeat(np.arange(4), 20))
    assert sorted(len(part) for part in parts) == [20, 20, 40]


def test_the_seed_alone_decides() -> None:
    first, again, other = (random_split(500, THREE_WAY, seed) for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert [len(part) for part in first] == [400, 50, 50]


def test_shares_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(DataError, match=r"sum to 1.*Received: fractions=\(0.8, 0.1\)"):
        random_split(10, (0.8, 0.1), 0)


def test_duplicates_are_counted_within_and_across_splits() -> None:
    groups = find_duplicates([digest(text) for text in (b"a", b"b", b"a", b"c", b"b", b"d", b"a")])
    assert groups.tolist() == [0, 1, 0, 2, 1, 3, 0]
    found = describe_duplicates(groups, np.asarray([0, 0, 0, 0, 1, 1, 1]), list("ABCDEFG"))
    assert found == {"within": 1, "across": 2, "examples": [["B", "E"], ["A", "G"], ["A", "C"]]}


def test_the_card_counts_classes_and_warns_of_imbalance_and_absence() -> None:
    splits = describe_splits({"train": np.asarray([0] * 40 + [1] * 2), "test": np.asarray([0, 0])}, ("cat", "dog"))
    assert splits["train"] == {"examples": 42, "classes": {"cat": 40, "dog": 2}}
    imbalance, absent = class_warnings(splits)
    assert "40 of 'cat' and 2 of 'dog' (20 to 1)" in imbalance
    assert absent == "1 class has no example in the test split: 'dog'."
    assert describe_splits({"train": np.zeros((4, 1), np.float32)}) == {"train": {"examples": 4}}
    multi = describe_splits({"train": np.asarray([[1, 1], [0, 1]], np.float32)}, ("a", "b"))
    assert multi["train"]["classes"] == {"a": 1, "b": 2}
    assert class_warnings(multi) == []
