"""What pictures pass through on their way into a network."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from lamina.data.base import Inputs, Preprocessing
from lamina.data.channels import as_floats, check_channels, standardised
from lamina.data.decode import EXTENSIONS, decode_many
from lamina.data.image_files import walk
from lamina.errors import ConfigError, DataError, nearest
from lamina.layers.base import Spec, spec

__all__ = ["ImagePreprocessing", "fit_pixels"]

_SCALES = ("auto", "standard", "minmax", "none")
_CHUNK = 1024  # pictures at a time


@dataclass(frozen=True, repr=False)
class ImagePreprocessing(Preprocessing):
    """Pictures → uint8 ``(n, height, width, channels)`` on the host → ``(x - mean) / std`` float32 on the device.

    Attributes:
        height, width: pixels. A picture of another size is scaled to cover them, and its centre is cut out.
        channels: 1 (grey) or 3 (red, green, blue).
        mean, std: per channel, in units of 0…255.
    """

    kind: ClassVar[str] = "image"
    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", as_floats(self.mean))
        object.__setattr__(self, "std", as_floats(self.std))
        if self.height < 1 or self.width < 1 or self.channels not in (1, 3):
            raise ConfigError(
                "Pictures have a height and a width of at least 1 and 1 or 3 channels. "
                f"Received: height={self.height}, width={self.width}, channels={self.channels}."
            )
        check_channels(self.channels, self.mean, self.std)

    def encode(self, raw: Any) -> np.ndarray:
        """Pictures → uint8 ``(n, height, width, channels)``.

        Args:
            raw: a path, the bytes of a picture file, a Pillow image, an array, or a list of these. An array is
                ``(height, width)``, ``(height, width, 1 or 3 or 4)``, ``(n, height, width)`` or
                ``(n, height, width, 1 or 3 or 4)``; four channels are red, green, blue and opacity. Its values are
                0…255 (whole numbers; uint16 0…65535), or floating-point 0…1, or 0…255 where any is above 1. An array
                of several pictures has one range.

        Raises:
            DataError: for pictures that cannot be read, and arrays of other shapes or ranges or with NaN.
        """
        if isinstance(raw, np.ndarray) or (hasattr(raw, "__array__") and not isinstance(raw, Image.Image)):
            return self._arrays(np.asarray(raw))
        if _is_picture(raw):
            raw = [raw]
        if not isinstance(raw, Sequence):
            raise DataError(f"Expected pictures (paths, Pillow images or arrays). Received: {type(raw).__name__}.")
        if all(map(_is_picture, raw)):
            return self._pictures(raw)
        try:
            return np.concatenate([self.encode(np.asarray(item) if _is_nested(item) else item) for item in raw])
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"These pictures cannot be made arrays: {error}.") from None

    def batches(self, raw: Any, size: int, skip: Callable[[int, str], object] | None = None) -> Iterator[np.ndarray]:
        if not isinstance(raw, list | tuple) or not all(map(_is_picture, raw)):
            yield from super().batches(raw, size, skip)
            return
        for start in range(0, len(raw), size):
            pictures = raw[start : start + size]
            pixels, reasons = self._decoded(pictures)
            if skip is None:
                _refuse(pictures, reasons, start)
            else:
                for place, reason in reasons.items():
                    skip(start + place, reason)
            if len(reasons) < len(pictures):
                yield np.delete(pixels, list(reasons), axis=0) if reasons else pixels

    def transform(self, x: Any) -> Any:
        return standardised(x, self.mean, self.std)

    def input_spec(self) -> Spec:
        return spec((self.height, self.width, self.channels), np.dtype(np.float32))

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """Picture files, folders of them (searched to any depth), and "-" for one picture on standard input.

        Nothing is decoded here: ``raw`` is the list of paths.

        Raises:
            DataError: for a path that does not exist, or a folder without pictures.
        """
        names: list[str] = []
        raw: list[str | bytes] = []
        skipped: list[tuple[str, str]] = []
        for argument in arguments:
            if argument == "-":
                names.append("-")
                raw.append(sys.stdin.buffer.read())
            elif os.path.isdir(argument):
                found, unread = _pictures_below(argument)
                skipped += unread
                if not found:
                    raise DataError(f"The folder {argument} has no pictures in it.")
                names += found
                raw += found
            elif os.path.lexists(argument):
                names.append(argument)
                raw.append(argument)
            else:
                raise DataError(f"There is no {argument}.", "Expected a picture, a folder of pictures, or - for stdin.")
        return Inputs(tuple(names), raw, tuple(skipped))

    def _decoded(self, pictures: Sequence[Any]) -> tuple[np.ndarray, dict[int, str]]:
        return decode_many(pictures, self.height, self.width, self.channels)

    def _pictures(self, pictures: Sequence[Any]) -> np.ndarray:
        pixels, reasons = self._decoded(pictures)
        _refuse(pictures, reasons)
        return pixels

    def _arrays(self, array: np.ndarray) -> np.ndarray:
        if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)):
            array = array[None]
        if array.ndim == 3:
            array = array[..., None]
        if array.ndim != 4 or array.shape[3] not in (1, 3, 4) or 0 in array.shape[1:]:
            raise DataError(
                f"Cannot read an array of shape {array.shape} as pictures; expected (n, height, width, channels) "
                "with 1, 3 or 4 channels."
            )
        pixels = _to_bytes(array)
        if pixels.shape[1:] == (self.height, self.width, self.channels):
            return pixels
        if pixels.shape[1:] == (self.height, self.width, 1):
            return np.repeat(pixels, self.channels, axis=3)
        images = [Image.fromarray(picture[..., 0] if pixels.shape[3] == 1 else picture) for picture in pixels]
        return self._pictures(images)


def fit_pixels(
    pixels: np.ndarray, scale: str, height: int | None = None, width: int | None = None
) -> ImagePreprocessing:
    """The preprocessing of training pictures.

    Args:
        pixels: uint8 ``(n, height, width, channels)``, all of the training pictures or a sample.
        scale: "standard", and "auto": to mean 0 and standard deviation 1 per channel; "minmax": 0…255 to 0…1; "none":
            0…255 as they are. A constant channel becomes 0.
        height, width: of the network's input, where that is not the pictures' own.
    """
    check_scale(scale)
    channels = pixels.shape[3]
    mean, std = (0.0,) * channels, (1.0 if scale == "none" else 255.0,) * channels
    if scale in ("auto", "standard"):
        # Exact and cheap whatever the number of pictures: only the counts of the 256 values matter.
        counts = np.zeros((channels, 256), np.int64)
        for start in range(0, len(pixels), _CHUNK):
            for channel in range(channels):
                part = pixels[start : start + _CHUNK, ..., channel].reshape(-1)
                counts[channel] += np.bincount(part, minlength=256)
        values, total = np.arange(256.0), counts.sum(axis=1)
        average = counts @ values / total
        variance = (counts * (values - average[:, None]) ** 2).sum(axis=1) / total
        mean = tuple(average.tolist())
        std = tuple(np.where(variance > 0, np.sqrt(variance), 1.0).tolist())
    return ImagePreprocessing(height or pixels.shape[1], width or pixels.shape[2], channels, mean, std)


def check_scale(scale: str) -> None:
    """Raise `ConfigError` for a scale that is not known."""
    if scale not in _SCALES:
        raise ConfigError(f"Unknown scale {scale!r}.", nearest(scale, _SCALES))


def _pictures_below(folder: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Paths of the pictures (by name) in a folder at any depth, and (path, reason) of what cannot be looked into."""
    skipped: list[tuple[str, str]] = []
    names = [
        name for name, _ in walk(folder, lambda name, reason: skipped.append((os.path.join(folder, name), reason)))
    ]
    return [os.path.join(folder, name) for name in names if os.path.splitext(name)[1].lower() in EXTENSIONS], skipped


