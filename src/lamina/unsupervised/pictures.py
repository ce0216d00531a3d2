"""Filters and samples as pictures."""

from __future__ import annotations

import io
from os import PathLike

import numpy as np
from PIL import Image

from lamina.errors import ConfigError, DataError
from lamina.explain.colours import filter_grid, grid
from lamina.files import write_atomically

__all__ = ["draw_filters", "draw_pictures"]

_TILES = 100


def draw_filters(filters: np.ndarray, path: str | PathLike[str]) -> None:
    """Write the first 64 filters as a PNG: middle grey is a weight of zero, each stretched to its own largest.

    Args:
        filters: ``(n, height, width)`` or ``(n, height, width, 1 or 3)``.

    Raises:
        ConfigError: for filters that are no pictures.
    """
    _write(filter_grid(_pictures(filters)), path)


def draw_pictures(pictures: np.ndarray, path: str | PathLike[str]) -> None:
    """Write the first 100 pictures of numbers from 0 (black) to 1 (white) side by side as a PNG.

    Args:
        pictures: ``(n, height, width)`` or ``(n, height, width, 1 or 3)``.

    Raises:
        ConfigError: for what has not the shape of pictures.
    """
    pixels = np.rint(np.clip(_pictures(pictures)[:_TILES], 0, 1) * 255).astype(np.uint8)
    _write(grid(pixels.repeat(3 // pixels.shape[3], axis=3)), path)


def _pictures(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    pictures = values[..., None] if values.ndim == 3 else values
    if pictures.ndim != 4 or pictures.shape[3] not in (1, 3):
        raise ConfigError(
            f"Only what looks at pictures has filters to draw; these have the shape {values.shape[1:]}.",
            "Fit on examples in their shape, (n, height, width), or reshape: filters().reshape(-1, 28, 28).",
        )
    if not len(pictures):
        raise DataError("There is no picture to draw.")
    return pictures


def _write(pixels: np.ndarray, path: str | PathLike[str]) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    write_atomically(path, stream.getvalue())
