"""What is chosen for series, and that the networks begin and end as they should."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import lamina as lm
from lamina.data import load
from lamina.data.base import Data
from lamina.data.series_baselines import fit_ridge, numbers_in
from lamina.data.series_windows import ForecastTarget, WindowSplit
from lamina.layers import Masked, Pretrained
from lamina.train.recipes import ARCHITECTURES, choose


def series(level: float = 0.0, slope: float = 0.0, growth: float = 0.0, count: int = 200) -> Data:
    rng = np.random.default_rng(0)
    steps = np.arange(count)
    values = level + slope * steps + np.sin(2 * np.pi * steps / 9) + 0.1 * rng.standard_normal(count)
    if growth:
        values = np.exp(growth * steps) * (10 + values)
    frame = pl.DataFrame({"step": steps, "value": values})
    return load(frame, task="forecast", target="value", horizon=3, window=9)


def test_a_forecast_begins_as_ridge_regression() -> None:
    data = series()
    assert isinstance(data.train, WindowSplit)
    assert isinstance(data.validation, WindowSplit)
    recipe = choose(data)
    assert isinstance(recipe.network, Pretrained)
    params, state = recipe.network.init(jax.random.key(0), data.preprocessing.input_spec())
    x, held = numbers_in(data.train), numbers_in(data.validation)
    ridge = fit_ridge(x, data.train.targets, held, data.validation.targets)
    y, _ = recipe.network.apply(params, state, jnp.asarray(held))
    np.testing.assert_allclose(y, ridge(held), atol=1e-4)


def test_a_series_that_only_rises_is_learned_as_changes() -> None:
    recipe = choose(series(slope=1.0))
    assert any(isinstance(part, lm.Reversible) for _, part in recipe.network.parts())
    assert "learns changes" in recipe.reasons[0]


def test_a_series_that_spreads_with_its_level_is_learned_as_a_root() -> None:
    assert isinstance(series().target, ForecastTarget)
    assert series(level=50).target.power == 1.0  # type: ignore[attr-defined]
    grown = series(growth=0.02)
    assert isinstance(grown.target, ForecastTarget)
    assert grown.target.power == 0.25
    assert isinstance(grown.test, WindowSplit)
    encoded = grown.test.targets
    np.testing.assert_allclose(grown.target.encode(grown.target.decode(encoded)), encoded, rtol=1e-4)
    np.testing.assert_allclose(grown.target.in_unit(jnp.asarray(encoded)), grown.target.decode(encoded), rtol=1e-3)


def test_a_forecast_is_no_worse_than_ridge_regression_on_the_validation_part() -> None:
    data = series()
    run = lm.fit("auto", data, epochs=5, progress=False)
    ridge = data.card.facts["baselines"][-1]
    assert run.validation["mae"][0] <= 1.05 * ridge["validation"]
    assert run.history[-1]["mae"] == pytest.approx(ridge["validation"], rel=0.5)  # in the series' own unit
    assert run.model.target == data.target


def test_the_last_weights_are_kept_where_validation_is_small() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 12, 2))
    y = (x[:, :, 0].mean(axis=1) > 0).astype(int)
    recipe = choose(load((x, y)))
    assert recipe.keep == "last"
    run = lm.fit("auto", (x, y), epochs=3, progress=False)
    assert run.best_epoch == 3
    assert run.config["keep"] == "last"
    assert [row["best"] for row in run.history] == [True] * 3
    assert lm.fit("auto", (x, y), epochs=2, patience=1, progress=False).config["keep"] == "best"


def test_arrays_of_steps_and_channels_reach_the_recipe_of_series() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    recipe = choose(load((rng.standard_normal((60, 20, 2)), y)))
    assert "Series" in recipe.reasons[0]
    assert recipe.network.out_spec(jax.ShapeDtypeStruct((20, 2), jnp.float32)).shape == (3,)
    pictures = choose(load((rng.integers(0, 256, (60, 20, 20), np.uint8), y)))
    assert "Pictures" in pictures.reasons[0]
    assert ARCHITECTURES["convnet"](load((rng.standard_normal((60, 20, 2)), y))).out_spec(
        jax.ShapeDtypeStruct((20, 2), jnp.float32)
    ).shape == (3,)


def test_series_of_unequal_length_are_learned(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["@equalLength false", "@classLabel true up down", "@data"]
    for index in range(40):
        length = int(rng.integers(8, 14))
        values = (1 if index % 2 else -1) * np.linspace(-1, 1, length) + 0.2 * rng.standard_normal(length)
        lines.append(",".join(f"{value:.3f}" for value in values) + (":up" if index % 2 else ":down"))
    (tmp_path / "a.ts").write_text("\n".join(lines))
    data = load(tmp_path / "a.ts")
    assert isinstance(data.preprocessing.input_spec(), Masked)
    run = lm.fit("auto", data, epochs=25, progress=False)
    assert run.test["accuracy"][0] >= 0.75
    # What a series is filled up with says nothing.
    one = np.linspace(-1, 1, 8)
    alone, beside = (run.model.predict(raw).probabilities for raw in ([one], [one, np.linspace(1, -1, 30)]))
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)
