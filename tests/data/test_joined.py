from __future__ import annotations

import numpy as np
import pytest

from lamina.data.base import ArraySplit
from lamina.data.continuing import continues
from lamina.data.joined import JoinedSplit


def part(first: int, count: int, *, in_order: bool = False) -> ArraySplit:
    rows = np.arange(first, first + count)
    names = [f"row {row}" for row in rows]
    return ArraySplit({"a": rows[:, None] * [1.0, 2.0], "b": rows}, rows % 3, names, continues=in_order)


WHOLE, JOINED = part(0, 7), JoinedSplit(part(0, 4), part(4, 3))


@pytest.mark.parametrize("rows", [[0, 6, 3, 4, 4], [1, 1], [6, 5], []], ids=str)
def test_it_reads_as_if_it_were_one(rows: list[int]) -> None:
    indices = np.asarray(rows, np.int64)
    for name, values in WHOLE.read(indices).items():
        read = JOINED.read(indices)[name]
        np.testing.assert_array_equal(read, values)
        assert read.dtype == values.dtype


def test_it_has_the_targets_and_names_of_both() -> None:
    np.testing.assert_array_equal(JOINED.targets, WHOLE.targets)
    assert list(JOINED.names) == list(WHOLE.names)
    assert len(JOINED) == 7
    assert JOINED.in_memory


def test_it_continues_where_both_do() -> None:
    assert continues(JoinedSplit(part(0, 4, in_order=True), part(4, 3, in_order=True)))
    assert not continues(JoinedSplit(part(0, 4, in_order=True), part(4, 3)))


def test_it_tells_what_reading_either_has_shown() -> None:
    class Damaged(ArraySplit):
        warnings = ("one cannot be read",)

    assert JOINED.warnings == []
    assert JoinedSplit(part(0, 2), Damaged(np.zeros(2), np.zeros(2))).warnings == ["one cannot be read"]
