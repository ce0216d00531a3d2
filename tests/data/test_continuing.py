"""How splits that continue are laid out and read."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from lamina.data.base import ArraySplit
from lamina.data.continuing import continues, layout, run_streams


@pytest.mark.parametrize(("examples", "streams"), [(12, 4), (13, 4), (15, 4), (7, 7), (9, 1), (100, 32), (33, 32)])
def test_every_example_is_read_and_no_stream_jumps(examples: int, streams: int) -> None:
    rows = layout(examples, streams)
    assert rows.shape == (-(-examples // streams), streams)
    assert set(rows.reshape(-1).tolist()) == set(range(examples))
    assert (np.diff(rows, axis=0) == 1).all()


def test_a_split_continues_only_where_it_says_so() -> None:
    split = ArraySplit(np.zeros((3, 1)), np.zeros(3))
    assert not continues(split)
    assert continues(ArraySplit(np.zeros((3, 1)), np.zeros(3), continues=True))


def test_outputs_come_in_the_order_of_the_examples_each_with_what_was_before() -> None:
    # The memory adds up what a stream has read: 100 examples in 3 streams.
    values = np.arange(100, dtype=np.float32)[:, None]

    def advance(memory, x):  # type: ignore[no-untyped-def]
        total = x if memory is None else memory + x
        return jnp.concatenate([x, total], axis=1), total

    outputs = run_streams(advance, ArraySplit(values, np.zeros(100), continues=True), batch_size=256)
    np.testing.assert_array_equal(outputs[:, 0], values[:, 0])
    np.testing.assert_array_equal(outputs[:34, 1], np.cumsum(np.arange(34)))
    first = layout(100, 3)[0, 2]
    np.testing.assert_array_equal(outputs[first + 1 :, 1], np.cumsum(np.arange(first, 100))[1:])
