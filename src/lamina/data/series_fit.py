"""What is chosen for a series by linear regression alone: window, inputs, power."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lamina.data.base import Target
from lamina.data.series_baselines import Ridge, fit_ridge, numbers_in
from lamina.data.series_read import Series
from lamina.data.series_windows import CYCLES, ForecastTarget, WindowPreprocessing, WindowSplit, calendar, raised
from lamina.data.table_columns import NumberColumn
from lamina.errors import DataError

__all__ = ["TRAINING", "WINDOWS", "Cuts", "Form", "choose", "cut", "first_steps"]

WINDOWS = (8, 16, 32, 64, 128, 256)  # that are tried
TRAINING = 16  # windows that training needs
_LONGEST = 400  # steps that a chosen window looks back
_WIDEST = 1_000  # numbers in a chosen window
_CLEARLY = 0.99  # of the error: a place in a cycle has to lower it to this
_GROUPS = 10  # of windows by level, whose spreads are compared


@dataclass(frozen=True)
class Form:
    """How a series is cut: steps back, cycles whose place is an input, power of the column to forecast."""

    window: int
    cycles: tuple[str, ...] = ()
    power: float = 1.0


@dataclass(frozen=True)
class Cuts:
    """A series that can be cut in any form, so that forms can be compared.

    Attributes:
        series: with the columns that are of use.
        parts: first step and first step after, of what is forecast in each part.
        horizon: steps ahead.
    """

    series: Series
    parts: Mapping[str, tuple[int, int]]
    horizon: int

    def preprocessing(self, form: Form) -> WindowPreprocessing:
        """Fitted on the training part."""
        values = self.series.values[: self.parts["train"][1]]
        columns = []
        for place, name in enumerate(self.series.names):
            own = values[:, place] if place else raised(values[:, 0], form.power)
            columns.append(NumberColumn(name, float(own.mean()), float(own.std()), float(own.mean())))
        return WindowPreprocessing(
            self.series.column, tuple(columns), form.cycles, form.window, self.horizon, form.power
        )

    def target(self, form: Form) -> ForecastTarget:
        """Fitted on the training part."""
        own = raised(self.series.values[: self.parts["train"][1], 0], form.power)
        names = tuple(f"t+{ahead}" for ahead in range(1, self.horizon + 1))
        return ForecastTarget(names, self.series.names[0], float(own.mean()), float(own.std()), form.power)

    def split(self, part: str, form: Form) -> WindowSplit:
        """The windows of a part."""
        first, end = self.parts[part]
        starts = first_steps(self.series, max(first, form.window), end, form.window, self.horizon)
        steps = self.preprocessing(form).encode_series(self.series)
        return cut(self.series, steps, starts, form.window, self.target(form))

    def ridge(self, form: Form) -> Ridge:
        """Ridge autoregression on the training part, its penalty chosen on the validation part."""
        train, validation = self.split("train", form), self.split("validation", form)
        return fit_ridge(numbers_in(train), train.targets, numbers_in(validation), validation.targets)


def choose(cuts: Cuts, window: int | None, season: int | None) -> Form:
    """The form for a series: by ridge regression's error on the validation part, and by how its errors spread.

    Args:
        window: steps back, or None to have them chosen.
        season: in steps, or None: one of the windows that are tried.
    """
    if window is None:
        cycles = _cycles(cuts, WINDOWS[0])
        window = _window(cuts, cycles, season)
    form = Form(window, _cycles(cuts, window))
    return Form(form.window, form.cycles, _power(cuts, form))


def first_steps(series: Series, first: int, end: int, window: int, horizon: int) -> np.ndarray:
    """First steps of the windows whose ``horizon`` following values were measured and lie in first … end - 1."""
    ends = np.arange(first, max(end - horizon + 1, first))
    missing = np.concatenate([[0], np.cumsum(~series.measured)])
    return np.asarray(ends[missing[ends + horizon] == missing[ends]] - window)


def cut(series: Series, steps: np.ndarray, starts: np.ndarray, window: int, target: Target) -> WindowSplit:
    """Windows with what follows them.

    Raises:
        DataError: where there are none.
    """
    if not len(starts):
        raise DataError(f"A part of {series.source} has no window whose following values were all measured.")
    following = series.values[starts[:, None] + window + np.arange(target.units), 0]
    shown = series.shown()
    return WindowSplit(steps, starts, window, target.encode(following), [shown[start + window] for start in starts])


def _window(cuts: Cuts, cycles: tuple[str, ...], season: int | None) -> int:
    """The best of some windows, the season among them."""
    training = cuts.parts["train"][1]
    channels = len(cuts.series.names) + 2 * len(cycles)
    longest = min(_LONGEST, training // 4, training - cuts.horizon - TRAINING, _WIDEST // channels)
    tried = {window for window in (*WINDOWS, season or 0) if 0 < window <= longest} | {WINDOWS[0]}
    return min(sorted(tried), key=lambda window: cuts.ridge(Form(window, cycles)).error)


def _cycles(cuts: Cuts, window: int) -> tuple[str, ...]:
    """The cycles whose place makes ridge regression clearly better, of those that the steps and the series span."""
    step = cuts.series.column.seconds
    if step is None:
        return ()
    chosen: tuple[str, ...] = ()
    error = cuts.ridge(Form(window)).error
    for cycle, length in CYCLES.items():
        varies = np.ptp(calendar(cuts.series.times, (cycle,))[0]) > 0
        if not varies or 3 * step > length or cuts.parts["train"][1] * step < 2 * length:
            continue
        found = cuts.ridge(Form(window, (*chosen, cycle))).error
        if found < _CLEARLY * error:
            chosen, error = (*chosen, cycle), found
    return chosen


def _power(cuts: Cuts, form: Form) -> float:
    """1, 1/2 or 1/4: the power after which the errors of ridge regression, one step ahead, spread evenly.

    The spread of the errors grows with the level as level^b; the power is 1 - b, from a straight line through the
    logarithms of both, for tenths of the training windows by forecast level.

    Source: Tukey 1977, "Exploratory data analysis", chapter 4 (the spread-versus-level plot).
    """
    if cuts.series.values[: cuts.parts["train"][1], 0].min() < 0:
        return 1.0
    train, target = cuts.split("train", form), cuts.target(form)
    forecast = target.decode(cuts.ridge(form)(numbers_in(train)))[:, 0]
    errors = np.abs(forecast - target.decode(train.targets)[:, 0])
    tenths = [tenth for tenth in np.array_split(np.argsort(forecast, kind="stable"), _GROUPS) if len(tenth)]
    level = np.array([forecast[tenth].mean() for tenth in tenths])
    spread = np.array([errors[tenth].mean() for tenth in tenths])
    seen = (level > 0.05 * level.max()) & (spread > 0)
    if seen.sum() < 3 or np.ptp(np.log(level[seen])) < 0.5:
        return 1.0
    slope = np.polynomial.Polynomial.fit(np.log(level[seen]), np.log(spread[seen]), 1).convert().coef[1]
    return min((1.0, 0.5, 0.25), key=lambda power: abs(power - (1.0 - float(slope))))
