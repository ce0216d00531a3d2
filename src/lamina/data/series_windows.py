"""Windows of a series: what the network is given of the past, and what it is to say of the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lamina.data.base import Answer, Inputs, Preprocessing, Target, Task
from lamina.data.series_read import Series, read_series
from lamina.data.series_time import TimeColumn
from lamina.data.table_columns import NumberColumn
from lamina.errors import DataError
from lamina.layers.base import Spec, spec

__all__ = ["CYCLES", "ForecastTarget", "WindowPreprocessing", "WindowSplit", "calendar", "raised"]

CYCLES = {"year": 365.2425 * 86_400.0, "week": 7 * 86_400.0, "day": 86_400.0}  # seconds


@dataclass(frozen=True, repr=False)
class ForecastTarget(Target):
    """The next values of a series: a power of them, standardised with the training part's mean and standard deviation.

    Encoded: float32 ``(n, horizon)``, in standard deviations.

    Attributes:
        names: "t+1", "t+2", … of the steps ahead.
        value: name of the column that is forecast.
        mean, std: of the training part, after the power.
        power: 1; or 1/2 or 1/4 for values of at least 0 that spread the more the larger they are.
    """

    task: ClassVar[Task] = "forecast"
    answer: ClassVar[Answer] = "values"
    names: tuple[str, ...]
    value: str
    mean: float
    std: float
    power: float = 1.0

    @property
    def units(self) -> int:
        return len(self.names)

    def encode(self, values: Any) -> np.ndarray:
        array = raised(np.asarray(values, np.float64).reshape(len(values), len(self.names)), self.power)
        standardised: np.ndarray = ((array - self.mean) / self.std).astype(np.float32)
        return standardised

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Standardised values ``(n, horizon)`` → values in the series' own unit, float64."""
        values: np.ndarray = self.in_unit(np.asarray(encoded, np.float64).reshape(-1, len(self.names)))
        return values

    def in_unit(self, encoded: Any) -> Any:
        """`decode` for arrays of any kind and shape, jax arrays inside a compiled program too."""
        values = encoded * self.std + self.mean
        return values if self.power == 1.0 else ((abs(values) + values) / 2) ** (1.0 / self.power)


@dataclass(frozen=True, repr=False)
class WindowPreprocessing(Preprocessing):
    """The last ``window`` steps of a series: its columns standardised, and where they lie in year, week and day.

    The column to forecast is raised to a power first. A place in a cycle is given as sine and cosine of its angle.

    Attributes:
        time: the column that says when.
        columns: what is read, the one to forecast first; spreads and centres are the training part's.
        cycles: of `CYCLES`, those in which places are given.
        window: steps that the network looks back.
        horizon: steps that it forecasts.
        power: of the column to forecast, as in `ForecastTarget`.
    """

    kind: ClassVar[str] = "series"
    time: TimeColumn
    columns: tuple[NumberColumn, ...]
    cycles: tuple[str, ...]
    window: int
    horizon: int
    power: float = 1.0

    @property
    def target(self) -> str:
        """The column that is forecast."""
        return self.columns[0].name

    def encode(self, raw: Any) -> np.ndarray:
        """The last window of a series, or of each of several → float32 ``(n, window, channels)``.

        Args:
            raw: the path of a `.csv` or `.parquet` file, a frame, a mapping of columns, a list of mappings (rows); or
                a tuple of these.

        Raises:
            DataError: for a table that has fewer rows than the window, or does not fit the model.
        """
        tables = raw if isinstance(raw, tuple) else (raw,)
        return np.stack([self.encode_series(self._last(self.read(table))) for table in tables])

    def transform(self, x: Any) -> Any:
        return x

    def input_spec(self) -> Spec:
        return spec((self.window, len(self.columns) + 2 * len(self.cycles)))

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """CSV and Parquet files, or "-" for CSV on standard input; one forecast a file, of what follows its end."""
        found = tuple(self.read(argument) for argument in arguments)
        warnings = [remark for series in found for remark in series.warnings]
        return Inputs(
            tuple(arguments),
            found,
            warnings=tuple(warnings),
            times=tuple(self.times_after(self._last(series)) for series in found),
        )

    def read(self, raw: Any) -> Series:
        """A table as a series, with the columns and the step that the model knows."""
        if isinstance(raw, Series):
            return raw
        return read_series(raw, self.time, [column.name for column in self.columns])

    def encode_series(self, series: Series) -> np.ndarray:
        """All steps of a series, float32 ``(steps, channels)``."""
        values = [raised(series.values[:, 0], self.power), *series.values[:, 1:].T]
        scaled = [(value - column.centre) / column.spread for value, column in zip(values, self.columns, strict=True)]
        return np.stack([*scaled, *calendar(series.times, self.cycles)], axis=1).astype(np.float32)

    def times_after(self, series: Series) -> tuple[str, ...]:
        """The times, as text, of what is forecast from a series."""
        return self.time.write(self.time.after(series.times[-1], self.horizon))

    def _last(self, series: Series) -> Series:
        if len(series) < self.window:
            raise DataError(
                f"{series.source} has {len(series)} steps; the model looks back {self.window}.",
                f"Give at least the last {self.window} rows of the series.",
            )
        end = slice(len(series) - self.window, None)
        return Series(
            series.source,
            series.column,
            series.times[end],
            series.values[end],
            series.measured[end],
            series.names,
            series.warnings,
        )


@dataclass(frozen=True)
class WindowSplit:
    """Windows of a series, cut out when they are read.

    Attributes:
        steps: all steps, encoded, float32 ``(steps, channels)``.
        starts: first step of each window, ``(n,)``.
        window: steps in a window.
        targets: encoded values that follow each, float32 ``(n, horizon)``.
        names: the time of the first forecast value of each.
    """

    steps: np.ndarray
    starts: np.ndarray
    window: int
    targets: np.ndarray
    names: Sequence[str]
    in_memory: bool = True

    def __len__(self) -> int:
        return len(self.starts)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """float32 ``(n, window, channels)``."""
        return np.asarray(self.steps[self.starts[indices][:, None] + np.arange(self.window)])


def raised(values: np.ndarray, power: float) -> np.ndarray:
    """The power of values, of which those below 0 count as 0; a power of 1 leaves all as they are."""
    return values if power == 1.0 else np.asarray(np.maximum(values, 0.0) ** power)


def calendar(times: np.ndarray, cycles: Sequence[str]) -> list[np.ndarray]:
    """Sine and cosine of the place in each cycle, float64 ``(n,)`` each."""
    waves = []
    for cycle in cycles:
        begin = times.astype("datetime64[Y]") if cycle == "year" else times.astype("datetime64[D]")
        place = (times - begin.astype("datetime64[us]")).astype(np.int64) / 1e6
        length: Any = 86_400.0
        if cycle == "year":
            length = ((begin + 1).astype("datetime64[us]") - begin.astype("datetime64[us]")).astype(np.int64) / 1e6
        elif cycle == "week":
            place = place + 86_400.0 * ((begin.astype(np.int64) + 3) % 7)  # 1970 began on a Thursday
            length = CYCLES["week"]
        angle = 2 * np.pi * place / length
        waves += [np.sin(angle), np.cos(angle)]
    return waves
