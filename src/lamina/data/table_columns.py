"""The columns of a table as a model reads them: numbers, categories, dates; each fitted on the training split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from lamina.config import Config

__all__ = [
    "DATE_PARTS",
    "CategoryColumn",
    "Column",
    "DateColumn",
    "NumberColumn",
    "as_dates",
    "as_numbers",
    "as_texts",
    "date_format",
    "date_part",
]

DATE_PARTS = ("days", "year", "month", "day", "weekday", "hour")
_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y",
    "%d/%m/%Y", "%Y-%m-%dT%H:%M:%SZ",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class NumberColumn(Config):
    """``(x - centre) / spread``, and where ``edges`` are given the piecewise-linear encoding of it.

    Attributes:
        name: of the column.
        centre, spread: in the column's own unit.
        fill: what stands for a missing number, in the column's own unit (the training median).
        edges: of the bins, rising, in units of ``spread`` from ``centre``; empty for none.
        indicator: whether one more input says that the number is missing.
    """

    name: str
    centre: float
    spread: float
    fill: float
    edges: tuple[float, ...] = ()
    indicator: bool = False

    def encode(self, series: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """Scaled float32 numbers ``(n,)``, and which of them were missing."""
        numbers = as_numbers(series)
        missing = np.isnan(numbers)
        return ((np.where(missing, self.fill, numbers) - self.centre) / self.spread).astype(np.float32), missing


@dataclass(frozen=True, repr=False)
class CategoryColumn(Config):
    """Codes: 0, 1, … for ``values``, then one for all rare values, then one for missing ones; -1 where there is none.

    Attributes:
        name: of the column.
        values: the categories that have an input of their own.
        rare: the training table's other categories. They share an input, and new ones go there, too; a new category
            has no input at all where none was rare.
        missing: whether a missing value has an input of its own.
    """

    name: str
    values: tuple[str, ...]
    rare: tuple[str, ...] = ()
    missing: bool = False

    @property
    def width(self) -> int:
        return len(self.values) + bool(self.rare) + self.missing

    def encode(self, series: pl.Series) -> np.ndarray:
        """int32 codes ``(n,)``."""
        known = len(self.values)
        codes = as_texts(series).replace_strict(
            self.values, range(known), default=known if self.rare else -1, return_dtype=pl.Int32
        )
        absent = known + bool(self.rare) if self.missing else -1
        return np.where(series.is_null().to_numpy(), absent, codes.to_numpy()).astype(np.int32)

    def unseen(self, series: pl.Series) -> list[str]:
        """The values that training did not have, sorted."""
        values = as_texts(series).drop_nulls().unique().to_list()
        return sorted(set(values) - {*self.values, *self.rare})


@dataclass(frozen=True, repr=False)
class DateColumn(Config):
    """A date or time as numbers: days since 1970, year, month, day of the month, weekday, hour.

    Attributes:
        name: of the column.
        format: of dates in text, as in `datetime.strptime`; empty where they were none.
        parts: one of each part that varies, named "<column>.<part>".
    """

    name: str
    format: str
    parts: tuple[NumberColumn, ...]

    def split(self, series: pl.Series) -> list[pl.Series]:
        """The parts' raw numbers, in the order of ``parts``."""
        dates = as_dates(series, self.format)
        return [date_part(dates, part.name.rpartition(".")[2]) for part in self.parts]


Column: TypeAlias = NumberColumn | CategoryColumn | DateColumn


def date_part(dates: pl.Series, part: str) -> pl.Series:
    """One of `DATE_PARTS` of dates, as float64."""
    if part == "days":
        return dates.dt.epoch("s").cast(pl.Float64) / 86_400
    parts = {"year": dates.dt.year, "month": dates.dt.month, "day": dates.dt.day, "weekday": dates.dt.weekday}
    return (parts[part]() if part in parts else dates.dt.hour()).cast(pl.Float64)


def as_numbers(series: pl.Series) -> np.ndarray:
    """float64 ``(n,)``; NaN for what is missing, infinite or no number."""
    if series.dtype == pl.String:
        series = series.cast(pl.Float64, strict=False)
    elif series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        series = series.cast(pl.Float64)
    else:
        return np.full(len(series), np.nan)
    numbers = series.to_numpy().astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def as_texts(series: pl.Series) -> pl.Series:
    """A column's values as text, the same however they are stored: whole numbers as "3", truth as "true", "false"."""
    if series.dtype == pl.String:
        series = series.str.replace(r"^([-+]?\d+)\.0+$", "${1}")
        lowered = series.str.to_lowercase()
        truth = lowered.is_in(["true", "false"])
        return series if not truth.any() else series.zip_with(~truth.fill_null(False), lowered)
    if series.dtype.is_float() and (series.is_null() | (series == series.round())).all():
        series = series.cast(pl.Int64, strict=False)
    return series.cast(pl.String)


def date_format(series: pl.Series) -> str | None:
    """The format in which all that is there reads as a date; "" for dates that are no text, None for no dates."""
    if series.dtype in (pl.Date, pl.Datetime):
        return ""
    if series.dtype == pl.String:
        for pattern in _FORMATS:
            dates = series.str.to_datetime(pattern, strict=False, time_unit="us")
            if dates.null_count() == series.null_count() < len(series):
                return pattern
    return None


def as_dates(series: pl.Series, pattern: str) -> pl.Series:
    """A column as datetimes; null for what does not read as one in this format (in any, where it is "")."""
    if series.dtype == pl.String:
        dates = series.str.to_datetime(pattern or date_format(series) or _FORMATS[0], strict=False, time_unit="us")
    elif series.dtype in (pl.Date, pl.Datetime):
        dates = series.cast(pl.Datetime("us"))
    else:
        dates = pl.Series(series.name, [None] * len(series), pl.Datetime("us"))
    return dates.dt.replace_time_zone(None)
