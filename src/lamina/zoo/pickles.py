"""PyTorch's files of weights, without PyTorch and without running what is pickled in them.

A pickle is a program. Of its calls only those are admitted that put a tensor or a plain container together, and each
is answered by a function of ours; anything else ends the reading. Both of PyTorch's formats are read: since 1.6 a zip
file with a pickle and a file of raw numbers for each storage, before that several pickles and the numbers in a row.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from lamina.errors import ModelFileError

__all__ = ["read"]

_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What stands for PyTorch's class of a storage."""

    dtype: np.dtype


class _Storage:
    """A tensor's numbers; filled in when they have been read."""

    def __init__(self, dtype: np.dtype, count: int) -> None:
        self.dtype, self.count = dtype, count
        self.data: np.ndarray | None = None


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The tensor as an array of its own."""
        data = self.storage.data
        if data is None:
            raise ModelFileError("its numbers are missing")
        reach = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True)) + 1
        if 0 in self.size:
            return np.zeros(self.size, data.dtype)
        if self.offset < 0 or min((*self.size, *self.stride, 0)) < 0 or reach > len(data):
            raise ModelFileError("a tensor reaches beyond its numbers")
        strides = [step * data.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.size, strides, writeable=False).copy()


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Tensor:
    whole = all(isinstance(n, int) for n in (offset, *size, *stride))
    if not isinstance(storage, _Storage) or not whole or len(size) != len(stride) or len(size) > 32:
        raise pickle.UnpicklingError("a tensor that is none")
    return _Tensor(storage, offset, tuple(size), tuple(stride))


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): tuple,
    **{("torch", name): _Kind(dtype) for name, dtype in _TYPES.items()},
}


class _Unpickler(pickle._Unpickler):  # the one in Python: its steps can be replaced
    """Admits tensors and plain containers, and nothing else. What tensors it meets it adds to ``storages``."""

    dispatch = dict(pickle._Unpickler.dispatch)  # noqa: RUF012

    def __init__(self, file: BinaryIO, storages: dict[Any, _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storages = storages

    def load_build(self) -> None:
        """Attributes of an object, of which dictionaries of tensors have some that say nothing of the tensors."""
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        stack.pop()
        if not isinstance(stack[-1], OrderedDict):
            raise pickle.UnpicklingError("it sets attributes of an object")

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("it refers to an extension")

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it refers to {module}.{name}, and reading it would run code that the file's author chose"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], _Kind):
            raise pickle.UnpicklingError("it refers to something that is no tensor")
        if not isinstance(pid[4], int) or pid[4] < 0 or (len(pid) > 5 and pid[5] is not None):
            raise pickle.UnpicklingError("it holds a tensor of a form that is not known")
        return self._storages.setdefault(pid[2], _Storage(pid[1].dtype, pid[4]))


def read(path: Path) -> Any:
    """What was saved: plain containers, numbers and strings, with NumPy arrays (a bfloat16 one too) for tensors.

    Raises:
        ModelFileError: for a file that is cut short, no file of PyTorch's, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            value = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
            return _arrays(value)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ModelFileError, pickle.UnpicklingError) as error:
        raise ModelFileError(
            f"{path} cannot be loaded: {error}.",
            "A file of tensors alone can be: torch.save(model.state_dict(), PATH).",
        ) from error
    except (EOFError, struct.error, zipfile.BadZipFile) as error:
        raise ModelFileError(f"{path} is cut short or damaged ({error}).", "Download it again.") from error
    except Exception as error:  # a pickle that is none fails in as many ways as its program has steps
        raise ModelFileError(f"{path} is no file of weights ({type(error).__name__}: {error}).") from error


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(names) != 1:
            raise ModelFileError("it holds no weights of PyTorch's")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ModelFileError("its numbers are big-endian")
        storages: dict[Any, _Storage] = {}
        value = _Unpickler(io.BytesIO(archive.read(names[0])), storages).load()
        for key, found in storages.items():
            try:
                data = archive.read(f"{folder}data/{key}")
            except KeyError:
                raise ModelFileError(f"the numbers of its tensor {key} are missing") from None
            found.data = _numbers(data, found)
        return value


def _read_legacy(file: BinaryIO) -> Any:
    file.seek(0)
    storages: dict[Any, _Storage] = {}

    def load() -> Any:
        return _Unpickler(file, storages).load()

    if load() != _MAGIC:
        raise ModelFileError("it is no file of PyTorch's")
    load()  # the protocol's version
    system = load()
    if not isinstance(system, dict) or not system.get("little_endian", True):
        raise ModelFileError("its numbers are big-endian")
    value = load()
    keys = load()
    for key in keys:
        if key not in storages:
            raise ModelFileError("it holds numbers of no tensor")
        (count,) = struct.unpack("<q", file.read(8))
        found = storages[key]
        if count != found.count:
            raise ModelFileError("a tensor's numbers are more or fewer than it says")
        found.data = _numbers(file.read(count * found.dtype.itemsize), found)
    return value


def _numbers(data: bytes, storage: _Storage) -> np.ndarray:
    if len(data) != storage.count * storage.dtype.itemsize:
        raise EOFError("the numbers of a tensor end too early")
    return np.frombuffer(data, storage.dtype)


def _arrays(value: Any) -> Any:
    if isinstance(value, _Tensor):
        return value.array()
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_arrays(item) for item in value]
    return value
