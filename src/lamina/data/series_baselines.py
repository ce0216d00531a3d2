"""What a forecast has to be better than: the last value, the season before, ridge autoregression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lamina.data.series_windows import WindowSplit

__all__ = [
    "Forecast",
    "Ridge",
    "baselines",
    "fit_ridge",
    "last_value",
    "mean_absolute_error",
    "numbers_in",
    "season_of",
    "seasonal_naive",
]

Forecast: TypeAlias = Callable[[WindowSplit], np.ndarray]

_PENALTIES = tuple(10.0**power for power in range(-3, 7))
_ROWS = 20_000  # of which ridge regression takes the latest
_WIDEST = 2_000  # numbers in a window, from which on it takes only the latest values
_SEASONAL = 0.2  # least autocorrelation of a season
_NEAR = 0.85  # of the highest autocorrelation


def baselines(train: WindowSplit, validation: WindowSplit, season: int | None) -> dict[str, Forecast]:
    """The baselines by name, each from windows to what follows them, in the units of the encoded series.

    Args:
        train, validation: ridge regression is fitted to them.
        season: in steps; None leaves the season before out.
    """
    horizon = train.targets.shape[1]
    ridge = fit_ridge(numbers_in(train), train.targets, numbers_in(validation), validation.targets)
    found: dict[str, Forecast] = {"last value": lambda split: last_value(numbers_in(split), horizon)}
    if season:
        found[f"season before ({season} steps)"] = lambda split: seasonal_naive(
            split.steps[:, 0], split.starts + split.window, season, horizon
        )
    found["ridge autoregression"] = lambda split: ridge(numbers_in(split))
    return found


def numbers_in(split: WindowSplit) -> np.ndarray:
    """All windows of a split, ``(n, window, channels)``; of wide ones the latest values of the first channel."""
    window, channels = split.window, split.steps.shape[1]
    if window * channels <= _WIDEST:
        return split.read(np.arange(len(split)))
    offsets = np.arange(max(window - _WIDEST, 0), window)
    return split.steps[split.starts[:, None] + offsets, :1]


@dataclass(frozen=True)
class Ridge:
    """``x @ weights + bias``, and the penalty that was best on the validation part."""

    weights: np.ndarray
    bias: np.ndarray
    penalty: float
    error: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Windows ``(n, ...)`` → ``(n, horizon)``, float64."""
        return np.asarray(_flat(x) @ self.weights + self.bias)


def fit_ridge(x: np.ndarray, y: np.ndarray, x_validation: np.ndarray, y_validation: np.ndarray) -> Ridge:
    """Linear least squares with a squared penalty on the weights, the bias free.

    Source: Hoerl & Kennard 1970, Technometrics 12:55-67. The penalty is, of powers of ten, the one of the least mean
    absolute error on the validation part.

    Args:
        x, y: windows ``(n, ...)``, of which the latest 20,000 are taken, and what follows them, ``(n, horizon)``.
        x_validation, y_validation: the same of the validation part.
    """
    inputs, answers = _flat(x[-_ROWS:]), y[-_ROWS:].astype(np.float64)
    centre, level = inputs.mean(axis=0), answers.mean(axis=0)
    inputs = inputs - centre
    values, vectors = np.linalg.eigh(inputs.T @ inputs)
    values = np.maximum(values, 0.0)
    projected = vectors.T @ (inputs.T @ (answers - level))
    held_out = _flat(x_validation) - centre
    found = []
    for penalty in _PENALTIES:
        weights = vectors @ (projected / (values + penalty)[:, None])
        error = mean_absolute_error(held_out @ weights + level, y_validation)
        found.append(Ridge(weights, level - centre @ weights, penalty, error))
    return min(found, key=lambda ridge: ridge.error)


def last_value(x: np.ndarray, horizon: int) -> np.ndarray:
    """The last value of each window ``(n, window, channels)``, repeated: ``(n, horizon)``."""
    return np.repeat(x[:, -1:, 0], horizon, axis=1)


def seasonal_naive(steps: np.ndarray, ends: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """The values of the season before: ``(n, horizon)``.

    Args:
        steps: the whole series, ``(steps,)``.
        ends: first step after each window, ``(n,)``; none lies before a season of steps.
        season: in steps.
    """
    ahead = np.arange(horizon)
    back = season * (ahead // season + 1)
    return np.asarray(steps[ends[:, None] + ahead - back])


def season_of(values: np.ndarray) -> int | None:
    """The period at which a series resembles itself most, from its autocorrelation; None where it has no season.

    A straight line is taken off first. Of the lags after the first at which the autocorrelation is negative, up to a
    third of the series, the one where it is highest, or a part of it where it is nearly as high; it must reach 0.2.
    """
    count = len(values)
    if count < 8:
        return None
    line = np.polynomial.Polynomial.fit(np.arange(count), values, 1)
    rest = values - line(np.arange(count))
    spectrum = np.fft.rfft(rest, 2 * count)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[: count // 3 + 1]
    if not correlation[0] > 1e-12 * count * np.square(values).mean():
        return None
    # Each lag by the number of pairs that it has, so that a long season is not taken for a weak one.
    correlation = correlation / correlation[0] * count / (count - np.arange(len(correlation)))
    negative = np.flatnonzero(correlation < 0)
    if not len(negative):
        return None
    first = int(negative[0])
    lag = first + int(correlation[first:].argmax())
    if correlation[lag] < _SEASONAL:
        return None
    for share in range(lag // first, 1, -1):  # the highest peak may be a multiple of the season
        low, high = round(0.9 * lag / share), round(1.1 * lag / share) + 1
        peak = low + int(correlation[low:high].argmax())
        if correlation[peak] >= _NEAR * correlation[lag]:
            return peak
    return lag


def mean_absolute_error(forecast: np.ndarray, truth: np.ndarray) -> float:
    """Over all windows and steps ahead."""
    return float(np.abs(forecast - truth).mean())


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)
