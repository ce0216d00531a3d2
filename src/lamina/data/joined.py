"""Two splits read as one."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from lamina.data.base import Split
from lamina.data.continuing import continues

__all__ = ["JoinedSplit"]


class JoinedSplit:
    """The examples of one split, then those of another of the same data.

    Attributes:
        targets, names, in_memory: as of every `lamina.data.base.Split`.
        continues: where both do; the second then begins where the first ends.
    """

    def __init__(self, first: Split, second: Split) -> None:
        self._first, self._second = first, second
        self.targets = np.concatenate([first.targets, second.targets])
        self.in_memory = first.in_memory and second.in_memory
        self.continues = continues(first) and continues(second)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self._first.names, *self._second.names)  # made when asked for: those of files are kept packed

    @property
    def warnings(self) -> list[str]:
        """What reading them has shown so far."""
        return [*getattr(self._first, "warnings", ()), *getattr(self._second, "warnings", ())]

    def read(self, indices: np.ndarray) -> Any:
        """The encoded inputs at these indices, in their order."""
        indices = np.asarray(indices)
        late = indices >= len(self._first)
        if not late.any():
            return self._first.read(indices)
        if late.all():
            return self._second.read(indices - len(self._first))
        early_part = self._first.read(indices[~late])
        late_part = self._second.read(indices[late] - len(self._first))

        def merged(one: np.ndarray, other: np.ndarray) -> np.ndarray:
            whole = np.empty((len(indices), *one.shape[1:]), one.dtype)
            whole[~late], whole[late] = one, other
            return whole

        return jax.tree.map(merged, early_part, late_part)
