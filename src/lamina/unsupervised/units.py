"""The units of a restricted Boltzmann machine: how one layer's states depend on what it gets from the other layer.

A layer of units s with biases b and a field f from the other layer has p(s) ∝ exp(w(b, s) + f·s). Of each kind of unit
all that a machine needs is here: w, the sum of exp over all states, the mean and a sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, nearest
from lamina.unsupervised.randoms import levels

__all__ = ["KINDS", "Bernoulli", "Gaussian", "Rectified", "Units", "units"]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Units:
    """Base of the kinds of units. All arrays are ``(..., units)``, biases ``(units,)``."""

    def log_weight(self, bias: jax.Array, states: jax.Array) -> jax.Array:
        """w(b, s), summed over the units: ``(...)``."""
        raise NotImplementedError(f"{type(self).__name__} units have no weight of their states.")

    def log_sum(self, bias: jax.Array, field: jax.Array) -> jax.Array:
        """The log of Σ_s exp(w(b, s) + f·s) of each unit (an integral where s is real). Its slope in f is `mean`."""
        raise NotImplementedError

    def mean(self, bias: jax.Array, field: jax.Array) -> jax.Array:
        """The states' conditional mean."""
        raise NotImplementedError

    def sample(self, key: jax.Array, bias: jax.Array, field: jax.Array) -> jax.Array:
        """States drawn from their conditional distribution."""
        raise NotImplementedError


@dataclass(frozen=True)
class Bernoulli(Units):
    """0 or 1, with p(1) = σ(b + f)."""

    def log_weight(self, bias: jax.Array, states: jax.Array) -> jax.Array:
        return states @ bias

    def log_sum(self, bias: jax.Array, field: jax.Array) -> jax.Array:
        return jax.nn.softplus(bias + field)

    def mean(self, bias: jax.Array, field: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(bias + field)

    def sample(self, key: jax.Array, bias: jax.Array, field: jax.Array) -> jax.Array:
        """Probabilities are rounded to multiples of 1/65536: sixteen random bits a unit, at half the cost of 32."""
        probability = self.mean(bias, field)
        return (levels(key, field.shape) < probability.astype(jnp.float32)).astype(field.dtype)


@dataclass(frozen=True)
class Gaussian(Units):
    """Real numbers with mean b + f and variance 1: data is standardised first."""

    def log_weight(self, bias: jax.Array, states: jax.Array) -> jax.Array:
        return -0.5 * jnp.sum(jnp.square(states - bias), axis=-1)

    def log_sum(self, bias: jax.Array, field: jax.Array) -> jax.Array:
        return field * (bias + 0.5 * field) + _HALF_LOG_2PI

    def mean(self, bias: jax.Array, field: jax.Array) -> jax.Array:
        return bias + field

    def sample(self, key: jax.Array, bias: jax.Array, field: jax.Array) -> jax.Array:
        return bias + field + jax.random.normal(key, field.shape, field.dtype)


@dataclass(frozen=True)
class Rectified(Units):
    """Noisy rectified linear: max(0, a + N(0, σ(a))) with a = b + f.

    They stand for infinitely many binary units with the same weights and the biases b − 0.5, b − 1.5, …, of which they
    count those that are on. The mean is log(1 + exp(a)), and the sum over all states is minus the dilogarithm of
    −exp(a), both with the sum over the biases taken as an integral.

    Source: Nair & Hinton 2010, "Rectified linear units improve restricted Boltzmann machines", ICML.
    """

    def log_sum(self, bias: jax.Array, field: jax.Array) -> jax.Array:
        return _minus_dilogarithm(bias + field)

    def mean(self, bias: jax.Array, field: jax.Array) -> jax.Array:
        return jax.nn.softplus(bias + field)

    def sample(self, key: jax.Array, bias: jax.Array, field: jax.Array) -> jax.Array:
        a = bias + field
        noise = jax.random.normal(key, a.shape, a.dtype)
        return jnp.maximum(a + noise * jnp.sqrt(jax.nn.sigmoid(a)), 0)


@jax.custom_jvp
def _minus_dilogarithm(a: jax.Array) -> jax.Array:
    """−Li₂(−exp(a)), the integral of log(1 + exp(t)) up to a; for a > 0 by Li₂'s inversion formula."""
    small = -jax.scipy.special.spence(1 + jnp.exp(-jnp.abs(a)))
    return jnp.where(a > 0, math.pi**2 / 6 + 0.5 * jnp.square(a) - small, small)


@_minus_dilogarithm.defjvp
def _slope(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    # jax.scipy's own derivative is NaN.
    return _minus_dilogarithm(*primals), jax.nn.softplus(primals[0]) * tangents[0]


KINDS: dict[str, Units] = {"bernoulli": Bernoulli(), "gaussian": Gaussian(), "relu": Rectified()}


def units(name: str) -> Units:
    """The kind of unit called "bernoulli", "gaussian" or "relu".

    Raises:
        ConfigError: for another name; near ones are offered.
    """
    if name not in KINDS:
        raise ConfigError(f"There are no units of the kind {name!r}.", nearest(str(name), KINDS))
    return KINDS[name]
