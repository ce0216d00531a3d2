"""One picture file → a uint8 array of a wanted size; many of them in parallel, in bounded memory."""

from __future__ import annotations

import io
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from lamina.errors import ConfigError, DataError
from lamina.files import why_unopened

__all__ = ["EXTENSIONS", "Picture", "UnreadableError", "decode", "decode_many", "parallel", "read_header"]

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
Picture: TypeAlias = str | os.PathLike[str] | bytes | Image.Image
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Only these: Pillow also knows formats that run other programs (EPS) or fetch nothing but trouble.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_PIXELS = 89_478_485  # Pillow's own default limit: a quarter of a gigabyte at 3 bytes a pixel
_LARGE = 16_000_000  # pixels; at most two pictures above it are decoded at a time
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER = frozenset({_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8]})
_large = threading.BoundedSemaphore(2)
# What Pillow has to say on a damaged file is said in our own words; without a handler it would go to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class UnreadableError(DataError):
    """A picture that cannot be read. ``reason`` says why in a few words, such as "the file is empty"."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Cannot read the picture {name}: {reason}.")
        self.reason = reason


class _Quiet:
    """Pillow's warnings ignored while any thread decodes; the filters are restored when the last one is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved: warnings.catch_warnings[None] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        # `warnings` is global state: entering it from each thread by itself would restore filters out of order.
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0 and self._saved is not None:
                    self._saved.__exit__(None, None, None)
                    self._saved = None


_quiet = _Quiet()


def read_header(picture: Picture) -> tuple[int, int, str]:
    """(width, height, mode) as Pillow names it, without decoding; EXIF-turned where that costs nothing.

    Raises:
        UnreadableError: for what is not a picture, or a decompression bomb.
    """
    with _quiet():
        try:
            with _open(picture) as image:
                width, height = image.size
                # A PNG keeps its orientation behind the pixels; a TIFF's size is given turned already.
                turned = image.format not in ("PNG", "TIFF") and _orientation(image) >= 5
                return (height, width, image.mode) if turned else (width, height, image.mode)
        except Exception as error:
            raise UnreadableError(_name(picture), _reason(error, picture)) from None


def decode(picture: Picture, height: int, width: int, channels: int) -> np.ndarray:
    """One picture → uint8 ``(height, width, channels)``.

    The picture is turned as its EXIF orientation says, scaled (keeping its aspect ratio, antialiased bilinear) until
    it just covers the wanted size, and its centre cut out. Colour becomes grey by ITU-R 601 luma; transparency is
    laid over white; 16-bit and 32-bit integer grey is scaled from 0…65535, floating-point grey from 0…1, or from
    0…255 where it goes above 1. Of an animation the first frame is taken. JPEGs are decoded at the smallest of their
    cheap scales (1/8, 1/4, 1/2) that is still at least twice the wanted size.

    Args:
        picture: a path, the bytes of a file, or a Pillow image.
        height, width: pixels.
        channels: 1 (grey) or 3 (red, green, blue).

    Raises:
        UnreadableError: with a plain reason: empty, cut short, damaged, not a picture, a decompression bomb (more
            pixels than ``PIL.Image.MAX_IMAGE_PIXELS``), no permission, no such file.
    """
    _check(height, width, channels)
    with _quiet():
        return _decode(picture, height, width, channels)


def decode_many(
    pictures: Sequence[Picture], height: int, width: int, channels: int, *, workers: int | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Many pictures → uint8 ``(n, height, width, channels)`` and the reasons of those that cannot be read.

    Args:
        pictures: as for `decode`; may be lazy, items are taken one at a time.
        workers: threads; by default one per usable core. Each holds one decoded picture at a time.

    Returns:
        The array (zeros where a picture could not be read) and {index: reason}.
    """
    _check(height, width, channels)
    array = np.zeros((len(pictures), height, width, channels), np.uint8)

    def one(index: int) -> str | None:
        try:
            array[index] = _decode(pictures[index], height, width, channels)
        except UnreadableError as error:
            return error.reason
        return None

    with _quiet():
        reasons = parallel(one, range(len(pictures)), workers)
    return array, {index: reason for index, reason in enumerate(reasons) if reason is not None}


def parallel(work: Callable[[_Item], _Result], items: Sequence[_Item], workers: int | None = None) -> list[_Result]:
    """``[work(item) for item in items]`` on threads; items are dealt out in small runs, so none waits in a queue."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(workers or usable, 32, len(items))
    if count <= 1:
        return [work(item) for item in items]
    results: list[_Result | None] = [None] * len(items)
    turns = iter(range(0, len(items), 8))
    lock = threading.Lock()

    def worker() -> None:
        while True:
            with lock:
                start = next(turns, None)
            if start is None:
                return
            for index in range(start, min(start + 8, len(items))):
                results[index] = work(items[index])

    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(worker) for _ in range(count)]:
            future.result()
    return results  # type: ignore[return-value]  # every place was filled, or future.result() has raised


