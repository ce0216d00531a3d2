"""A split whose examples stay on disk and are decoded when they are asked for."""

from __future__ import annotations

import operator
import threading
from typing import Any

import jax
import numpy as np

from lamina.data.image_files import Files

__all__ = ["FileSplit"]


class FileSplit:
    """A split whose examples are read from disk, decoded in parallel; it holds none of them itself.

    `read` takes the memory of what it returns and of one example a thread, whatever the size of the split. An example
    that turns out to be unreadable (its header was whole, its body is not) does not end the run: the next readable
    one *with the same target* stands in for it, an empty one (all zeros) where there is none, and `warnings` tells of
    it once.

    Attributes:
        targets: encoded, in memory.
        names: file names relative to the source's folder.
        in_memory: False.
        warnings: one sentence per example that had to be replaced.
    """

    in_memory = False
    empty = "an empty example"  # what stands in where nothing else can

    def __init__(self, files: Files, targets: np.ndarray) -> None:
        self.targets = targets
        self.names = files
        self.warnings: list[str] = []
        self._stand_in: dict[int, int] = {}  # unreadable index → the index read instead, -1 for none
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.targets)

    def decode(self, files: Files) -> tuple[Any, dict[int, str]]:
        """Encoded examples (zeros where one cannot be read) and the reasons, by index."""
        raise NotImplementedError

    def read(self, indices: np.ndarray) -> Any:
        """Encoded examples with a leading axis. Safe to call from several threads."""
        wanted = np.asarray([self._stand_in.get(index, index) for index in np.asarray(indices).tolist()], np.int64)
        examples, reasons = self.decode(self.names.take(np.maximum(wanted, 0)))
        if (wanted < 0).any():
            jax.tree.map(lambda array: array.__setitem__(wanted < 0, 0), examples)
        for place, reason in reasons.items():
            if wanted[place] >= 0:
                other = self._replace(int(wanted[place]), reason)
                jax.tree.map(lambda array, value: array.__setitem__(place, value), examples, other)  # noqa: B023
        return examples

    def _replace(self, index: int, reason: str) -> Any:
        count = len(self)
        flat = self.targets.reshape(count, -1)
        alike = np.flatnonzero((flat == flat[index]).all(axis=1))
        following = np.concatenate([alike[alike > index], alike[alike < index]])
        for start in range(0, len(following), 16):
            candidates = following[start : start + 16]
            examples, reasons = self.decode(self.names.take(candidates))
            readable = [place for place in range(len(candidates)) if place not in reasons]
            if readable:
                self._note(index, int(candidates[readable[0]]), reason)
                return jax.tree.map(operator.itemgetter(readable[0]), examples)
        self._note(index, -1, reason)
        examples, _ = self.decode(self.names.take(np.asarray([index])))
        return jax.tree.map(lambda array: np.zeros_like(array[0]), examples)

    def _note(self, index: int, other: int, reason: str) -> None:
        with self._lock:
            if index not in self._stand_in:
                self._stand_in[index] = other
                instead = f"{self.names[other] if other >= 0 else self.empty} stands in for it"
                self.warnings.append(f"{self.names[index]} cannot be read ({reason}); {instead}.")
