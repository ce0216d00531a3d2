"""Batches for the compiled program: all examples on the device, or blocks of them streamed with prefetch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lamina.data.base import Split
from lamina.data.continuing import continues, layout

__all__ = ["Block", "Feed"]

_BLOCK_BYTES = 64 << 20
_RESIDENT_BYTES = 4 << 30


class Block(NamedTuple):
    """Some consecutive steps of an epoch.

    Attributes:
        inputs, targets: examples on the device.
        indices: ``(steps, batch)`` int32 into them; rows past ``steps`` are filler.
        first: index within the epoch of this block's first step.
        steps: how many steps it holds.
    """

    inputs: Any
    targets: jax.Array
    indices: jax.Array
    first: int
    steps: int


@dataclass
class Feed:
    """Shuffled batches of a split. Every epoch sees every example; the last batch is topped up from the first.

    A split that continues is not shuffled: each row of a batch goes on where the same row of the batch before ended.

    Args:
        split: the training split.
        batch_size: examples a step, at most the split's size.
        seed: of the shuffling; each epoch's order depends on it and on the epoch alone.

    Attributes:
        streams: rows that go on from batch to batch; 0 where the split does not continue.
    """

    split: Split
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        self.batch_size = min(self.batch_size, len(self.split))
        self.steps = -(-len(self.split) // self.batch_size)
        self.streams = self.batch_size if continues(self.split) else 0
        example = self.split.read(np.zeros(1, np.int64))
        self.example_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(example)) + self.split.targets[:1].nbytes
        self.resident = self.split.in_memory and self.example_bytes * len(self.split) <= _RESIDENT_BYTES
        if self.resident:
            everything = np.arange(len(self.split))
            self._inputs = jax.tree.map(jnp.asarray, self.split.read(everything))
            self._targets = jnp.asarray(self.split.targets)

    def order(self, epoch: int) -> np.ndarray:
        """Example indices of one epoch, ``(steps, batch)``."""
        if self.streams:
            return layout(len(self.split), self.streams)
        order = np.random.Generator(np.random.Philox(key=(self.seed % 2**63, epoch))).permutation(len(self.split))
        missing = self.steps * self.batch_size - len(order)
        return np.concatenate([order, order[:missing]]).astype(np.int32).reshape(self.steps, self.batch_size)

    def block_steps(self) -> int:
        """Steps in a block (the last one of an epoch may hold fewer)."""
        if self.resident:
            return self.steps
        return max(1, min(self.steps, _BLOCK_BYTES // max(1, int(self.example_bytes) * self.batch_size)))

    def shapes(self) -> tuple[Any, Any]:
        """Inputs and targets of a block, as `jax.ShapeDtypeStruct`."""
        if self.resident:
            shapes: tuple[Any, Any] = jax.eval_shape(lambda: (self._inputs, self._targets))
            return shapes
        count = self.block_steps() * self.batch_size

        def many(array: np.ndarray) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((count, *array.shape[1:]), array.dtype)

        return jax.tree.map(many, self.split.read(np.zeros(1, np.int64))), many(self.split.targets)

    def blocks(self, epoch: int) -> Iterator[Block]:
        """The blocks of one epoch in order. While one is trained on, the next is read by another thread."""
        order = self.order(epoch)
        if self.resident:
            yield Block(self._inputs, self._targets, jnp.asarray(order), 0, self.steps)
            return
        size = self.block_steps()
        local = jnp.arange(size * self.batch_size, dtype=jnp.int32).reshape(size, self.batch_size)

        def read(first: int) -> Block:
            rows = order[first : first + size]
            steps = len(rows)
            if steps < size:  # one shape for all blocks, so that one executable serves them
                rows = np.concatenate([rows, np.repeat(rows[-1:], size - steps, axis=0)])
            flat = rows.reshape(-1)
            inputs = jax.tree.map(jnp.asarray, self.split.read(flat))
            return Block(inputs, jnp.asarray(self.split.targets[flat]), local, first, steps)

        firsts = list(range(0, self.steps, size))
        with ThreadPoolExecutor(1, "lamina-prefetch") as pool:
            coming = pool.submit(read, firsts[0])
            for following in firsts[1:]:
                block = coming.result()
                coming = pool.submit(read, following)
                yield block
            yield coming.result()
