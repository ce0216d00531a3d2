"""Principal components and their logistic kin: what auto-encoders are measured against."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina.errors import ConfigError, DataError

__all__ = ["PCA", "LogisticPCA"]

_STEPS = 400  # of fitting
_CODE_STEPS = 150  # of finding the codes of other examples, a convex problem
_RATE = 0.3  # of Adam, which falls to 0 in a half cosine
_CHUNK = 10_000  # examples whose codes are found together


@dataclass(frozen=True)
class PCA:
    """Principal components, fitted by scikit-learn.

    Attributes:
        mean: ``(features,)``.
        components: ``(units, features)``, orthonormal rows.
    """

    mean: np.ndarray
    components: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, units: int, seed: int = 0) -> PCA:
        """The first components of examples ``(n, features)``.

        Raises:
            ConfigError: where scikit-learn is not installed.
            DataError: for more components than examples or features.
        """
        if importlib.util.find_spec("sklearn") is None:
            raise ConfigError("PCA needs scikit-learn.", "Install it: pip install 'lamina[pretrained]'")
        _check(x, units)
        from sklearn.decomposition import PCA as Components

        found = Components(units, random_state=seed).fit(x)
        return cls(np.asarray(found.mean_, np.float32), np.asarray(found.components_, np.float32))

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Examples ``(n, features)`` → codes ``(n, units)`` float32."""
        codes: np.ndarray = (np.asarray(x, np.float32) - self.mean) @ self.components.T
        return codes

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes → examples."""
        x: np.ndarray = codes @ self.components + self.mean
        return x


@dataclass(frozen=True)
class LogisticPCA:
    """x ~ Bernoulli(σ(u V + b)): each number's log-odds are affine in a short code u, and V, b and all u most likely.

    For numbers in 0…1, such as the brightness of pixels. Fitted by gradient ascent (Adam) on the log-likelihood of all
    examples at once, in one compiled program that begins at the principal components; the codes of other examples are
    found the same way with V and b as they are, which is a convex problem.

    Source: Schein, Saul & Ungar 2003, "A generalized linear model for principal component analysis of binary data",
    AISTATS; Collins, Dasgupta & Schapire 2001, "A generalization of principal component analysis to the exponential
    family", NeurIPS 14. Departures: the gradient in place of alternating least squares; ½ λ (Σ u² + Σ V²) with
    λ = ``penalty`` is taken off the log-likelihood, without which a pixel that is always black has infinite odds.

    Attributes:
        loadings: V, ``(units, features)``.
        bias: b, ``(features,)``.
        penalty: λ.
    """

    loadings: np.ndarray
    bias: np.ndarray
    penalty: float = 1e-2

    @classmethod
    def fit(
        cls, x: np.ndarray, units: int, *, steps: int = _STEPS, penalty: float = 1e-2, seed: int = 0
    ) -> LogisticPCA:
        """The most likely loadings for examples ``(n, features)`` with numbers in 0…1.

        Args:
            steps: of gradient ascent.
            penalty: λ, above 0.
            seed: of nothing but the principal components' own.

        Raises:
            ConfigError: where scikit-learn is not installed.
            DataError: for numbers outside 0…1; more units than examples or features.
        """
        _check(x, units)
        if not len(x) or x.min() < -1e-6 or x.max() > 1 + 1e-6:
            raise DataError(f"Logistic PCA takes numbers in 0…1. Received: {x.min():.3g} to {x.max():.3g}.")
        linear = PCA.fit(x, units, seed)
        codes = linear.encode(x)
        spread = np.maximum(codes.std(axis=0), 1e-6)
        share = np.clip(linear.mean, 0.01, 0.99)
        start = {
            "codes": jnp.asarray(codes / spread),
            "loadings": jnp.asarray(4 * linear.components * spread[:, None]),  # σ' is at most 1/4
            "bias": jnp.asarray(np.log(share / (1 - share))),
        }
        found = _ascend(start, {}, jnp.asarray(x, jnp.float32), steps, penalty)
        return cls(np.asarray(found["loadings"]), np.asarray(found["bias"]), penalty)

    def encode(self, x: np.ndarray, steps: int = _CODE_STEPS) -> np.ndarray:
        """The most likely codes of examples ``(n, features)``: ``(n, units)`` float32."""
        fixed = {"loadings": jnp.asarray(self.loadings), "bias": jnp.asarray(self.bias)}
        found = []
        for start in range(0, len(x), _CHUNK):
            part = jnp.asarray(x[start : start + _CHUNK], jnp.float32)
            first = {"codes": jnp.zeros((len(part), len(self.loadings)), jnp.float32)}
            found.append(np.asarray(_ascend(first, fixed, part, steps, self.penalty)["codes"]))
        return np.concatenate(found)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes → the mean of each number, in 0…1."""
        odds = codes @ self.loadings + self.bias
        means: np.ndarray = 0.5 * (1 + np.tanh(0.5 * odds))
        return means


@functools.partial(jax.jit, static_argnames=("steps",))
def _ascend(free: dict[str, jax.Array], fixed: dict[str, jax.Array], x: jax.Array, steps: int, penalty: float) -> Any:
    """The free parameters after so many steps of Adam up the log-likelihood, the sum over all numbers.

    Every parameter is scaled by Adam itself, so that one rate serves codes of any number of examples.
    """

    def loss(free: dict[str, jax.Array]) -> jax.Array:
        whole = free | fixed
        odds = whole["codes"] @ whole["loadings"] + whole["bias"]
        likelihood = jnp.sum(x * odds - jax.nn.softplus(odds))
        squares = jnp.sum(jnp.square(whole["codes"])) + jnp.sum(jnp.square(whole["loadings"]))
        total: jax.Array = 0.5 * penalty * squares - likelihood
        return total

    def step(carry: Any, index: jax.Array) -> tuple[Any, None]:
        params, mean, square = carry
        gradient = jax.grad(loss)(params)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * jnp.square(g), square, gradient)
        done = index + 1
        rate = 0.5 * _RATE * (1 + jnp.cos(jnp.pi * index / steps))

        def moved(p: jax.Array, m: jax.Array, s: jax.Array) -> jax.Array:
            step = (m / (1 - 0.9**done)) / (jnp.sqrt(s / (1 - 0.99**done)) + 1e-8)
            return p - rate * step

        return (jax.tree.map(moved, params, mean, square), mean, square), None

    zeros = jax.tree.map(jnp.zeros_like, free)
    (found, _, _), _ = lax.scan(step, (free, zeros, zeros), jnp.arange(steps, dtype=jnp.float32))
    return found


def _check(x: np.ndarray, units: int) -> None:
    if x.ndim != 2 or not 1 <= units <= min(x.shape):
        raise DataError(f"{units} components cannot be found of examples of shape {x.shape}: at most {min(x.shape)}.")
