"""Splits by whole groups: names, joins with duplicates, shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamina.data.groups import Groups, across_warning, join, named_groups, whole_groups
from lamina.data.images import load_image_folder
from lamina.data.splits import divide
from lamina.errors import ConfigError, DataError

SHARES = (0.8, 0.1, 0.1)


def test_a_parenthesis_names_the_group_and_without_one_the_whole_match() -> None:
    names = ["3/3_theo_12.wav", "3/3_lucas_1.wav", "4/4_theo_0.wav"]
    found = named_groups(names, "_([a-z]+)_")
    assert found.names == ("theo", "lucas")
    assert found.ids.tolist() == [0, 1, 0]
    assert named_groups(names, "_[a-z]+_").names == ("_theo_", "_lucas_")


@pytest.mark.parametrize(
    ("pattern", "error", "words"),
    [
        ("_(", ConfigError, "is no regular expression"),
        ("_([A-Z]+)_", DataError, r"not found in 2 of 2 names, such as 3/3_theo_12\.wav"),
        (r"(\.wav)", DataError, "puts all examples into one group, '.wav'"),
    ],
)
def test_a_pattern_that_tells_nothing_apart_is_refused(pattern: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        named_groups(["3/3_theo_12.wav", "3/3_lucas_1.wav"], pattern)


def test_joined_groups_contain_whole_groups_of_both() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 12, 30), random.integers(0, 40, 30)
    joined = join(first, second)
    # The reference: reachability by repeated products of the adjacency matrix.
    near = (first[:, None] == first) | (second[:, None] == second)
    for _ in range(6):
        near = (near.astype(int) @ near.astype(int)) > 0
    np.testing.assert_array_equal(joined[:, None] == joined, near)


@pytest.mark.parametrize("seed", range(4))
def test_six_equal_speakers_give_four_one_and_one(seed: int) -> None:
    labels, groups = np.tile(np.arange(10), 60), np.repeat(np.arange(6), 100)
    parts = whole_groups(labels, SHARES, groups, seed, classes=True)
    assert [len(np.unique(groups[part])) for part in parts] == [4, 1, 1]
    assert sorted(np.concatenate(parts).tolist()) == list(range(600))
    assert len(np.unique(np.concatenate([np.unique(groups[part]) for part in parts]))) == 6


def test_groups_of_one_class_each_are_dealt_out_by_class() -> None:
    labels = np.repeat([0, 1], [400, 100])
    groups = np.concatenate([np.arange(400) // 10, 40 + np.arange(100) // 10])
    parts = whole_groups(labels, SHARES, groups, 0, classes=True)
    assert [np.bincount(labels[part], minlength=2).tolist() for part in parts] == [[320, 80], [40, 10], [40, 10]]


def test_groups_of_values_are_dealt_out_by_size() -> None:
    groups = np.repeat(np.arange(50), 4)
    parts = whole_groups(np.random.default_rng(0).normal(size=(200, 1)), SHARES, groups, 0, classes=False)
    assert [len(part) for part in parts] == [160, 20, 20]


def test_two_groups_leave_none_for_a_test_part() -> None:
    labels = {"train": np.tile([0, 1], 10)}
    whole = Groups(np.repeat([0, 1], 10), ("a", "b"), "x")
    chosen, rule = divide(labels, np.arange(20), 0, stratify=True, repeats=False, whole=whole)
    assert set(chosen) == {"train", "validation"}
    assert "validation" in rule
    assert "'x'" in rule


def test_copies_in_two_groups_bring_the_groups_together() -> None:
    labels = {"train": np.tile([0, 1], 20)}
    copies = np.arange(40)
    copies[10] = copies[0]  # of group 1 and of group 0
    whole = Groups(np.repeat(np.arange(4), 10), ("a", "b", "c", "d"), "x")
    for seed in range(5):
        chosen, _ = divide(labels, copies, seed, stratify=True, repeats=False, whole=whole)
        sides = {part for part, (_, indices) in chosen.items() if set(indices.tolist()) & {0, 10}}
        assert len(sides) == 1


def test_given_parts_that_share_a_group_are_warned_of() -> None:
    groups = Groups(np.asarray([0, 0, 1, 2]), ("theo", "lucas", "eve"), "x")
    parts = {"train": np.asarray([0, 2]), "validation": np.asarray([3]), "test": np.asarray([1])}
    assert across_warning(groups, parts)[0].startswith("The given parts share groups (theo)")
    assert across_warning(groups, parts | {"test": np.asarray([3])}) == []


def test_pictures_of_one_camera_stay_together(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for camera in "abcde":
            for number in range(4):
                pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / label / f"{camera}-{number}.png")
    data = load_image_folder(tmp_path, group="/(.)-")
    cameras = [{name.split("/")[1][0] for name in split.names} for split in (data.train, data.validation, data.test)]  # type: ignore[union-attr]
    assert [len(found) for found in cameras] == [3, 1, 1]
    assert len(set.union(*cameras)) == 5
    assert "whole groups" in data.card.split_rule