def _is_picture(item: Any) -> bool:
    return isinstance(item, str | bytes | os.PathLike | Image.Image)


def _refuse(pictures: Sequence[Any], reasons: dict[int, str], first: int = 0) -> None:
    """Raise `DataError` where there are reasons. ``first``: pictures before these, which could all be read."""
    if not reasons:
        return
    index, reason = next(iter(reasons.items()))
    item = pictures[index]
    name = os.fspath(item) if isinstance(item, str | os.PathLike) else f"number {first + index}"
    more = f" {len(reasons)} of {first + len(pictures)} pictures cannot be read." if len(reasons) > 1 else ""
    raise DataError(f"Cannot read the picture {name}: {reason}.{more}")


def _is_nested(item: Any) -> bool:
    return isinstance(item, list | tuple)


def _to_bytes(array: np.ndarray) -> np.ndarray:
    """Values in one of the documented ranges → uint8."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise DataError(f"Pictures are arrays of numbers. Received: dtype {array.dtype}.")
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.size == 0:
        return array.astype(np.uint8)
    low, high = float(array.min()), float(array.max())
    limit = 65535 if array.dtype == np.uint16 else 255
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError("A picture has NaN or infinite values.")
    if low < 0 or high > limit:
        raise DataError(
            f"The values of a picture are 0…{limit} (or 0…1). Received: {low:g}…{high:g}.",
            "Give pictures as they are, not scaled: the model's own preprocessing does that.",
        )
    scale = 255.0 / limit if array.dtype.kind in "iu" else 255.0 if high <= 1 else 1.0
    pixels: np.ndarray = np.rint(array.astype(np.float32) * np.float32(scale)).astype(np.uint8)
    return pixels
