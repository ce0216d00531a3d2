"""The examples that a machine is shown, as rows of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.errors import DataError, ShapeError

__all__ = ["rows"]


def rows(x: Any, visible: str, width: int | None = None, what: str = "x") -> np.ndarray:
    """Examples ``(n, ...)`` as float32 ``(n, numbers)``.

    Args:
        visible: the kind of the units that they are for.
        width: how many numbers an example must have, if that is known.
        what: a name for the messages.

    Raises:
        DataError: for no numbers, NaN, infinity, or numbers that the units cannot be.
        ShapeError: for examples of another width.
    """
    given = np.asarray(x)
    if given.dtype.kind not in "biuf":
        raise DataError(f"{what} must hold numbers; its elements are of the type {given.dtype}.")
    if given.ndim < 2 or not given.size:
        raise DataError(
            f"{what} must hold examples with at least one number each: an array (n, numbers) or (n, height, width). "
            f"Received: the shape {given.shape}."
        )
    flat = np.asarray(given, np.float32).reshape(len(given), -1)
    if width is not None and flat.shape[1] != width:
        raise ShapeError(
            f"The machine has {width} visible units; the examples of {what} have {flat.shape[1]} numbers "
            f"(its shape is {given.shape})."
        )
    low, high = float(flat.min()), float(flat.max())  # NaN where one is there
    if not (np.isfinite(low) and np.isfinite(high)):
        row, column = np.argwhere(~np.isfinite(flat))[0]
        raise DataError(f"{what} holds a number that is not finite: {flat[row, column]} in example {row}.")
    if visible == "bernoulli" and (low < 0 or high > 1):
        raise DataError(
            f"Bernoulli visible units take numbers from 0 to 1; {what} goes from {low:g} to {high:g}.",
            "Divide grey values of 0 to 255 by 255; standardise other data and use visible='gaussian'.",
        )
    return flat
