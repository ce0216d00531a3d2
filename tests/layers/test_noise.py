"""Noise in training, and penalties on activations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina.layers as lm
from lamina.errors import ConfigError

KEY = jax.random.key(3)


def test_masking_noise_sets_a_share_to_zero_and_leaves_the_rest_as_it_is() -> None:
    x = jnp.full((400, 100), 2.0)
    y, _ = lm.MaskingNoise(0.3).apply({}, {}, x, train=True, key=KEY)
    assert set(np.unique(y)) == {0.0, 2.0}
    assert float((y == 0).mean()) == pytest.approx(0.3, abs=0.01)


def test_gaussian_noise_has_its_standard_deviation() -> None:
    y, _ = lm.GaussianNoise(0.5).apply({}, {}, jnp.ones((400, 100)), train=True, key=KEY)
    assert float(y.mean()) == pytest.approx(1, abs=0.01)
    assert float(y.std()) == pytest.approx(0.5, abs=0.01)


def test_the_penalties_are_their_formulas() -> None:
    x = jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, (6, 3)), jnp.float32)
    tape = lm.Tape()
    lm.ActivityL1(0.5).apply({}, {}, -x, train=True, tape=tape)
    lm.ActivityKL(0.2, strength=3.0).apply({}, {}, x, train=True, tape=tape)
    mean = np.asarray(x).mean(axis=0)
    divergence = 0.2 * np.log(0.2 / mean) + 0.8 * np.log(0.8 / (1 - mean))
    first, second = (float(value) for _, _, value in tape.emitted)
    assert first == pytest.approx(0.5 * float(np.asarray(x).sum(axis=1).mean()), rel=1e-5)
    assert second == pytest.approx(3 * float(divergence.sum()), rel=1e-4)


def test_a_unit_that_is_never_on_is_penalised_without_infinity() -> None:
    def penalty(x: jax.Array) -> jax.Array:
        tape = lm.Tape()
        lm.ActivityKL(0.1).apply({}, {}, x, train=True, tape=tape)
        value: jax.Array = tape.emitted[0][2]
        return value

    value, gradient = jax.value_and_grad(penalty)(jnp.zeros((4, 2)))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lm.MaskingNoise(1.0), "below 1. Received: rate=1.0"),
        (lambda: lm.GaussianNoise(-0.1), "std between 0"),
        (lambda: lm.ActivityL1(float("nan")), "finite number for strength"),
        (lambda: lm.ActivityKL(0.0), "target between 0 and 1"),
    ],
)
def test_other_numbers_are_refused(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()  # type: ignore[operator]
