"""When the values of a series were taken: time stamps read, the even step between them, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from lamina.config import Config
from lamina.data.table_columns import as_numbers
from lamina.errors import DataError, nearest

__all__ = ["TimeColumn", "check_order", "find_times", "fit_step", "read_times", "steps_of"]

Unit: TypeAlias = Literal["number", "seconds", "weekdays", "months", "month ends"]
_NUMBER = "number"
_DAY = 86_400.0
_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S%.f", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d.%m.%Y", "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%Y-%m", "%Y/%m", "%m/%Y",
    "%m.%Y", "%b %Y", "%b-%Y", "%B %Y",
)  # fmt: skip
_JITTER = 0.1  # of a step, by which a time stamp may be off
_SPARSE = 0.1  # of the steps, of which more may not be missing
_EVEN = (
    "Resample it to even steps; or number its rows and name that column as the time column, to take them as they "
    "follow each other."
)


@dataclass(frozen=True, repr=False)
class TimeColumn(Config):
    """The column that says when, and the even step between its rows.

    Attributes:
        name: of the column.
        format: of times in text, as in `datetime.strptime`; "" for dates that are none, "number" for plain numbers.
        unit: in which steps are counted: "number" (the column's own), "seconds", "weekdays" (Monday to Friday),
            "months" or "month ends".
        step: between two rows, in units.
    """

    name: str
    format: str
    unit: Unit
    step: float

    def places(self, times: np.ndarray) -> np.ndarray:
        """Times → float64 ``(n,)``, one apart for each step."""
        return _count(times, self.unit) / self.step

    def after(self, time: Any, count: int) -> np.ndarray:
        """The ``count`` times that follow one."""
        ahead = np.arange(1, count + 1)
        if self.unit == "number":
            return np.asarray(time + ahead * self.step)
        if self.unit == "seconds":
            return np.asarray(time + np.rint(ahead * self.step * 1e6).astype("timedelta64[us]"))
        day = time.astype("datetime64[D]")
        within = time - day
        if self.unit == "weekdays":
            return np.asarray(np.busday_offset(day, (ahead * self.step).astype(np.int64)) + within)
        month = time.astype("datetime64[M]")
        months = month + (ahead * self.step).astype(np.int64)
        last = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
        if self.unit == "months":
            last = np.minimum(months.astype("datetime64[D]") + (day - month.astype("datetime64[D]")), last)
        return np.asarray(last + within)

    def write(self, times: np.ndarray) -> tuple[str, ...]:
        """Times as text, in the column's own form."""
        if self.unit == "number":
            return tuple(f"{time:.12g}" for time in times.tolist())
        stamps = times.astype("datetime64[us]").tolist()
        if self.format:
            return tuple(stamp.strftime(self.format.replace("%.f", ".%f")) for stamp in stamps)
        whole = all(stamp.time().isoformat() == "00:00:00" for stamp in stamps)
        return tuple(stamp.date().isoformat() if whole else stamp.isoformat() for stamp in stamps)

    def describe(self) -> str:
        """The step in words: "1 month", "15 minutes"."""
        if self.unit != "seconds":
            noun = {"number": "", "weekdays": " weekday", "months": " month", "month ends": " month"}[self.unit]
            return f"{self.step:g}{noun}{'s' if noun and self.step != 1 else ''}"
        for size, noun in ((_DAY, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")):
            if self.step >= size and self.step % size == 0:
                return f"{self.step / size:g} {noun}{'s' if self.step != size else ''}"
        return f"{self.step:g} seconds"

    @property
    def seconds(self) -> float | None:
        """About how long a step is; None where the column holds plain numbers."""
        sizes = {"seconds": 1.0, "weekdays": 1.4 * _DAY, "months": 30.4 * _DAY, "month ends": 30.4 * _DAY}
        return self.step * sizes[self.unit] if self.unit in sizes else None


def find_times(frame: pl.DataFrame, name: str | None, target: str | None, source: str) -> tuple[str, str, np.ndarray]:
    """Name, format and values of the column that says when: the named one, or the one that looks like it.

    That is the first column of dates; else the first of numbers that rise evenly.

    Raises:
        DataError: where there is none, or the named one cannot be read.
    """
    columns = frame.columns
    if name is not None:
        if name not in columns:
            raise DataError(f"{source} has no column {name!r}.", nearest(name, columns))
        return name, *_parse(frame[name], name, source)
    rest = [column for column in columns if column != target]
    for column in rest:
        found = _date_format(frame[column])
        if found is not None:
            return column, found, read_times(frame[column], found, source)
    for column in rest:
        numbers = as_numbers(frame[column])
        steps = np.diff(numbers)
        if len(steps) and np.isfinite(steps).all() and steps.min() > 0 and np.allclose(steps, steps[0], rtol=1e-6):
            return column, _NUMBER, numbers
    raise DataError(
        f"No column of {source} says when its values were taken: none holds dates, or numbers that rise evenly.",
        f"Name it as the time column; there are {', '.join(columns[:20])}.",
    )


def read_times(series: pl.Series, form: str, source: str) -> np.ndarray:
    """The times of a column whose format is known: datetime64[us], or float64 for numbers."""
    return _parse(series, series.name, source, form)[1]


def fit_step(name: str, form: str, times: np.ndarray, source: str) -> TimeColumn:
    """The column with the step that its times keep, gaps aside."""
    unit: Unit = "number"
    if times.dtype.kind == "M":
        unit = _unit(times)
    counts = np.diff(_count(times, unit))
    sizes, how_often = np.unique(np.round(counts, 6), return_counts=True)
    return TimeColumn(name, form, unit, float(sizes[how_often.argmax()]))


def steps_of(column: TimeColumn, times: np.ndarray, source: str) -> np.ndarray:
    """The step at which each row lies, int64 ``(n,)`` from 0; they rise, with holes where rows are missing.

    Raises:
        DataError: for time stamps out of step with the others, or with too many steps missing between them.
    """
    places = column.places(times)
    places = places - places[0]
    steps: np.ndarray = np.rint(places).astype(np.int64)
    off = np.abs(places - steps) > _JITTER
    off[1:] |= np.diff(steps) < 1
    shown = column.write(times)
    if off.any():
        row = int(off.argmax())
        raise DataError(
            f"The time stamps of {source} are uneven: most lie {column.describe()} apart, but row {row + 1} "
            f"({shown[row]}) lies {places[row] - places[row - 1]:.3g} such steps after the row above.",
            _EVEN,
        )
    missing = int(steps[-1]) + 1 - len(steps)
    if missing > _SPARSE * (steps[-1] + 1):
        widest = int(np.diff(steps).argmax())
        raise DataError(
            f"{missing:,} of the {int(steps[-1]) + 1:,} steps of {source} are missing (of {column.describe()} each); "
            f"the longest gap, of {int(np.diff(steps)[widest]) - 1:,}, follows row {widest + 1} ({shown[widest]}).",
            _EVEN,
        )
    return steps


def check_order(times: np.ndarray, shown: Sequence[str], source: str) -> None:
    """Refuse times that do not rise.

    Raises:
        DataError: naming the first row that repeats or goes back.
    """
    wrong = np.flatnonzero(times[1:] <= times[:-1])
    if not len(wrong):
        return
    row = int(wrong[0]) + 1
    if times[row] == times[row - 1]:
        raise DataError(
            f"Rows {row} and {row + 1} of {source} have the same time {shown[row]}; "
            f"{int((times[1:] == times[:-1]).sum())} rows repeat the one above.",
            "Keep one of them, or give each series a file of its own.",
        )
    raise DataError(
        f"Row {row + 1} of {source} ({shown[row]}) comes before the row above it ({shown[row - 1]}); the times go back "
        f"at {int((times[1:] < times[:-1]).sum())} places.",
        "Sort the rows by time.",
    )


def _parse(series: pl.Series, name: str, source: str, form: str | None = None) -> tuple[str, np.ndarray]:
    if series.null_count():
        row = int(series.is_null().arg_max() or 0)
        raise DataError(
            f"{series.null_count()} rows of {source} have no {name!r}, the first is row {row + 1}.",
            "Every row needs its time: complete or remove them.",
        )
    if form is None:
        form = _date_format(series)
        form = _most_likely(series) if form is None else form
    if form is None or form == _NUMBER:
        numbers = as_numbers(series)
        broken = np.flatnonzero(np.isnan(numbers))
        if len(broken):
            raise DataError(
                f"The time column {name!r} of {source} holds {series[int(broken[0])]!r} in row {int(broken[0]) + 1}, "
                "which reads neither as a date like the others nor as a number.",
                "Dates are written like 1949-01, 1949-01-31 or 1949-01-31 12:00.",
            )
        return _NUMBER, numbers
    dates = _as_dates(series, form)
    if dates.null_count():
        row = int(dates.is_null().arg_max() or 0)
        like = f" as {form}" if form else " as a date"
        raise DataError(
            f"The time {series[row]!r} in row {row + 1} of {source} does not read{like}, as others do.",
            "Mend it; dates are written like 1949-01, 1949-01-31 or 1949-01-31 12:00.",
        )
    return form, dates.to_numpy()


def _date_format(series: pl.Series) -> str | None:
    """The format in which all reads as dates, those in which they rise first; "" for dates that are no text."""
    if series.dtype in (pl.Date, pl.Datetime):
        return ""
    if series.dtype != pl.String or not len(series) or _looks_numeric(series):
        return None
    found = None
    for form in _FORMATS:
        dates = _as_dates(series, form)
        if dates.null_count():
            continue
        if dates.is_sorted() or dates.is_sorted(descending=True):
            return form
        found = found or form
    return found


def _most_likely(series: pl.Series) -> str | None:
    """The format in which most of a column reads as dates, so that the rows in which it does not can be named."""
    if series.dtype != pl.String or _looks_numeric(series):
        return None
    found = min(_FORMATS, key=lambda form: _as_dates(series, form).null_count())
    return found if 2 * _as_dates(series, found).null_count() < len(series) else None


def _looks_numeric(series: pl.Series) -> bool:
    """Whether all cells are plain numbers (chrono would read 19490131 as a date)."""
    return series.cast(pl.Float64, strict=False).null_count() == 0


def _as_dates(series: pl.Series, form: str) -> pl.Series:
    if series.dtype != pl.String:
        return series.dt.replace_time_zone(None).cast(pl.Datetime("us")) if _zoned(series) else _plain(series)
    if "%d" not in form:
        series, form = "01 " + series, f"%d {form}"
    return series.str.to_datetime(form, strict=False, time_unit="us")


def _zoned(series: pl.Series) -> bool:
    return isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is not None


def _plain(series: pl.Series) -> pl.Series:
    return series.cast(pl.Datetime("us"), strict=False)


def _unit(times: np.ndarray) -> Unit:
    days = times.astype("datetime64[D]")
    months = times.astype("datetime64[M]")
    within = times - days
    ends = (days + 1).astype("datetime64[M]") > months
    apart = np.diff(days).astype(np.int64)
    if len(apart) and apart.min() >= 28 and (within == within[0]).all():
        if ends.all():
            return "month ends"
        if (days - months.astype("datetime64[D]") == (days - months.astype("datetime64[D]"))[0]).all():
            return "months"
    daily = len(apart) > 9 and float(np.median(apart)) == 1.0 and (within == within[0]).all()
    return "weekdays" if daily and np.is_busday(days).all() else "seconds"


def _count(times: np.ndarray, unit: Unit) -> np.ndarray:
    """Times in units, float64, from an arbitrary zero."""
    if unit == "number":
        return times.astype(np.float64)
    if unit == "seconds":
        return times.astype("datetime64[us]").astype(np.int64) / 1e6
    if unit == "weekdays":
        days = times.astype("datetime64[D]").astype(np.int64) + 3  # 1970 began on a Thursday
        return (5 * (days // 7) + np.minimum(days % 7, 4)).astype(np.float64)
    return times.astype("datetime64[M]").astype(np.int64).astype(np.float64)
