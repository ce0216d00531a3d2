"""Maps as pictures: laid over what the network saw, or side by side in a grid."""

from __future__ import annotations

import math
import os

import numpy as np
from matplotlib import colormaps
from PIL import Image

from lamina.data.base import ArraySplit
from lamina.data.decode import decode, read_header
from lamina.explain.subject import Subject
from lamina.report.pictures import filter_pixels, read_pictures

__all__ = ["HEAT", "SIGNED", "backdrop", "filter_grid", "grid", "heat", "map_grid", "signed", "stops"]

HEAT = "inferno"  # perceptually uniform: equal steps of the value look like equal steps
SIGNED = "RdBu_r"  # red speaks for, blue against
_LARGEST, _SMALLEST = 1024, 320  # pixels of a picture's longer side
_SMOOTH = 64  # pixels a side from which maps are enlarged smoothly
_TILES = 64
_GRID = 880  # pixels that a grid is wide, about
_GAP = 4


def backdrop(subject: Subject) -> np.ndarray:
    """The part of the picture that the network sees, at the picture's own resolution: uint8 ``(h, w, 1 or 3)``.

    Its longer side has 320 to 1024 pixels; a picture that the network sees at a low resolution is shown in its pixels.
    """
    height, width, channels = subject.x.shape
    seen = read_pictures(ArraySplit(subject.encoded, np.zeros(1)), subject.model.preprocessing, np.zeros(1, np.int64))
    assert seen is not None  # the model looks at pictures
    longer = max(height, width)
    raw = subject.raw
    while isinstance(raw, list | tuple):  # of one
        raw = raw[0]
    file = isinstance(raw, str | bytes | os.PathLike | Image.Image) and subject.model.preprocessing.kind == "image"
    if file and longer >= _SMOOTH:
        across, down, _ = read_header(raw)
        scale = min(max(min(down / height, across / width), _SMALLEST / longer), max(_LARGEST / longer, 1.0))
        return decode(raw, max(1, round(scale * height)), max(1, round(scale * width)), channels)
    times = max(1, math.ceil(_SMALLEST / longer))
    pixels: np.ndarray = seen[0].repeat(times, axis=0).repeat(times, axis=1)
    return pixels


def heat(values: np.ndarray, behind: np.ndarray, highest: float | None = None) -> np.ndarray:
    """A map of values from 0 on over a picture.

    Args:
        values: ``(h, w)``, at least 0.
        behind: uint8 ``(height, width, 1 or 3)``.
        highest: the value that gets the brightest colour; default: the highest.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    top = float(values.max()) if highest is None else highest
    scaled = _enlarged(np.clip(values / top, 0, 1) if top > 0 else np.zeros_like(values), behind)
    return _over(colormaps[HEAT](scaled)[..., :3], behind, 0.45 + 0.45 * scaled)


def signed(values: np.ndarray, behind: np.ndarray, highest: float | None = None) -> np.ndarray:
    """A map of values on both sides of 0 over a picture: red above 0, blue below it, both on one scale.

    Args:
        values: ``(h, w)``.
        behind: uint8 ``(height, width, 1 or 3)``.
        highest: the distance from 0 that gets the deepest colour; default: the largest.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    top = float(np.abs(values).max()) if highest is None else highest
    scaled = _enlarged(np.clip(values / top, -1, 1) if top > 0 else np.zeros_like(values), behind)
    pale = np.uint8(128) + behind // 2  # white is 0: a dark picture would hide it
    return _over(colormaps[SIGNED](0.5 + 0.5 * scaled)[..., :3], pale, 0.35 + 0.6 * np.abs(scaled))


def map_grid(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Feature maps ``(h, w, channels)`` side by side, each from its lowest to its highest value.

    Returns:
        uint8 ``(height, width, 4)``, transparent between the maps, and the channels that are in it: of more than 64
        those that respond most on average, in their order.
    """
    strength = np.abs(maps).mean(axis=(0, 1))
    chosen = np.sort(np.argsort(-strength, kind="stable")[:_TILES])
    tiles = maps[..., chosen].transpose(2, 0, 1).astype(np.float64)
    low = tiles.min(axis=(1, 2), keepdims=True)
    span = tiles.max(axis=(1, 2), keepdims=True) - low
    scaled = (tiles - low) / np.where(span > 0, span, 1.0)
    return grid(_bytes(colormaps["viridis"](scaled)[..., :3])), chosen


def filter_grid(filters: np.ndarray) -> np.ndarray:
    """The first 64 filters ``(n, h, w, 1 or 3)`` side by side; middle grey is 0, each stretched to its largest weight.

    Returns:
        uint8 ``(height, width, 4)``, transparent between the filters.
    """
    pixels = filter_pixels(filters[:_TILES])
    return grid(pixels.repeat(3 // pixels.shape[3], axis=3))


def stops(name: str) -> list[str]:
    """A colour map as nine CSS colours from its lowest to its highest value."""
    return [
        f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in _bytes(colormaps[name](np.linspace(0, 1, 9))[:, :3])
    ]


def _enlarged(values: np.ndarray, behind: np.ndarray) -> np.ndarray:
    height, width = behind.shape[:2]
    kind = Image.Resampling.BILINEAR if max(values.shape) >= _SMOOTH else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), kind), np.float64)


def _over(colours: np.ndarray, behind: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Colours over the picture in grey, so that every colour to be seen is the map's."""
    grey = behind.astype(np.float64) @ ([0.299, 0.587, 0.114] if behind.shape[2] == 3 else [1.0]) / 255
    return _bytes(opacity[..., None] * colours + (1 - opacity[..., None]) * grey[..., None])


def grid(tiles: np.ndarray) -> np.ndarray:
    """Tiles uint8 ``(n, h, w, 3)`` in rows, enlarged by a whole number, on a ground that cannot be seen."""
    count, height, width = tiles.shape[:3]
    wanted = min(count, max(1.0, math.sqrt(count * height / width * 1.4)))
    full = [columns for columns in range(1, count + 1) if count % columns == 0 and 0.6 < columns / wanted < 1.7]
    columns = min(full, key=lambda columns: abs(columns - wanted), default=math.ceil(wanted))
    times = max(1, (_GRID // columns - _GAP) // width)
    tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
    height, width = height * times, width * times
    rows = math.ceil(count / columns)
    canvas = np.zeros((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 4), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + _GAP), index % columns * (width + _GAP)
        canvas[top : top + height, left : left + width, :3] = tile
        canvas[top : top + height, left : left + width, 3] = 255
    return canvas


def _bytes(values: np.ndarray) -> np.ndarray:
    pixels: np.ndarray = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return pixels
