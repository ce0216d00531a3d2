from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.data.base import ArraySplit, Data
from lamina.train import feed
from lamina.train.feed import Block, Feed


def numbered(n: int, in_memory: bool = True) -> ArraySplit:
    """Examples that are their own index, in two inputs."""
    x = {"a": np.arange(n, dtype=np.float32)[:, None], "b": np.arange(n, dtype=np.int32)}
    return ArraySplit(x, np.arange(n, dtype=np.int32), in_memory=in_memory)


def batches(blocks: Iterator[Block]) -> Iterator[tuple[Any, np.ndarray]]:
    for block in blocks:
        for rows in np.asarray(block.indices)[: block.steps]:
            yield (
                jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[rows], block.inputs),
                np.asarray(block.targets)[rows],
            )


@given(n=st.integers(1, 50), batch_size=st.integers(1, 60), seed=st.integers(-5, 2**65), epoch=st.integers(1, 5))
def test_every_epoch_sees_every_example(n: int, batch_size: int, seed: int, epoch: int) -> None:
    made = Feed(numbered(n), batch_size, seed)
    order = made.order(epoch)
    assert order.shape == (-(-n // min(n, batch_size)), min(n, batch_size))
    seen, counts = np.unique(order, return_counts=True)
    np.testing.assert_array_equal(seen, np.arange(n))
    assert counts.max() <= 2
    assert (counts == 2).sum() == order.size - n  # the last batch is topped up


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    one, again, other = Feed(numbered(40), 8, 1), Feed(numbered(40, in_memory=False), 8, 1), Feed(numbered(40), 8, 2)
    np.testing.assert_array_equal(one.order(3), again.order(3))
    assert not np.array_equal(one.order(3), one.order(4))
    assert not np.array_equal(one.order(3), other.order(3))
    assert not np.array_equal(one.order(1).ravel(), np.arange(40))


@pytest.mark.parametrize("steps_a_block", [1, 2, 3, 100])
def test_streamed_blocks_hold_the_same_batches(steps_a_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Feed(numbered(43), 8, 0)
    monkeypatch.setattr(feed, "_BLOCK_BYTES", steps_a_block * 8 * 12)
    streamed = Feed(numbered(43, in_memory=False), 8, 0)
    assert streamed.block_steps() == min(steps_a_block, 6)
    blocks = list(streamed.blocks(2))
    assert [block.first for block in blocks] == list(range(0, 6, steps_a_block))
    assert sum(block.steps for block in blocks) == 6
    for (x, y), (other_x, other_y) in zip(batches(whole.blocks(2)), batches(iter(blocks)), strict=True):
        np.testing.assert_array_equal(y, other_y)
        np.testing.assert_array_equal(x["a"], other_x["a"])
        np.testing.assert_array_equal(x["b"], y)
        np.testing.assert_array_equal(other_x["b"], y)


@pytest.mark.parametrize("in_memory", [True, False])
def test_all_blocks_have_the_announced_shapes(in_memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_BLOCK_BYTES", 4 * 8 * 12)
    made = Feed(numbered(43, in_memory), 8, 0)
    for block in made.blocks(1):
        found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (block.inputs, block.targets))
        assert found == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), made.shapes())
        assert block.indices.shape == (made.block_steps(), 8)


def test_data_larger_than_the_limit_is_streamed(monkeypatch: pytest.MonkeyPatch, digits: Data) -> None:
    assert Feed(digits.train, 32, 0).resident
    monkeypatch.setattr(feed, "_RESIDENT_BYTES", 1000)
    made = Feed(digits.train, 32, 0)
    assert not made.resident
    assert sum(block.steps for block in made.blocks(1)) == 45


def test_streaming_reads_one_block_ahead_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_BLOCK_BYTES", 8 * 12)
    reads: list[int] = []

    class Watched(ArraySplit):
        def read(self, indices: np.ndarray) -> Any:
            reads.append(len(indices))
            return super().read(indices)

    split = Watched(numbered(80).inputs, np.arange(80, dtype=np.int32), in_memory=False)
    made = Feed(split, 8, 0)
    reads.clear()
    blocks = made.blocks(1)
    for consumed in range(1, 4):
        next(blocks)
        assert len(reads) <= consumed + 1
    blocks.close()
    assert set(reads) == {8}


def test_a_reader_that_fails_tells_the_trainer() -> None:
    class Lost(ArraySplit):
        def read(self, indices: np.ndarray) -> Any:
            if len(indices) > 1:
                raise OSError("unplugged")
            return super().read(indices)

    made = Feed(Lost(**vars(replace(numbered(20), in_memory=False))), 4, 0)
    with pytest.raises(OSError, match="unplugged"):
        list(made.blocks(1))
