"""Whole series, each an example: what they pass through on their way into a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from lamina.data.base import Inputs, Preprocessing
from lamina.data.npz import read_arrays
from lamina.data.series_ts import read_ts
from lamina.errors import DataError
from lamina.layers import Masked
from lamina.layers.base import Spec, spec

__all__ = ["SeriesPreprocessing", "fit_series"]


@dataclass(frozen=True, repr=False)
class SeriesPreprocessing(Preprocessing):
    """``(x - mean) / std`` of every channel of a series; series of unequal length are filled up to the longest.

    Attributes:
        steps: of a series; of the longest training series, where lengths differ.
        mean, std: one for each channel.
        masked: whether lengths differ; the network's input is `Masked` then.
    """

    kind: ClassVar[str] = "series"
    steps: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    masked: bool = False

    def encode(self, raw: Any) -> Any:
        """Series ``(steps, channels)``, a list or an array of them → float32 ``(n, steps, channels)``, or `Masked`.

        Raises:
            DataError: for a series of another length or with another number of channels.
        """
        series: list[np.ndarray] = [np.asarray(one, np.float64) for one in raw]
        series = [one[:, None] if one.ndim == 1 else one for one in series]
        for place, one in enumerate(series, 1):
            self.check(one, f"Series {place}")
        scaled: list[np.ndarray] = [((one - self.mean) / self.std).astype(np.float32) for one in series]
        if not self.masked:
            return np.stack(scaled) if scaled else np.zeros((0, self.steps, len(self.mean)), np.float32)
        longest = max(self.steps, *(len(one) for one in scaled), 1)
        values = np.zeros((len(scaled), longest, len(self.mean)), np.float32)
        for row, one in zip(values, scaled, strict=True):
            row[: len(one)] = one
        return Masked(values, np.asarray([len(one) for one in scaled], np.int32))

    def transform(self, x: Any) -> Any:
        return x

    def input_spec(self) -> Spec:
        values = spec((self.steps, len(self.mean)))
        return Masked(values, spec((), jnp.int32)) if self.masked else values

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """`.ts` files, one input a series; `.npy` and `.npz` files of ``(n, steps, channels)``."""
        names: list[str] = []
        series: list[np.ndarray] = []
        warnings: list[str] = []
        for argument in arguments:
            if argument.lower().endswith((".npy", ".npz")):
                arrays = read_arrays(Path(argument))
                found = list(arrays.get("x", next(iter(arrays.values()))))
                places = [str(index) for index in range(len(found))]
            else:
                file = read_ts(argument)
                found, warnings = file.series, warnings + file.warnings
                places = [f"line {line}" for line in file.lines]
            for one, place in zip(found, places, strict=True):
                self.check(one, f"{argument} {place}")
                names.append(f"{argument} {place}")
                series.append(one)
        return Inputs(tuple(names), series, warnings=tuple(warnings))

    def check(self, series: np.ndarray, what: str) -> None:
        channels = series.shape[1] if series.ndim == 2 else 1
        if series.ndim > 2 or channels != len(self.mean):
            raise DataError(f"{what} has {channels} channels; the model takes {len(self.mean)}.")
        if not len(series) or (not self.masked and len(series) != self.steps):
            raise DataError(f"{what} has {len(series)} steps; the model takes {self.steps}.")
        if not np.isfinite(series).all():
            raise DataError(f"{what} holds NaN or infinite numbers.", "Replace them or leave the series out.")


def fit_series(series: Sequence[np.ndarray], scale: str) -> SeriesPreprocessing:
    """The preprocessing of training series ``(steps, channels)``.

    Args:
        scale: "standard" and "auto": every channel to mean 0 and standard deviation 1; "minmax": to the range 0 to 1;
            "none": as it is.
    """
    values = np.concatenate(series).astype(np.float64)
    lengths = {len(one) for one in series}
    mean, std = np.zeros(values.shape[1]), np.ones(values.shape[1])
    if scale == "minmax":
        mean, std = values.min(axis=0), np.ptp(values, axis=0)
    elif scale != "none":
        mean, std = values.mean(axis=0), values.std(axis=0)
    std = np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return SeriesPreprocessing(max(lengths), tuple(mean.tolist()), tuple(std.tolist()), len(lengths) > 1)
