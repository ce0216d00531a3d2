"""NumPy's files: what they hold, and which of it is examples and which is targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lamina.errors import DataError

__all__ = ["read_arrays", "read_npz"]

_X = ("x", "X", "images", "data", "inputs", "features")
_Y = ("y", "Y", "labels", "target", "targets", "label")
_PARTS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file, or the one of a `.npy` file under the name "x". Nothing is unpickled.

    Raises:
        DataError: when it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            loaded: Any = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"x": loaded}
            members = ((name, loaded[name]) for name in loaded.files)
            return {name: array for name, array in members if isinstance(array, np.ndarray)}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # NumPy and zipfile raise a dozen kinds for a broken file
        reason = str(error).split("\n")[0] or type(error).__name__
        hint = "Save plain arrays of numbers or text: arrays of Python objects are not read."
        raise DataError(f"{path} is not a whole NumPy file: {reason}.", hint) from error


def read_npz(path: Path, *, labelled: bool = True) -> dict[str, tuple[np.ndarray, Any]]:
    """The parts of a `.npz` file: x and y, or x_train, y_train, x_test, … (also images and labels, data and target).

    Args:
        labelled: whether targets must be there; where they need not be and are not, None is in their place.

    Raises:
        DataError: when the names do not tell, with the names that were found.
    """
    arrays = read_arrays(path)
    parts: dict[str, tuple[np.ndarray, Any]] = {}
    for part, words in _PARTS.items():
        pair = _pair(arrays, [f"{{}}_{word}" for word in words] + [f"{word}_{{}}" for word in words], labelled)
        if pair is None and part == "train":
            pair = _pair(arrays, ["{}"], labelled)
        if pair is not None:
            parts[part] = pair
    if "train" not in parts and not labelled and len(arrays) == 1:
        parts["train"] = (next(iter(arrays.values())), None)
    if "train" not in parts:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise DataError(
            f"{path} does not say which of its arrays are examples and which are targets. It holds {found}.",
            "Name them x and y, or x_train, y_train, x_test and y_test.",
        )
    return parts


def _pair(arrays: dict[str, np.ndarray], patterns: list[str], labelled: bool) -> tuple[np.ndarray, Any] | None:
    for pattern in patterns:
        x = next((arrays[key] for key in map(pattern.format, _X) if key in arrays), None)
        y = next((arrays[key] for key in map(pattern.format, _Y) if key in arrays), None)
        if x is not None and (y is not None or not labelled):
            return x, y
    return None
