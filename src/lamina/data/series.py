"""A series to be forecast as data: windows, horizons, a split in time, baselines."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.data.base import Data, DataCard, Target
from lamina.data.series_baselines import baselines, season_of
from lamina.data.series_fit import TRAINING, WINDOWS, Cuts, Form, choose, cut, first_steps
from lamina.data.series_read import Series, read_training_series
from lamina.data.series_windows import WindowPreprocessing, WindowSplit
from lamina.errors import ConfigError, DataError

__all__ = ["load_series", "load_series_split"]

_HORIZON = 12
_SHARE = 0.1  # of the steps, for validation and for test, each


def load_series(
    source: Any,
    *,
    target: str | None = None,
    time_column: str | None = None,
    horizon: int | None = None,
    window: int | None = None,
) -> Data:
    """Data from a series: the next ``horizon`` values are learned from the ``window`` steps before.

    The split is in time: the first steps are for training, the next tenth for validation, the last tenth for test (at
    least two horizons each). Windows look back across the borders; what is forecast in one part is forecast in no
    other. Baselines are measured on the same windows and stand on the card.

    Args:
        source: the path of a `.csv`, `.tsv` or `.parquet` file, a polars or pandas frame, a mapping of columns.
        target: the column to forecast; the only numeric one can be left out.
        time_column: the column that says when; default: the first of dates, or of numbers that rise evenly.
        horizon: steps ahead; default: 12.
        window: steps back; default: chosen by ridge regression's error on the validation part.

    Raises:
        DataError: for a table without times, with times that do not rise, are uneven or have large gaps; for a series
            that is too short or constant.
        ConfigError: for a horizon or window below 1.
    """
    horizon = _whole("horizon", _HORIZON if horizon is None else horizon)
    given = None if window is None else _whole("window", window)
    series = read_training_series(source, target, time_column)
    parts = _parts(series, horizon, given)
    series, warnings = _varying(series, parts["train"][1])
    season = season_of(series.values[: parts["train"][1], 0])
    cuts = Cuts(series, parts, horizon)
    form = choose(cuts, given, season)
    splits = {part: cuts.split(part, form) for part in parts}
    card = DataCard(series.source, "series", split_rule=_rule(series, parts), warnings=warnings)
    shown = series.shown()
    for part, split in splits.items():
        first, last = int(split.starts[0]) + form.window, int(split.starts[-1]) + form.window + horizon - 1
        card.splits[part] = {"examples": len(split), "first": shown[first], "last": shown[last]}
    card.facts = _facts(series, form, season, horizon, given is None) | _measured(cuts, form, season)
    return Data(
        splits["train"], splits["validation"], splits["test"], cuts.preprocessing(form), cuts.target(form), card
    )


def load_series_split(source: Any, preprocessing: WindowPreprocessing, target: Target) -> tuple[WindowSplit, DataCard]:
    """All windows of a series, as a trained model takes them.

    Raises:
        DataError: for a series that cannot be read, does not fit the model, or is too short.
    """
    series = preprocessing.read(source)
    window, horizon = preprocessing.window, preprocessing.horizon
    if len(series) < window + horizon:
        raise DataError(
            f"{series.source} has {len(series)} steps; a window of {window} and a horizon of {horizon} need at least "
            f"{window + horizon}."
        )
    starts = first_steps(series, window, len(series), window, horizon)
    split = cut(series, preprocessing.encode_series(series), starts, window, target)
    card = DataCard(series.source, "series", warnings=list(series.warnings))
    card.split_rule = f"All {len(split):,} windows of {len(series):,} steps."
    card.splits = {"test": {"examples": len(split)}}
    return split, card


def _parts(series: Series, horizon: int, window: int | None) -> dict[str, tuple[int, int]]:
    """Where what is forecast in each part begins and ends."""
    count = len(series)
    looked_back = window if window is not None else WINDOWS[0]
    needed = looked_back + horizon + TRAINING
    least = next(steps for steps in itertools.count(needed) if steps - 2 * _held_out(steps, horizon) >= needed)
    if count < least:
        raise DataError(
            f"{series.source} has {count} steps; a window of {looked_back} and a horizon of {horizon} need at least "
            f"{least}, to train, validate and test on.",
            "Give a longer series, a shorter window or a shorter horizon.",
        )
    held_out = _held_out(count, horizon)
    train, validation = count - 2 * held_out, count - held_out
    return {"train": (0, train), "validation": (train, validation), "test": (validation, count)}


def _held_out(steps: int, horizon: int) -> int:
    """Steps of the validation part, and of the test part."""
    return max(round(_SHARE * steps), 2 * horizon)


def _varying(series: Series, training: int) -> tuple[Series, list[str]]:
    """The series without columns that are constant in the training part, and its warnings."""
    values = series.values[:training]
    varies = values.std(axis=0) > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-300)
    if not varies[0]:
        raise DataError(
            f"The column {series.names[0]!r} of {series.source} is constant ({values[0, 0]:g}) in the training part, "
            f"its first {training} steps: there is nothing to learn."
        )
    warnings = list(series.warnings)
    dropped = [repr(name) for name, used in zip(series.names, varies, strict=True) if not used]
    if dropped:
        warnings.append(f"Columns that are constant in the training part are not used: {', '.join(dropped)}.")
    names = tuple(name for name, used in zip(series.names, varies, strict=True) if used)
    return dataclasses.replace(series, values=series.values[:, varies], names=names), warnings


def _facts(series: Series, form: Form, season: int | None, horizon: int, chosen: bool) -> dict[str, Any]:
    shown = series.shown()
    power = {1.0: "none", 0.5: "square root", 0.25: "fourth root"}[form.power]
    return {
        "steps": f"{len(series):,} of {series.column.describe()}, {shown[0]} to {shown[-1]}",
        "time": series.column.name,
        "target": series.names[0],
        "other inputs": list(series.names[1:]),
        "place in": list(form.cycles),
        "window": f"{form.window} steps" + (", chosen by ridge regression's error on the validation part" * chosen),
        "horizon": f"{horizon} steps",
        "season": season,
        "root": power,
    }


def _measured(cuts: Cuts, form: Form, season: int | None) -> dict[str, Any]:
    """Mean absolute errors of the baselines in the series' own unit, on the same windows and inputs.

    Returns:
        "baselines": a record each; "errors by step ahead": a record a step, for the test part.
    """
    plain = Form(form.window, form.cycles)
    splits = {part: cuts.split(part, plain) for part in cuts.parts}
    target = cuts.target(plain)
    ways = baselines(splits["train"], splits["validation"], season)
    errors = {
        name: {part: _errors(splits[part], way(splits[part])) * target.std for part in ("validation", "test")}
        for name, way in ways.items()
    }
    return {
        "baselines": [
            {"baseline": name, **{part: float(error.mean()) for part, error in found.items()}}
            for name, found in errors.items()
        ],
        "errors by step ahead": [
            {"step": step, **{name: float(found["test"][place]) for name, found in errors.items()}}
            for place, step in enumerate(target.names)
        ],
    }


def _errors(split: WindowSplit, forecast: np.ndarray) -> np.ndarray:
    """Mean absolute errors by step ahead, ``(horizon,)``."""
    return np.asarray(np.abs(forecast - split.targets).mean(axis=0))


def _rule(series: Series, parts: Mapping[str, tuple[int, int]]) -> str:
    shown = series.shown()
    spans = [
        f"{name} {shown[first]} to {shown[end - 1]} ({end - first:,} steps)" for name, (first, end) in parts.items()
    ]
    rest = "Windows look back across the borders; what is forecast in one part is in no other."
    return f"In time: {', '.join(spans)}. {rest}"


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name} is a whole number of steps, at least 1. Received: {name}={value!r}.")
    return int(value)