def _check(height: int, width: int, channels: int) -> None:
    if height < 1 or width < 1:
        raise ConfigError(f"A picture is at least 1 × 1 pixels. Received: height={height}, width={width}.")
    if channels not in (1, 3):
        raise ConfigError(f"Pictures are decoded to 1 channel (grey) or 3 (colour). Received: channels={channels}.")


def _decode(picture: Picture, height: int, width: int, channels: int) -> np.ndarray:
    try:
        with _open(picture) as image:
            if not isinstance(picture, Image.Image):  # a draft changes the image, so never the caller's
                largest = 2 * max(height, width)  # whichever way the picture is turned
                image.draft("L" if channels == 1 else "RGB", (largest, largest))
            if image.width * image.height > _LARGE:
                with _large:
                    return _pixels(image, height, width, channels)
            return _pixels(image, height, width, channels)
    # A hostile file can make Pillow raise nearly anything (struct.error, SyntaxError, IndexError, zlib.error, …).
    except Exception as error:
        raise UnreadableError(_name(picture), _reason(error, picture)) from None


@contextmanager
def _open(picture: Picture) -> Iterator[Image.Image]:
    if isinstance(picture, Image.Image):
        yield picture  # the caller's: neither changed nor closed
        return
    with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=_FORMATS) as image:
        # Pillow only warns between its limit and twice that.
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or _PIXELS):
            raise Image.DecompressionBombError
        yield image


def _pixels(image: Image.Image, height: int, width: int, channels: int) -> np.ndarray:
    image.load()
    turn = _TURNS.get(_orientation(image))
    plain = _plain(image)
    box = (height, width) if turn in _QUARTER else (width, height)
    if plain.size != box:
        scale = min(plain.width / box[0], plain.height / box[1])
        across, down = box[0] * scale, box[1] * scale
        left, top = max(0.0, (plain.width - across) / 2), max(0.0, (plain.height - down) / 2)
        area = (left, top, min(left + across, plain.width), min(top + down, plain.height))
        plain = plain.resize(box, Image.Resampling.BILINEAR, box=area)
    if plain.mode in ("LA", "RGBA"):
        white = Image.new("RGBA", plain.size, "white")
        plain = Image.alpha_composite(white, plain.convert("RGBA")).convert("RGB")
    plain = plain.convert("L" if channels == 1 else "RGB")
    if turn is not None:
        plain = plain.transpose(turn)
    return np.asarray(plain, np.uint8).reshape(height, width, channels)


def _plain(image: Image.Image) -> Image.Image:
    """The picture in one of the modes L, LA, RGB, RGBA, in which it can be resized."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if "transparency" in image.info or mode in ("PA", "La", "RGBa"):
        return image.convert("RGBA")
    if mode in ("L", "LA", "RGB", "RGBA"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey of more than 8 bits → uint8."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError("it has values that are not numbers")
        scale = 255.0 if values.max(initial=0.0) <= 1.0 else 1.0
    else:
        scale = 255.0 / 65535.0
    scaled: np.ndarray = np.rint(np.clip(values.astype(np.float32) * np.float32(scale), 0.0, 255.0)).astype(np.uint8)
    return scaled


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata on a whole picture: shown as it is stored, as browsers do
        return 1
    return value if isinstance(value, int) else 1


def _name(picture: Picture) -> str:
    if isinstance(picture, str | os.PathLike):
        return os.fspath(picture)
    return "given as bytes" if isinstance(picture, bytes) else "given as a Pillow image"


def _reason(error: Exception, picture: Picture) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        limit = Image.MAX_IMAGE_PIXELS or _PIXELS
        return f"a decompression bomb: it would unfold to more than {limit:,} pixels"
    if (unopened := why_unopened(error)) is not None:
        return unopened
    if _length(picture) == 0:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture (JPEG, PNG, WebP, BMP, GIF or TIFF)"
    text = str(error).lower()
    if isinstance(error, EOFError) or "truncated" in text or "not enough" in text or "end of file" in text:
        return "the file is cut short"
    if "not supported" in text or "unsupported" in text:
        return "its kind of colour or compression is not supported"
    if isinstance(error, ValueError) and text.startswith("it has"):
        return text
    return "the file is damaged"


def _length(picture: Picture) -> int | None:
    if isinstance(picture, bytes):
        return len(picture)
    if isinstance(picture, Image.Image):
        return None
    try:
        return Path(picture).stat().st_size
    except (OSError, ValueError):
        return None
