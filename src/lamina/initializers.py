"""Initial values of parameters.

A parameter's shape ends in ``(inputs, outputs)``; what comes before is a window: ``(inputs, outputs)`` for Dense,
``(height, width, inputs / groups, outputs)`` for a two-dimensional Conv. Its fans are
fan_in = window size × inputs and fan_out = window size × outputs; a vector's fans are both its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from lamina.config import Config
from lamina.errors import ConfigError

__all__ = [
    "Constant",
    "Dirac",
    "FanInUniform",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LeCunNormal",
    "LeCunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "Zeros",
]


class Initializer(Config):
    """Makes an array of initial values: ``initializer(key, shape) -> float32 array``."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__} has no __call__ method.")


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out), at least 1 each."""
    if len(shape) < 2:
        size = max(1, math.prod(shape))
        return size, size
    window = math.prod(shape[:-2])
    return max(1, window * shape[-2]), max(1, window * shape[-1])


# All numbers are drawn flat: XLA:CPU takes 1.0 s to compile a draw with four axes, 0.2 s to compile a flat one.
def _uniform(key: jax.Array, shape: tuple[int, ...], limit: float) -> jax.Array:
    return jax.random.uniform(key, (math.prod(shape),), jnp.float32, -limit, limit).reshape(shape)


def _normal(key: jax.Array, shape: tuple[int, ...], std: float) -> jax.Array:
    flat = jax.random.normal(key, (math.prod(shape),), jnp.float32)
    return (flat * jnp.asarray(std, jnp.float32)).reshape(shape)


def _check_positive(owner: Initializer, name: str) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        kind = type(owner).__name__
        raise ConfigError(f"{kind} needs a positive finite {name}. Received: {name}={value!r}.")


@dataclass(frozen=True, repr=False)
class Zeros(Initializer):
    """All zeros."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jnp.zeros(shape, jnp.float32)


@dataclass(frozen=True, repr=False)
class Ones(Initializer):
    """All ones."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jnp.ones(shape, jnp.float32)


@dataclass(frozen=True, repr=False)
class Constant(Initializer):
    """All equal to ``value``."""

    value: float

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not math.isfinite(self.value):
            raise ConfigError(f"Constant needs a finite number. Received: value={self.value!r}.")

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jnp.full(shape, self.value, jnp.float32)


@dataclass(frozen=True, repr=False)
class Uniform(Initializer):
    """Uniform on [-limit, limit)."""

    limit: float

    def __post_init__(self) -> None:
        _check_positive(self, "limit")

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _uniform(key, shape, self.limit)


@dataclass(frozen=True, repr=False)
class Normal(Initializer):
    """Normal with mean 0 and standard deviation ``std``."""

    std: float

    def __post_init__(self) -> None:
        _check_positive(self, "std")

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _normal(key, shape, self.std)


@dataclass(frozen=True, repr=False)
class TruncatedNormal(Initializer):
    """Normal with mean 0 and standard deviation ``std``, redrawn outside [-2 std, 2 std].

    As in Keras and JAX, ``std`` is that of the normal before it is cut; the values' own is 0.8796 std.
    """

    std: float

    def __post_init__(self) -> None:
        _check_positive(self, "std")

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        flat = jax.random.truncated_normal(key, -2.0, 2.0, (math.prod(shape),), jnp.float32)
        return (flat * jnp.asarray(self.std, jnp.float32)).reshape(shape)


@dataclass(frozen=True, repr=False)
class GlorotUniform(Initializer):
    """Uniform on [-a, a), a = gain √(6 / (fan_in + fan_out)); also called Xavier, the "normalized initialization".

    Source: Glorot & Bengio 2010, AISTATS, PMLR 9:249-256, equation 16.

    Args:
        gain: 1 for linear and tanh layers as in the paper, √2 for relu.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _check_positive(self, "gain")

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _uniform(key, shape, self.gain * math.sqrt(6 / sum(_fans(shape))))


