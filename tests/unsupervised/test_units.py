"""Kinds of units: conditional moments against their formulas, sums over states against sums over states."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from lamina.errors import ConfigError
from lamina.unsupervised.randoms import levels
from lamina.unsupervised.units import KINDS, units

BIAS = np.array([-1.5, -0.3, 0.0, 0.7, 3.0], np.float32)
FIELD = np.array([0.5, -1.0, 0.2, 0.1, 1.5], np.float32)
DRAWS = 200_000


def drawn(name: str) -> np.ndarray:
    field = jnp.broadcast_to(FIELD, (DRAWS, len(FIELD)))
    return np.asarray(jax.jit(units(name).sample)(jax.random.key(0), jnp.asarray(BIAS), field), np.float64)


def moments(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a sample, from textbooks."""
    a = (BIAS + FIELD).astype(np.float64)
    p = 1 / (1 + np.exp(-a))
    if name == "bernoulli":
        return p, p * (1 - p)
    if name == "gaussian":
        return a, np.ones_like(a)
    std = np.sqrt(p)  # of the noise; then the moments of a rectified Gaussian
    mean = a * norm.cdf(a / std) + std * norm.pdf(a / std)
    square = (a**2 + std**2) * norm.cdf(a / std) + a * std * norm.pdf(a / std)
    return mean, square - mean**2


@pytest.mark.parametrize("name", KINDS)
def test_samples_have_the_moments_of_their_distribution(name: str) -> None:
    samples = drawn(name)
    mean, variance = moments(name)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=5 * np.sqrt(variance.max() / DRAWS))
    np.testing.assert_allclose(samples.var(axis=0), variance, rtol=0.03, atol=1e-4)
    assert abs(np.corrcoef(samples.T)[np.triu_indices(len(BIAS), 1)]).max() < 5 / np.sqrt(DRAWS)


@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_the_mean_is_that_of_the_samples(name: str) -> None:
    mean = units(name).mean(jnp.asarray(BIAS), jnp.asarray(FIELD))
    np.testing.assert_allclose(mean, moments(name)[0], rtol=1e-5)


def test_a_rectified_unit_stands_for_many_binary_ones(x64: None) -> None:
    """Their states' sum and its mean, against biases b - 0.5, b - 1.5, … one by one (an integral is in their place)."""
    bias, field = jnp.asarray(BIAS, jnp.float64), jnp.asarray(FIELD, jnp.float64)
    a = np.asarray(bias + field)[:, None] + 0.5 - np.arange(1, 200)
    np.testing.assert_allclose(units("relu").mean(bias, field), (1 / (1 + np.exp(-a))).sum(axis=1), atol=0.02)
    np.testing.assert_allclose(units("relu").log_sum(bias, field), np.log1p(np.exp(a)).sum(axis=1), atol=0.05)


def test_the_sum_over_the_states_of_a_rectified_unit_is_the_integral_of_its_mean(x64: None) -> None:
    kind, zero = units("relu"), jnp.zeros((), jnp.float64)
    for a in (-30.0, -1.0, 0.0, 2.0, 60.0):
        wanted = quad(lambda t: np.logaddexp(0, t), -60, a, epsabs=1e-12, points=[0] if a > 0 else None)[0]
        np.testing.assert_allclose(kind.log_sum(zero, jnp.asarray(a)), wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_the_slope_of_the_sum_over_states_is_the_mean(name: str, x64: None) -> None:
    kind = units(name)
    bias, field = jnp.asarray(BIAS, jnp.float64), jnp.asarray(FIELD, jnp.float64)
    slope = jax.grad(lambda f: jnp.sum(kind.log_sum(bias, f)))(field)
    np.testing.assert_allclose(slope, kind.mean(bias, field), rtol=1e-6)


@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_the_sum_over_states_is_one(name: str, x64: None) -> None:
    kind, bias = units(name), jnp.asarray([0.4], jnp.float64)
    for f in (-1.3, 2.0):

        def weight(s: float) -> float:
            return float(np.exp(float(kind.log_weight(bias, jnp.asarray([s], jnp.float64))) + f * s))  # noqa: B023

        total = weight(0.0) + weight(1.0) if name == "bernoulli" else quad(weight, -20, 20, limit=200)[0]
        np.testing.assert_allclose(kind.log_sum(bias, jnp.asarray([f], jnp.float64)), [np.log(total)], rtol=1e-7)


def test_certain_units_are_certain() -> None:
    bias = jnp.asarray([-40.0, 40.0], jnp.float32)
    states = units("bernoulli").sample(jax.random.key(1), bias, jnp.zeros((50_000, 2), jnp.float32))
    np.testing.assert_array_equal(states.min(axis=0), states.max(axis=0))
    np.testing.assert_array_equal(states[0], [0, 1])


@pytest.mark.parametrize("shape", [(3,), (1,), (5, 7), (2, 3, 4)])
def test_levels_fill_any_shape(shape: Any) -> None:
    drawn = levels(jax.random.key(0), shape)
    assert drawn.shape == shape
    assert 0 < float(drawn.min()) <= float(drawn.max()) < 1


def test_levels_are_uniform_and_independent() -> None:
    u = np.asarray(jax.jit(lambda key: levels(key, (1000, 1000)))(jax.random.key(3)), np.float64)
    counts = np.bincount((u.ravel() * 256).astype(int), minlength=256)
    expected = u.size / 256
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 6 * np.sqrt(2 * 255)
    for lag in (1, 2, 3, 1000):
        flat = u.ravel() - 0.5
        assert abs(np.mean(flat[:-lag] * flat[lag:]) * 12) < 5 / np.sqrt(u.size)


def test_unknown_units_are_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'bernoulli'"):
        units("bernouli")
