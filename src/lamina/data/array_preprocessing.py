"""What arrays pass through on their way into a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lamina.data.base import Inputs, Preprocessing
from lamina.data.npz import read_arrays
from lamina.data.targets import check_finite
from lamina.errors import ConfigError, DataError, nearest
from lamina.layers.base import Spec, spec

__all__ = ["ArrayPreprocessing", "as_examples", "fit_scale"]

_SCALES = ("auto", "minmax", "standard", "none")
_CHUNK = 1 << 22  # numbers scaled at a time: the float64 copy stays at 32 MB


@dataclass(frozen=True, repr=False)
class ArrayPreprocessing(Preprocessing):
    """``(x - mean) / std`` along the last axis: features of a vector, channels of anything larger.

    Attributes:
        shape: of one example.
        dtype: of the network's input: "float32", or "int32" where whole numbers stay as they are.
        mean, std: one per feature or channel; empty where nothing is scaled.
    """

    kind: ClassVar[str] = "array"
    shape: tuple[int, ...]
    dtype: str = "float32"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def encode(self, raw: Any) -> np.ndarray:
        """Examples ``(n, *shape)`` → the same shape, scaled in float64 and given as float32 (or int32)."""
        array = as_examples(raw, "The input")
        self._check(array, "The input")
        if not self.mean:
            return array.astype(self.dtype)
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        encoded = np.empty(array.shape, np.float32)
        step = max(1, _CHUNK // max(1, math.prod(self.shape)))
        for start in range(0, len(array), step):
            encoded[start : start + step] = (array[start : start + step] - mean) / std
        return encoded

    def transform(self, x: Any) -> Any:
        return x

    def input_spec(self) -> Spec:
        return spec(self.shape, np.dtype(self.dtype))

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """`.npy` files of examples, or `.npz` files with an array "x" (or with a single array)."""
        names: list[str] = []
        pieces: list[np.ndarray] = [np.zeros((0, *self.shape), self.dtype)]
        for argument in arguments:
            arrays = read_arrays(Path(argument))
            key = "x" if "x" in arrays else next(iter(arrays)) if len(arrays) == 1 else None
            if key is None:
                raise DataError(f"{argument} has no array named 'x'.", f"It holds {', '.join(arrays) or 'nothing'}.")
            array = as_examples(arrays[key], argument)
            self._check(array, argument)
            pieces.append(array)
            names.extend(f"{argument} {index}" for index in range(len(array)))
        return Inputs(tuple(names), np.concatenate(pieces))

    def _check(self, array: np.ndarray, what: str) -> None:
        if array.shape[1:] != self.shape:
            raise DataError(f"{what} has the shape {array.shape}; expected {('n', *self.shape)}.".replace("'n'", "n"))
        if self.dtype == "int32" and array.dtype.kind == "f":
            raise DataError(f"{what} has the dtype {array.dtype}; expected whole numbers.")


def as_examples(raw: Any, what: str) -> np.ndarray:
    """An array of numbers with a leading example axis; ``(n,)`` becomes ``(n, 1)``.

    Raises:
        DataError: for anything but numbers, for NaN and infinity.
    """
    try:
        array = np.asarray(raw)
    except ValueError as error:
        raise DataError(f"{what} cannot be made an array: {error}.") from error
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise DataError(f"{what} must be an array of numbers, example by example; its dtype is {array.dtype}.")
    if array.ndim == 1:
        array = array[:, None]
    check_finite(array, what)
    return array


def fit_scale(x: np.ndarray, scale: str) -> ArrayPreprocessing:
    """The preprocessing of training examples ``(n, *shape)``.

    Args:
        scale: "standard" and "auto": to mean 0 and standard deviation 1; "minmax": to the range 0 to 1; "none": as
            it is (whole numbers stay whole, as an embedding needs them). A constant feature becomes 0.
    """
    check_scale(scale)
    shape = x.shape[1:]
    if scale == "none":
        return ArrayPreprocessing(shape, "int32" if x.dtype.kind in "iu" else "float32")
    axes = tuple(range(x.ndim - 1))
    if scale == "minmax":
        low = x.min(axis=axes).astype(np.float64)
        mean, std = low, x.max(axis=axes) - low
    else:
        mean = x.mean(axis=axes, dtype=np.float64)
        std = x.std(axis=axes, dtype=np.float64)
    std = np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return ArrayPreprocessing(shape, "float32", tuple(mean.tolist()), tuple(std.tolist()))


def check_scale(scale: str) -> None:
    """Raise `ConfigError` for a scale that is not known."""
    if scale not in _SCALES:
        raise ConfigError(f"Unknown scale {scale!r}.", nearest(scale, _SCALES))