@dataclass(frozen=True, repr=False)
class GlorotNormal(Initializer):
    """Normal with variance gain² · 2 / (fan_in + fan_out); also called Xavier.

    Source: Glorot & Bengio 2010, AISTATS, PMLR 9:249-256, equation 12.

    Args:
        gain: 1 for linear and tanh layers as in the paper, √2 for relu.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _check_positive(self, "gain")

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _normal(key, shape, self.gain * math.sqrt(2 / sum(_fans(shape))))


@dataclass(frozen=True, repr=False)
class LeCunUniform(Initializer):
    """Uniform with variance 1 / fan_in: [-√(3 / fan_in), √(3 / fan_in)).

    Source: LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", section 4.6.
    """

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _uniform(key, shape, math.sqrt(3 / _fans(shape)[0]))


@dataclass(frozen=True, repr=False)
class LeCunNormal(Initializer):
    """Normal with variance 1 / fan_in: what selu expects.

    Source: LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", section 4.6.
    """

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _normal(key, shape, math.sqrt(1 / _fans(shape)[0]))


@dataclass(frozen=True, repr=False)
class HeUniform(Initializer):
    """Uniform with variance 2 / fan_in: [-√(6 / fan_in), √(6 / fan_in)).

    Source: He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852, equation 10.
    """

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _uniform(key, shape, math.sqrt(6 / _fans(shape)[0]))


@dataclass(frozen=True, repr=False)
class HeNormal(Initializer):
    """Normal with variance 2 / fan_in, so that relu layers keep the size of their signals.

    Source: He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852, equation 10. Not truncated (as in the
    paper and PyTorch; Keras and JAX truncate).
    """

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _normal(key, shape, math.sqrt(2 / _fans(shape)[0]))


@dataclass(frozen=True, repr=False)
class FanInUniform(Initializer):
    """Uniform on [-1/√fan_in, 1/√fan_in): the older heuristic, of variance 1 / (3 fan_in).

    Source: the "commonly used heuristic" that Glorot & Bengio 2010 compare against, PMLR 9:249-256, equation 1.
    """

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _uniform(key, shape, 1 / math.sqrt(_fans(shape)[0]))


@dataclass(frozen=True, repr=False)
class Orthogonal(Initializer):
    """gain × a random matrix with orthonormal columns (or rows, where there are fewer rows than columns).

    All axes but the last are taken as one: a convolution's kernel is a (window · inputs) × outputs matrix.

    Source: Saxe, McClelland & Ganguli 2014, arXiv:1312.6120.

    Raises:
        ConfigError: for a shape with fewer than two axes.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _check_positive(self, "gain")

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        if len(shape) < 2:
            raise ConfigError(f"Orthogonal needs a matrix or a convolution's kernel. Received: shape={shape}.")
        return jax.nn.initializers.orthogonal(self.gain)(key, shape, jnp.float32)


@dataclass(frozen=True, repr=False)
class Dirac(Initializer):
    """The identity: output channel i of a convolution is input channel i, as far as there are both.

    One at the window's centre, zero elsewhere; for Dense the identity matrix. An even window has its centre at
    index size // 2, as in PyTorch.

    Args:
        groups: of the convolution; each group passes its own channels through.

    Raises:
        ConfigError: for a shape with fewer than two axes, or outputs that the groups do not divide.
    """

    groups: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.groups, int) or self.groups < 1:
            raise ConfigError(f"Dirac needs a whole number of groups, at least 1. Received: groups={self.groups!r}.")

    def __call__(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        if len(shape) < 2 or shape[-1] % self.groups:
            raise ConfigError(
                f"Dirac needs a matrix or a convolution's kernel whose outputs its {self.groups} groups divide. "
                f"Received: shape={shape}."
            )
        values = np.zeros(shape, np.float32)
        centre = tuple(size // 2 for size in shape[:-2])
        outputs = shape[-1] // self.groups
        for group in range(self.groups):
            for channel in range(min(shape[-2], outputs)):
                values[(*centre, channel, group * outputs + channel)] = 1.0
        return jnp.asarray(values)
