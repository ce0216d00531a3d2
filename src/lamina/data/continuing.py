"""Splits whose examples go on from one another, such as a book cut into pieces: read in order, with a memory.

A batch's rows are streams. Row b holds the b-th part of the split, and each step gives every row its next example, so
that what recurrent layers carry out of one step is what the next one begins with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lamina.data.base import Split

__all__ = ["continues", "layout", "run_streams"]

_LEAST = 32  # examples a stream in evaluation: each one's first has nothing before it


def continues(split: Split) -> bool:
    """Whether example i goes on where example i - 1 ends."""
    return bool(getattr(split, "continues", False))


def layout(examples: int, streams: int) -> np.ndarray:
    """Which example each stream reads at each step: indices ``(steps, streams)`` int32, streams at most ``examples``.

    Streams begin at even distances and are all equally long; where that does not come out even, some end with the
    example with which the next one began. Every example is read, and no stream ever jumps.
    """
    steps = -(-examples // streams)
    first = np.arange(streams) * (examples - steps) // max(streams - 1, 1)
    rows: np.ndarray = first + np.arange(steps)[:, None]
    return rows.astype(np.int32)


def run_streams(
    advance: Callable[[Any, Any], tuple[jax.Array, Any]],
    split: Split,
    batch_size: int,
    before_each: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Outputs for every example of a continuing split, each computed with what was remembered of those before it.

    Args:
        advance: ``(memory, x) -> (outputs, memory)`` for one batch; the memory of the first is None.
        batch_size: at most so many streams; fewer where they would be shorter than 32 examples.
        before_each: called before every batch; what it raises ends the pass.
    """
    rows = layout(len(split), max(1, min(batch_size, len(split) // _LEAST)))
    memory: Any = None
    parts = []
    for row in rows:
        before_each()
        outputs, memory = advance(memory, split.read(row))
        parts.append(np.asarray(outputs))
    whole = np.empty((len(split), *parts[0].shape[1:]), parts[0].dtype)
    for row, part in zip(rows, parts, strict=True):  # of an example read twice, the later has more before it
        whole[row] = part
    return whole
