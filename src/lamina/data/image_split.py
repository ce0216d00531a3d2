"""A split of pictures that stay on disk and are decoded when they are asked for."""

from __future__ import annotations

import threading

import numpy as np

from lamina.data.decode import decode_many
from lamina.data.image_files import Files

__all__ = ["ImageFileSplit"]


class ImageFileSplit:
    """A split whose pictures are read from disk, decoded in parallel; it holds no pixels itself.

    `read` takes the memory of what it returns and of one picture a thread, whatever the size of the split. A picture
    that turns out to be unreadable (its header was whole, its body is not) does not end the run: the next readable
    one *with the same target* stands in for it, a black picture where there is none, and `warnings` tells of it once.

    Attributes:
        targets: encoded, in memory.
        names: file names relative to the source's folder.
        in_memory: False.
        warnings: one sentence per picture that had to be replaced.
    """

    in_memory = False

    def __init__(self, files: Files, targets: np.ndarray, height: int, width: int, channels: int) -> None:
        self.targets = targets
        self.names = files
        self.warnings: list[str] = []
        self._shape = (height, width, channels)
        self._stand_in: dict[int, int] = {}  # unreadable index → the index read instead, -1 for none
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.targets)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """uint8 ``(n, height, width, channels)``. Safe to call from several threads."""
        wanted = np.asarray([self._stand_in.get(index, index) for index in np.asarray(indices).tolist()], np.int64)
        pictures, reasons = self._decode(np.maximum(wanted, 0))
        pictures[wanted < 0] = 0
        for place, reason in reasons.items():
            if wanted[place] >= 0:
                pictures[place] = self._replace(int(wanted[place]), reason)
        return pictures

    def _decode(self, indices: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
        return decode_many(self.names.take(indices).paths(), *self._shape)

    def _replace(self, index: int, reason: str) -> np.ndarray:
        count = len(self)
        flat = self.targets.reshape(count, -1)
        alike = np.flatnonzero((flat == flat[index]).all(axis=1))
        following = np.concatenate([alike[alike > index], alike[alike < index]])
        for start in range(0, len(following), 16):
            candidates = following[start : start + 16]
            pictures, reasons = self._decode(candidates)
            readable = [place for place in range(len(candidates)) if place not in reasons]
            if readable:
                self._note(index, int(candidates[readable[0]]), reason)
                picture: np.ndarray = pictures[readable[0]]
                return picture
        self._note(index, -1, reason)
        return np.zeros(self._shape, np.uint8)

    def _note(self, index: int, other: int, reason: str) -> None:
        with self._lock:
            if index not in self._stand_in:
                self._stand_in[index] = other
                instead = f"{self.names[other]} stands in for it" if other >= 0 else "a black picture stands in for it"
                self.warnings.append(f"{self.names[index]} cannot be read ({reason}); {instead}.")
