"""The optimisers that have a name here; the arithmetic is optax's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import optax

from lamina.optim.base import Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "Momentum", "Muon", "Nesterov", "RMSProp"]

_DOWNHILL = optax.scale(-1.0)


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent: ``w ← w − rate · g``.

    Source: Robbins and Monro 1951, Annals of Mathematical Statistics 22:400-407.
    """

    name: ClassVar[str] = "sgd"

    learning_rate: float = 0.1

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [*self._decay(), _DOWNHILL]


@dataclass(frozen=True, repr=False)
class Momentum(Optimizer):
    """Heavy ball: ``v ← momentum · v + g;  w ← w − rate · v``.

    Source: Polyak 1964, USSR Computational Mathematics 4(5):1-17.

    Args:
        momentum: share of the old velocity kept, in [0, 1).
    """

    name: ClassVar[str] = "momentum"

    learning_rate: float = 0.05
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("momentum", at_least=0.0, below=1.0)

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [*self._decay(), optax.trace(self.momentum), _DOWNHILL]


@dataclass(frozen=True, repr=False)
class Nesterov(Momentum):
    """Nesterov's momentum: ``v ← momentum · v + g;  w ← w − rate · (g + momentum · v)``.

    Source: Sutskever et al. 2013, ICML 28(3):1139-1147. Departure: the form above, written in the weights at which the
    gradient is taken, as PyTorch and optax have it.
    """

    name: ClassVar[str] = "nesterov"

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [*self._decay(), optax.trace(self.momentum, nesterov=True), _DOWNHILL]


@dataclass(frozen=True, repr=False)
class RMSProp(Optimizer):
    """``s ← decay · s + (1 − decay) · g²;  w ← w − rate · g / √(s + eps)``.

    Source: Tieleman and Hinton 2012, Coursera: Neural networks for machine learning, lecture 6.5.

    Args:
        decay: share of the old mean square kept, in [0, 1).
        eps: keeps the quotient finite; above 0.
    """

    name: ClassVar[str] = "rmsprop"

    learning_rate: float = 1e-3
    decay: float = 0.9
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("decay", at_least=0.0, below=1.0)
        self._check("eps", above=0.0)

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [*self._decay(), optax.scale_by_rms(self.decay, self.eps), _DOWNHILL]


@dataclass(frozen=True, repr=False)
class Adagrad(Optimizer):
    """``s ← s + g²;  w ← w − rate · g / √(s + eps)``, with s starting at ``initial_accumulator``.

    Source: Duchi et al. 2011, JMLR 12:2121-2159. Departure: optax's starting value of s, 0.1, damps the first steps.

    Args:
        initial_accumulator: s before the first step; at least 0.
        eps: keeps the quotient finite; above 0.
    """

    name: ClassVar[str] = "adagrad"

    learning_rate: float = 0.05
    initial_accumulator: float = 0.1
    eps: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("initial_accumulator", at_least=0.0)
        self._check("eps", above=0.0)

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [*self._decay(), optax.scale_by_rss(self.initial_accumulator, self.eps), _DOWNHILL]


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """``m ← b1·m + (1−b1)·g;  v ← b2·v + (1−b2)·g²;  w ← w − rate · m̂ / (√v̂ + eps)``.

    m̂ = m / (1 − b1ᵗ) and v̂ = v / (1 − b2ᵗ) undo the start at zero.

    Source: Kingma and Ba 2015, ICLR, arXiv:1412.6980.

    Args:
        b1, b2: shares of the old means kept, in [0, 1).
        eps: keeps the quotient finite; above 0.
    """

    name: ClassVar[str] = "adam"

    learning_rate: float = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("b1", at_least=0.0, below=1.0)
        self._check("b2", at_least=0.0, below=1.0)
        self._check("eps", above=0.0)

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [*self._decay(), optax.scale_by_adam(self.b1, self.b2, self.eps), _DOWNHILL]


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with weight decay beside the gradient: ``w ← w − rate · (m̂ / (√v̂ + eps) + weight_decay · w)``.

    Source: Loshchilov and Hutter 2019, ICLR, arXiv:1711.05101. Departure: the decay is multiplied by the whole learning
    rate, as in PyTorch, not by the schedule alone.
    """

    name: ClassVar[str] = "adamw"

    weight_decay: float = dataclasses.field(default=0.01, kw_only=True)

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [optax.scale_by_adam(self.b1, self.b2, self.eps), *self._decay(), _DOWNHILL]


@dataclass(frozen=True, repr=False)
class Lion(Optimizer):
    """``w ← w − rate · (sign(b1·m + (1−b1)·g) + weight_decay · w);  m ← b2·m + (1−b2)·g``.

    Every weight moves by the rate itself, so rates are 3 to 10 times smaller, and decays as much larger, than AdamW's.

    Source: Chen et al. 2023, NeurIPS, arXiv:2302.06675.

    Args:
        b1, b2: shares of the old mean kept, in [0, 1).
    """

    name: ClassVar[str] = "lion"

    learning_rate: float = 1e-4
    weight_decay: float = dataclasses.field(default=0.1, kw_only=True)
    b1: float = 0.9
    b2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("b1", at_least=0.0, below=1.0)
        self._check("b2", at_least=0.0, below=1.0)

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        return [optax.scale_by_lion(self.b1, self.b2), *self._decay(), _DOWNHILL]


@dataclass(frozen=True, repr=False)
class Muon(Optimizer):
    """Nesterov's momentum whose matrices are made near-orthogonal by five Newton-Schulz iterations.

    ``w ← w − rate · (0.2 · √max(fan_in, fan_out) · orthogonal(m) + weight_decay · w)`` with m the momentum; the factor
    gives the updates the size of Adam's, so that one learning rate serves both. A convolution's kernel counts as a
    matrix of all its axes but the last by its last. Everything else (biases, norms, embedding tables: whatever has
    fewer than two axes or is not named a kernel or weight) is trained with Adam, with Nesterov's momentum and without
    decay.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the factor: Liu et al. 2025,
    arXiv:2502.16982.

    Args:
        beta: share of the old momentum kept, in [0, 1).
        adam_b1, adam_b2: Adam's b1 and b2 for the rest.
    """

    name: ClassVar[str] = "muon"

    learning_rate: float = 1e-3
    weight_decay: float = dataclasses.field(default=0.01, kw_only=True)
    beta: float = 0.95
    adam_b1: float = 0.9
    adam_b2: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("beta", at_least=0.0, below=1.0)
        self._check("adam_b1", at_least=0.0, below=1.0)
        self._check("adam_b2", at_least=0.0, below=1.0)

    def _parts(self, params: Any) -> list[optax.GradientTransformation]:
        muon = optax.contrib.muon(
            1.0,
            beta=self.beta,
            weight_decay=self.weight_decay,
            adam_b1=self.adam_b1,
            adam_b2=self.adam_b2,
            muon_weight_dimension_numbers=jax.tree_util.tree_map_with_path(_matrix_axes, params),
            consistent_rms=0.2,
        )
        return [muon]


def _matrix_axes(path: tuple[Any, ...], leaf: Any) -> Any:
    """Which axes Muon reads as the matrix's rows and columns; None: trained with Adam."""
    leaf_name = jax.tree_util.keystr(path[-1:], simple=True) if path else ""
    if leaf.ndim < 2 or not ("kernel" in leaf_name or "weight" in leaf_name):
        return None
    return optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)
