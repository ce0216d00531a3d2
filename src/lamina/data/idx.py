"""The IDX format of MNIST: a magic number, the sizes, then the raw big-endian numbers; also gzipped.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lamina.errors import DataError

__all__ = ["find_idx", "read_idx", "read_idx_folder"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NAME = re.compile(r"(?:.*[-_.])?(train|test|t10k)[-_.](images|labels)[-_.]idx\d+[-_.]ubyte(?:\.gz)?", re.IGNORECASE)
_DEFLATE_LIMIT = 1032  # no deflate stream grows by more than this factor
_CHUNK = 1 << 24


def find_idx(folder: Path) -> dict[str, Path]:
    """The IDX files of a folder by their role: "train-images", "train-labels", "test-images", "test-labels".

    Raises:
        DataError: where two files claim one role, as in a folder that holds several data sets.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        part, what = match[1].lower(), match[2].lower()
        role = f"{'train' if part == 'train' else 'test'}-{what}"
        known = found.setdefault(role, path)
        if known.name.removesuffix(".gz") != path.name.removesuffix(".gz"):
            raise DataError(
                f"{folder} holds more than one set of IDX files: {known.name} and {path.name} are both {role}.",
                "Put each set in a folder of its own.",
            )
    return found


def read_idx_folder(folder: Path, *, labelled: bool = True) -> dict[str, tuple[np.ndarray, Any]]:
    """The parts of a folder of IDX files: {"train": (images, labels)} and "test" where it is there.

    Args:
        labelled: whether labels must be there; where they need not be and are not, None is in their place.

    Raises:
        DataError: for a part that is missing, or a file that is not whole.
    """
    found = find_idx(folder)
    parts: dict[str, tuple[np.ndarray, Any]] = {}
    for part in ("train", "test"):
        pair = [found.get(f"{part}-{what}") for what in ("images", "labels")]
        if pair[0] is not None and pair[1] is not None:
            parts[part] = (read_idx(pair[0]), read_idx(pair[1]))
        elif pair[0] is not None and not labelled:
            parts[part] = (read_idx(pair[0]), None)
        elif part == "train" or any(pair):
            missing = " and ".join(
                f"{part}-{what}-idx{rank}-ubyte"
                for what, rank, path in zip(("images", "labels"), (3, 1), pair, strict=True)
                if path is None
            )
            raise DataError(f"{folder} has no {missing} (nor one that ends in .gz).")
    return parts


def read_idx(path: Path) -> np.ndarray:
    """One IDX file as an array in the machine's byte order.

    Raises:
        DataError: when it is not an IDX file, or is cut short, or longer than its header says.
    """
    try:
        size = path.stat().st_size
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rb") as stream:
                return _read(stream, path, size * _DEFLATE_LIMIT)  # type: ignore[arg-type]
        with path.open("rb") as stream:
            return _read(stream, path, size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}.", "Download or copy it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read(stream: BinaryIO, path: Path, limit: int) -> np.ndarray:
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _DTYPES or start[3] == 0:
        raise DataError(
            f"{path} is not an IDX file: it begins with {start.hex(' ') or 'nothing'}.",
            "Expected 00 00, a type (08, 09, 0b, 0c, 0d or 0e) and the number of axes.",
        )
    rank = start[3]
    header = stream.read(4 * rank)
    if len(header) < 4 * rank:
        raise DataError(f"{path} is cut short: it ends within its header.", "Download or copy it again.")
    shape = struct.unpack(f">{rank}I", header)
    dtype = np.dtype(_DTYPES[start[2]])
    wanted = math.prod(shape) * dtype.itemsize
    if wanted + 4 + 4 * rank > limit:  # before anything of that size is allocated
        raise DataError(
            f"{path} is cut short: its header announces {wanted} bytes for shape {shape}, far more than it holds.",
            "Download or copy it again.",
        )
    body = bytearray()
    while len(body) <= wanted:
        piece = stream.read(min(_CHUNK, wanted + 1 - len(body)))
        if not piece:
            break
        body += piece
    if len(body) < wanted:
        raise DataError(
            f"{path} is cut short: shape {shape} needs {wanted} bytes, it holds {len(body)}.",
            "Download or copy it again.",
        )
    if len(body) > wanted:
        raise DataError(f"{path} goes on after the {wanted} bytes that its header announces for shape {shape}.")
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
