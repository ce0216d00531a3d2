"""Free energies and likelihoods against enumeration in NumPy, and against scikit-learn."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ConfigError
from lamina.unsupervised import (
    RBM,
    annealed_log_partition,
    free_energy,
    log_likelihood,
    log_partition,
    pseudo_log_likelihood,
)

VISIBLE, HIDDEN = 5, 4


def weights(seed: int = 0, visible: int = VISIBLE, hidden: int = HIDDEN, dtype: Any = np.float32) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    sizes = {"kernel": (visible, hidden), "visible_bias": (visible,), "hidden_bias": (hidden,)}
    return {name: jnp.asarray(random.normal(size=size), dtype) for name, size in sizes.items()}


def states(count: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=count)))


def joint(params: dict[str, Any]) -> np.ndarray:
    """Log of the unnormalised probability of every pair of states, ``(2^visible, 2^hidden)``."""
    v, h = states(VISIBLE), states(HIDDEN)
    w, b, c = (np.asarray(params[name], np.float64) for name in ("kernel", "visible_bias", "hidden_bias"))
    return v @ w @ h.T + (v @ b)[:, None] + (h @ c)[None]


def logsumexp(values: np.ndarray, axis: int | None = None) -> Any:
    top = values.max()
    return top + np.log(np.exp(values - top).sum(axis=axis))


def test_the_free_energy_is_a_sum_over_hidden_states() -> None:
    params, rbm = weights(), RBM(HIDDEN)
    found = free_energy(rbm, params, jnp.asarray(states(VISIBLE), jnp.float32))
    np.testing.assert_allclose(found, -logsumexp(joint(params), axis=1), rtol=1e-5)


@pytest.mark.parametrize(("visible", "hidden"), [(VISIBLE, HIDDEN), (3, 6), (14, 13)])
def test_the_probabilities_of_all_states_sum_to_one(visible: int, hidden: int) -> None:
    params, rbm = weights(1, visible, hidden), RBM(hidden)
    found = np.asarray(log_likelihood(rbm, params, jnp.asarray(states(visible), jnp.float32)), np.float64)
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=1e-4)


def test_the_log_partition_is_the_sum_over_all_states() -> None:
    params = weights()
    np.testing.assert_allclose(log_partition(RBM(HIDDEN), params), logsumexp(joint(params)), rtol=1e-5)


def test_gaussian_visible_units_have_a_density(x64: None) -> None:
    params, rbm = weights(2, 2, 3, np.float64), RBM(3, visible="gaussian")
    grid = np.linspace(-14, 14, 601)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    density = np.exp(log_likelihood(rbm, params, jnp.asarray(points)))
    np.testing.assert_allclose(density.sum() * (grid[1] - grid[0]) ** 2, 1, rtol=1e-6)


def test_gaussian_hidden_units_are_integrated(x64: None) -> None:
    params, rbm = weights(3, 4, 1, np.float64), RBM(1, hidden_units="gaussian")
    h = np.linspace(-30, 30, 20_001)
    v = states(4)
    w, b, c = (np.asarray(params[name]) for name in ("kernel", "visible_bias", "hidden_bias"))
    energies = (v @ w) * h[None] + (v @ b)[:, None] - 0.5 * (h - c)[None] ** 2
    wanted = np.log(np.exp(energies).sum(axis=1) * (h[1] - h[0]))
    np.testing.assert_allclose(-free_energy(rbm, params, jnp.asarray(v)), wanted, rtol=1e-8)
    np.testing.assert_allclose(np.exp(log_likelihood(rbm, params, jnp.asarray(v))).sum(), 1, rtol=1e-10)


@pytest.mark.parametrize("rbm", [RBM(30), RBM(30, visible="gaussian"), RBM(3, visible="gaussian", hidden_units="relu")])
def test_large_machines_have_no_exact_likelihood(rbm: RBM) -> None:
    with pytest.raises(ConfigError, match="at most 20 Bernoulli units"):
        log_partition(rbm, weights(0, 25, rbm.hidden))


def test_the_pseudo_likelihood_is_the_sum_of_the_conditionals() -> None:
    params, v = weights(), states(VISIBLE)
    log_p = logsumexp(joint(params), axis=1)
    wanted = np.zeros(len(v))
    for row, state in enumerate(v):
        for i in range(VISIBLE):
            flipped = state.copy()
            flipped[i] = 1 - flipped[i]
            other = int(np.flatnonzero((v == flipped).all(axis=1))[0])
            wanted[row] += log_p[row] - np.logaddexp(log_p[row], log_p[other])
    rbm = RBM(HIDDEN)
    found = pseudo_log_likelihood(rbm, params, jnp.asarray(v, jnp.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    one_by_one = [
        pseudo_log_likelihood(rbm, params, jnp.asarray(v, jnp.float32), jnp.full(len(v), i)) for i in range(VISIBLE)
    ]
    np.testing.assert_allclose(np.mean(one_by_one, axis=0), wanted, rtol=1e-4)


def test_scikit_learn_says_the_same_of_the_same_weights() -> None:
    from sklearn.neural_network import BernoulliRBM

    params = weights(4, 9, 6)
    theirs = BernoulliRBM(6, random_state=5)
    theirs.components_ = np.asarray(params["kernel"], np.float64).T
    theirs.intercept_visible_ = np.asarray(params["visible_bias"], np.float64)
    theirs.intercept_hidden_ = np.asarray(params["hidden_bias"], np.float64)
    x = np.random.default_rng(0).integers(0, 2, (40, 9)).astype(np.float64)
    chosen = np.random.RandomState(5).randint(0, 9, 40)  # the units that it will choose
    found = pseudo_log_likelihood(RBM(6), params, jnp.asarray(x, jnp.float32), jnp.asarray(chosen))
    np.testing.assert_allclose(found, theirs.score_samples(x), rtol=1e-4)
    trained = RBM(6).with_params(params, (9,))
    np.testing.assert_allclose(trained.transform(x), theirs.transform(x), rtol=1e-4)
    np.testing.assert_allclose(trained.free_energy(x), theirs._free_energy(x), rtol=1e-4)


def test_real_visible_units_have_no_pseudo_likelihood() -> None:
    with pytest.raises(ConfigError, match="visible units are gaussian"):
        RBM(HIDDEN, visible="gaussian").with_params(weights(), (VISIBLE,)).score(np.zeros((2, VISIBLE)))


@pytest.mark.parametrize("seed", range(3))
def test_annealing_finds_the_partition(seed: int) -> None:
    params, rbm = weights(seed, 12, 8), RBM(8, steps=3, sample_visible=False)
    estimate, deviation = rbm.with_params(params, (12,)).log_partition(chains=200, temperatures=500, seed=seed)
    exact = float(log_partition(rbm, params))
    assert 0 < deviation < 0.2
    assert abs(estimate - exact) < 5 * deviation


def test_annealing_begins_at_a_known_machine() -> None:
    params = weights(0) | {"kernel": jnp.zeros((VISIBLE, HIDDEN)), "hidden_bias": jnp.zeros(HIDDEN)}
    estimate, deviation = jax.jit(
        lambda key: annealed_log_partition(RBM(HIDDEN), params, key, chains=3, temperatures=2)
    )(jax.random.key(0))
    np.testing.assert_allclose(estimate, log_partition(RBM(HIDDEN), params), rtol=1e-6)
    assert float(deviation) < 1e-3


def test_the_module_is_public() -> None:
    assert lm.unsupervised.RBM is RBM
