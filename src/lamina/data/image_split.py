"""A split of pictures that stay on disk and are decoded when they are asked for."""

from __future__ import annotations

import numpy as np

from lamina.data.decode import decode_many
from lamina.data.file_split import FileSplit
from lamina.data.image_files import Files

__all__ = ["ImageFileSplit"]


class ImageFileSplit(FileSplit):
    """Pictures on disk; `read` gives uint8 ``(n, height, width, channels)``."""

    empty = "a black picture"

    def __init__(self, files: Files, targets: np.ndarray, height: int, width: int, channels: int) -> None:
        super().__init__(files, targets)
        self._shape = (height, width, channels)

    def decode(self, files: Files) -> tuple[np.ndarray, dict[int, str]]:
        return decode_many(files.paths(), *self._shape)
