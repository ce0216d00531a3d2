"""Series in tables: times, gaps, windows, the split in time, baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lamina import data
from lamina.config import from_json, to_json
from lamina.data.series import load_series, load_series_split
from lamina.data.series_baselines import baselines, fit_ridge, season_of
from lamina.data.series_read import read_training_series
from lamina.data.series_time import find_times
from lamina.data.series_windows import ForecastTarget, WindowPreprocessing, WindowSplit, calendar
from lamina.errors import ConfigError, DataError


def months(count: int, form: str = "{:04d}-{:02d}") -> list[str]:
    return [form.format(1949 + place // 12, place % 12 + 1) for place in range(count)]


def table(values: Sequence[float | None], times: Sequence[object] | None = None, **others: object) -> pl.DataFrame:
    times = months(len(values)) if times is None else times
    return pl.DataFrame({"when": times, "value": values, **others}, strict=False)


def wave(count: int, period: float = 9.0, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(10 + np.sin(2 * np.pi * np.arange(count) / period) + noise * rng.standard_normal(count))


@pytest.mark.parametrize(
    ("times", "step", "after"),
    [
        (months(40), "1 month", "1952-05"),
        ([f"{m:02d}/{y}" for y in range(1949, 1953) for m in range(1, 13)], "1 month", "01/1953"),
        ([str(d) for d in np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]")], "1 day", "2020-03-01"),
        ([str(d) for d in np.arange("2020-01-31", "2020-03-01", dtype="datetime64[D]")], "1 day", "2020-03-01"),
        (
            [str(t).replace("T", " ") for t in np.arange("2020-01-01T00:00", "2020-01-03T00:00", 15, "datetime64[m]")],
            "15 minutes",
            "2020-01-03 00:00",
        ),
        ([f"{d:02d}.03.2020" for d in range(1, 32)], "1 day", "01.04.2020"),
        (list(range(1700, 1760)), "1", "1760"),
        ([0.5 * n for n in range(40)], "0.5", "20"),
        (["2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30"], "1 month", "2020-05-31"),
        ([d for d in map(str, np.arange("2021-03-01", "2021-04-03", dtype="datetime64[D]")) if np.is_busday(d)],
         "1 weekday", "2021-04-05"),
    ],
)  # fmt: skip
def test_the_time_column_is_found_its_step_told_and_what_follows_written_in_its_form(
    times: list[object], step: str, after: str
) -> None:
    series = read_training_series(table(list(map(float, range(len(times)))), times), "value", None)
    assert series.column.name == "when"
    assert series.column.describe() == step
    assert series.column.write(series.column.after(series.times[-1], 1)) == (after,)
    assert len(series) == len(times)
    assert not series.warnings


def test_days_are_told_from_months_by_the_order_in_which_dates_rise() -> None:
    days = [f"{day:02d}/{month:02d}/2020" for month in (1, 2) for day in range(1, 13)]
    name, form, times = find_times(table(wave(24), days), None, "value", "it")
    assert (name, form) == ("when", "%d/%m/%Y")
    assert str(times[13])[:10] == "2020-02-02"


def test_a_table_from_the_newest_to_the_oldest_row_is_turned_round() -> None:
    turned = read_training_series(table(wave(30)).reverse(), "value", None)
    straight = read_training_series(table(wave(30)), "value", None)
    assert np.array_equal(turned.values, straight.values)
    assert turned.shown() == straight.shown()


def test_gaps_are_counted_filled_by_straight_lines_and_not_forecast() -> None:
    values = wave(60)
    frame = table(values.tolist()).filter(~pl.col("when").is_in(["1950-02", "1950-03", "1952-01"]))
    series = read_training_series(frame, "value", None)
    assert len(series) == 60
    assert np.flatnonzero(~series.measured).tolist() == [13, 14, 36]
    assert series.values[13, 0] == pytest.approx(values[12] + (values[15] - values[12]) / 3)
    (told,) = series.warnings
    assert "3 of the 60 steps are missing" in told
    assert "2 after 1950-01, 1 after 1951-12" in told
    loaded = load_series(frame, target="value", horizon=2, window=4)
    forecast = {name for split in (loaded.train, loaded.validation) for name in split.names}
    assert "1949-12" in forecast
    assert not forecast & {"1950-01", "1950-02", "1950-03"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f[[0, 1, 2, 4, 3, *range(5, 60)]], r"Row 5 of the table \(1949-04\) comes before the row above"),
        (lambda f: f[[0, 1, 1, *range(2, 60)]], "Rows 2 and 3 of the table have the same time 1949-02"),
        (lambda f: f[[*range(20), *range(40, 60)]], r"20 of the 60 steps of the table are missing.*follows row 20"),
        (
            lambda f: f.with_columns(when=pl.Series([0.0, 1.0, 2.0, 3.37, *map(float, range(4, 60))])),
            r"uneven: most lie 1 apart, but row 4 \(3.37\) lies 1.37",
        ),
        (
            lambda f: f.with_columns(when=pl.Series([None, *months(59)])),
            "1 rows of the table have no 'when', the first is row 1",
        ),
        (lambda f: f.with_columns(value=pl.Series(["x", *["1"] * 59])), "holds 'x' in row 1"),
        (lambda f: f.with_columns(value=pl.Series([*range(50), *[None] * 5, *range(5)])[:60]).clear(), "0 rows"),
        (lambda f: f.with_columns(value=pl.lit(3.0)), r"'value' of the table is constant \(3\)"),
        (lambda f: f.drop("when").with_columns(value=pl.Series(wave(60))), "No column of the table says when"),
        (lambda f: f[:30], "has 30 steps; a window of 8 and a horizon of 2 need at least 34"),
        (lambda f: f[:1], "has 1 rows"),
    ],
)
def test_what_cannot_be_forecast_is_refused_in_one_sentence(change: object, said: str) -> None:
    frame = change(table(wave(60).tolist()))  # type: ignore[operator]
    with pytest.raises(DataError, match=said):
        load_series(frame, target="value", time_column=None if "No column" in said else "when", horizon=2)


def test_the_least_length_that_is_named_is_enough() -> None:
    with pytest.raises(DataError, match="need at least 84"):
        load_series(table(wave(83).tolist()), target="value")
    assert len(load_series(table(wave(84).tolist()), target="value").train)


def test_missing_values_are_told_of() -> None:
    values: list[float | None] = wave(60).tolist()
    values[7] = values[9] = None
    series = read_training_series(table(values), "value", None)
    assert "2 of 60 values of 'value' are missing, the first in row 8" in series.warnings[0]
    assert np.isfinite(series.values).all()


def test_the_only_number_beside_the_time_is_what_is_forecast() -> None:
    assert read_training_series(table(wave(60)).select("when", "value"), None, None).names == ("value",)
    with pytest.raises(DataError, match="Which column of the table is to be forecast"):
        read_training_series(table(wave(60), other=wave(60)), None, None)


def test_a_named_time_column_is_taken_and_an_unknown_one_refused() -> None:
    frame = table(wave(60), second=range(60))
    assert read_training_series(frame, "value", "second").column.describe() == "1"
    with pytest.raises(DataError, match="no column 'secnd'"):
        read_training_series(frame, "value", "secnd")


def test_parts_follow_each_other_in_time_and_no_value_is_forecast_in_two() -> None:
    loaded = load_series(table(wave(200).tolist()), target="value", horizon=3, window=10)
    seen: list[set[int]] = []
    for split in (loaded.train, loaded.validation, loaded.test):
        assert isinstance(split, WindowSplit)
        ahead = split.starts[:, None] + split.window + np.arange(3)
        seen.append(set(ahead.ravel().tolist()))
    assert max(seen[0]) < min(seen[1]) <= max(seen[1]) < min(seen[2])
    assert set.union(*seen) == set(range(10, 200))
    assert loaded.validation.read(np.array([0])).shape == (1, 10, 1)


def test_windows_and_targets_are_the_series_own_values() -> None:
    values = wave(200)
    loaded = load_series(table(values.tolist()), target="value", horizon=3, window=10)
    target = loaded.target
    assert isinstance(target, ForecastTarget)
    window = loaded.train.read(np.array([5]))[0, :, 0] * target.std + target.mean
    np.testing.assert_allclose(window, values[5:15], rtol=1e-5)
    np.testing.assert_allclose(target.decode(loaded.train.targets[5:6])[0], values[15:18], rtol=1e-5)
    assert target.mean == pytest.approx(values[:160].mean())
    assert loaded.train.names[5] == months(200)[15]


def test_other_numbers_are_inputs_and_text_and_constants_are_not() -> None:
    frame = table(wave(200), other=wave(200, 5), text=["a"] * 200, same=[1.0] * 200)
    loaded = load_series(frame, target="value", horizon=1, window=4)
    assert loaded.preprocessing.input_spec().shape == (4, 2)
    assert loaded.card.facts["other inputs"] == ["other"]
    assert any("'text'" in warning for warning in loaded.card.warnings)
    assert any("'same'" in warning for warning in loaded.card.warnings)


def test_a_yearly_wave_in_days_has_its_place_in_the_year_as_input() -> None:
    days = np.arange("2010-01-01", "2016-01-01", dtype="datetime64[D]")
    values = wave(len(days), 365.25, noise=0.5)
    loaded = load_series(table(values.tolist(), days.astype(str).tolist()), target="value", horizon=3, window=8)
    assert isinstance(loaded.preprocessing, WindowPreprocessing)
    assert loaded.preprocessing.cycles == ("year",)
    assert loaded.preprocessing.input_spec().shape == (8, 3)
    assert abs(loaded.card.facts["season"] - 365) < 20


def test_places_in_cycles_are_angles() -> None:
    times = np.array(["2021-07-02T12:00", "2021-07-05T00:00"], "datetime64[us]")  # a Friday, a Monday
    day, week, year = (calendar(times, (cycle,)) for cycle in ("day", "week", "year"))
    assert day[0][0] == pytest.approx(0, abs=1e-9)
    assert day[1].tolist() == pytest.approx([-1, 1])
    assert week[1].tolist() == pytest.approx([np.cos(2 * np.pi * 4.5 / 7), 1])
    assert year[1][0] == pytest.approx(-1, abs=1e-4)


def test_the_season_is_found_and_noise_has_none() -> None:
    assert season_of(wave(240, 12) + 0.05 * np.arange(240)) == 12
    assert season_of(np.random.default_rng(0).standard_normal(500)) is None
    assert season_of(np.ones(100)) is None


def test_ridge_regression_equals_scikit_learns() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((80, 5, 2)), rng.standard_normal((80, 3))
    x_held, y_held = rng.standard_normal((20, 5, 2)), rng.standard_normal((20, 3))
    found = fit_ridge(x, y, x_held, y_held)
    errors = {}
    for power in range(-3, 7):
        model = linear.Ridge(alpha=10.0**power).fit(x.reshape(80, -1), y)
        errors[10.0**power] = np.abs(model.predict(x_held.reshape(20, -1)) - y_held).mean()
        if found.penalty == 10.0**power:
            np.testing.assert_allclose(found(x_held), model.predict(x_held.reshape(20, -1)), atol=1e-8)
    assert errors[found.penalty] == min(errors.values())
    assert found.error == pytest.approx(errors[found.penalty])


def test_baselines_say_the_last_value_and_the_season_before() -> None:
    loaded = load_series(table(wave(200, 12, noise=0).tolist()), target="value", horizon=14, window=10)
    train, validation, test = loaded.train, loaded.validation, loaded.test
    assert isinstance(train, WindowSplit)
    assert isinstance(validation, WindowSplit)
    assert isinstance(test, WindowSplit)
    ways = baselines(train, validation, 12)
    assert np.array_equal(ways["last value"](test), np.repeat(test.read(np.arange(len(test)))[:, -1:, 0], 14, axis=1))
    np.testing.assert_allclose(ways["season before (12 steps)"](test), test.targets, atol=1e-5)
    errors = {row["baseline"]: row["test"] for row in loaded.card.facts["baselines"]}
    assert set(errors) == {"last value", "season before (12 steps)", "ridge autoregression"}
    assert errors["season before (12 steps)"] < 1e-5 < errors["last value"]


def test_a_model_reads_the_end_of_a_table_and_says_when() -> None:
    loaded = load_series(table(wave(200).tolist()), target="value", horizon=3, window=10)
    preprocessing = loaded.preprocessing
    assert isinstance(preprocessing, WindowPreprocessing)
    later = table(wave(40).tolist())
    encoded = preprocessing.encode(later)
    assert encoded.shape == (1, 10, 1)
    column = preprocessing.columns[0]
    np.testing.assert_allclose(encoded[0, :, 0] * column.spread + column.centre, wave(40)[-10:], rtol=1e-5)
    assert preprocessing.times_after(preprocessing.read(later)) == ("1952-05", "1952-06", "1952-07")
    with pytest.raises(DataError, match="has 9 steps; the model looks back 10"):
        preprocessing.encode(later[:9])
    with pytest.raises(DataError, match="lacks the column 'value'"):
        preprocessing.encode(later.rename({"value": "valu"}))
    with pytest.raises(DataError, match="does not read as %Y-%m"):
        preprocessing.encode(later.with_columns(when=pl.Series([*months(39), "soon"])))


def test_gather_takes_files_and_says_when_their_forecasts_are(tmp_path: Path) -> None:
    preprocessing = load_series(table(wave(200).tolist()), target="value", horizon=2, window=10).preprocessing
    table(wave(40).tolist()).write_csv(tmp_path / "a.csv")
    table(wave(41).tolist()).write_parquet(tmp_path / "b.parquet")
    inputs = preprocessing.gather([str(tmp_path / "a.csv"), str(tmp_path / "b.parquet")])
    assert inputs.times == (("1952-05", "1952-06"), ("1952-06", "1952-07"))
    assert preprocessing.encode(inputs.raw).shape == (2, 10, 1)


def test_preprocessing_and_target_are_data() -> None:
    loaded = load_series(table(wave(200).tolist()), target="value", horizon=3, window=10)
    assert from_json(to_json(loaded.preprocessing)) == loaded.preprocessing
    assert from_json(to_json(loaded.target)) == loaded.target


def test_all_windows_of_another_table_are_a_split() -> None:
    loaded = load_series(table(wave(200).tolist()), target="value", horizon=3, window=10)
    assert isinstance(loaded.preprocessing, WindowPreprocessing)
    split, card = load_series_split(table(wave(50).tolist()), loaded.preprocessing, loaded.target)
    assert len(split) == 50 - 10 - 3 + 1
    assert card.splits == {"test": {"examples": 38}}
    with pytest.raises(DataError, match="has 12 steps; a window of 10 and a horizon of 3 need at least 13"):
        load_series_split(table(wave(12).tolist()), loaded.preprocessing, loaded.target)


def test_load_asks_for_the_task_where_a_forecasts_options_are_given() -> None:
    with pytest.raises(ConfigError, match="horizon is for forecasts"):
        data.load(table(wave(60)), target="value", horizon=3)
    with pytest.raises(ConfigError, match="horizon is a whole number of steps"):
        data.load(table(wave(60)), target="value", task="forecast", horizon=0)
    with pytest.raises(ConfigError, match="test part of a forecast is the end"):
        data.load(table(wave(60)), target="value", task="forecast", test=table(wave(60)))
    with pytest.raises(ConfigError, match="learned from a table"):
        data.load((np.ones((4, 2)), np.ones(4)), task="forecast")
