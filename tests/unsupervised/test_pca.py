"""PCA and logistic PCA."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from lamina.errors import ConfigError, DataError
from lamina.unsupervised import PCA, LogisticPCA


def bits(count: int = 300, features: int = 20, seed: int = 0) -> np.ndarray:
    """Examples of a Bernoulli model with three hidden numbers."""
    random = np.random.default_rng(seed)
    loadings = np.random.default_rng(99).normal(size=(3, features))
    odds = random.normal(size=(count, 3)) @ loadings * 1.5
    return (random.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(np.float32)


def test_pca_gives_back_what_scikit_learns_does() -> None:
    from sklearn.decomposition import PCA as Theirs

    x = np.random.default_rng(0).normal(size=(80, 12)).astype(np.float32) @ np.diag(np.arange(12, dtype=np.float32))
    ours, theirs = PCA.fit(x, 4), Theirs(4, random_state=0).fit(x)
    expected = theirs.inverse_transform(theirs.transform(x))
    np.testing.assert_allclose(ours.decode(ours.encode(x)), expected, rtol=1e-3, atol=1e-3)


def test_logistic_pca_reaches_the_optimum_that_a_general_optimiser_finds() -> None:
    from scipy.optimize import minimize
    from scipy.special import expit

    x, penalty = bits(60, 10), 1.0

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        codes, loadings, bias = flat[:120].reshape(60, 2), flat[120:140].reshape(2, 10), flat[140:]
        odds = codes @ loadings + bias
        off = expit(odds) - x
        squares = np.sum(codes**2) + np.sum(loadings**2)
        value = np.sum(np.logaddexp(0, odds) - x * odds) + 0.5 * penalty * squares
        gradient = [off @ loadings.T + penalty * codes, codes.T @ off + penalty * loadings, off.sum(axis=0)]
        return float(value), np.concatenate([part.ravel() for part in gradient])

    starts = [np.random.default_rng(seed).normal(size=150) * 0.5 for seed in range(5)]
    best = min(minimize(objective, start, jac=True, method="L-BFGS-B").fun for start in starts)
    fitted = LogisticPCA.fit(x, 2, penalty=penalty)
    ours, _ = objective(np.concatenate([fitted.encode(x).ravel(), fitted.loadings.ravel(), fitted.bias]))
    assert ours == pytest.approx(best, rel=2e-3)


def test_the_codes_of_new_examples_are_the_most_likely_ones() -> None:
    from scipy.optimize import minimize

    fitted = LogisticPCA.fit(bits(), 3)
    new = bits(20, seed=1)
    codes = fitted.encode(new)
    loadings, bias = fitted.loadings.astype(np.float64), fitted.bias.astype(np.float64)
    for own, x in zip(codes[:5], new, strict=False):

        def objective(code: np.ndarray, x: np.ndarray = x) -> float:
            odds = code @ loadings + bias
            return float(np.sum(np.logaddexp(0, odds) - x * odds) + 0.5 * fitted.penalty * np.sum(code**2))

        assert objective(own.astype(np.float64)) <= minimize(objective, np.zeros(3)).fun + 1e-2


def test_bits_are_given_back_better_than_by_pca() -> None:
    train, test = bits(600), bits(200, seed=1)
    linear, logistic = PCA.fit(train, 3), LogisticPCA.fit(train, 3)
    errors = [np.square(one.decode(one.encode(test)) - test).sum(axis=1).mean() for one in (linear, logistic)]
    assert errors[1] < errors[0]
    assert logistic.decode(logistic.encode(test)).min() >= 0


def test_what_cannot_be_fitted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="30 components cannot be found of examples of shape"):
        PCA.fit(np.zeros((10, 40), np.float32), 30)
    with pytest.raises(DataError, match=r"numbers in 0…1. Received: -1 to 1"):
        LogisticPCA.fit(np.asarray([[-1.0, 1.0]] * 4, np.float32), 1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="PCA needs scikit-learn"):
        PCA.fit(np.zeros((10, 4), np.float32), 2)
