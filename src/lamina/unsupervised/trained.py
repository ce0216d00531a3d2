"""A restricted Boltzmann machine with its weights."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina.layers import Dense, Flatten, Layer, Pretrained, Relu, Sequential, Sigmoid
from lamina.layers._checks import check_whole
from lamina.layers.base import Params
from lamina.unsupervised import likelihood
from lamina.unsupervised.contrastive import gibbs
from lamina.unsupervised.examples import rows
from lamina.unsupervised.measures import hidden_means, reconstruct, visible_means
from lamina.unsupervised.randoms import root_key
from lamina.unsupervised.units import units

if TYPE_CHECKING:
    from lamina.unsupervised.rbm import RBM

__all__ = ["ACTIVATIONS", "TrainedRBM", "chain"]

# What a layer of units becomes in a feed-forward network.
ACTIVATIONS: dict[str, tuple[Layer, ...]] = {"bernoulli": (Sigmoid(),), "gaussian": (), "relu": (Relu(),)}
_EXAMPLES = 10_000  # that are computed together
_FLIPPED = 1_000  # of which all pseudo-likelihoods are computed together


@dataclass(frozen=True, eq=False)
class TrainedRBM:
    """What `RBM.fit` returns. Arrays go in and come out as NumPy's.

    Attributes:
        rbm: its description.
        params: kernel ``(visible, hidden)``, visible_bias ``(visible,)`` and hidden_bias ``(hidden,)``.
        shape: of one example.
        history: one row an epoch, each a mean over 1,000 of the examples: squared_error (of the reconstruction, summed
            over an example), free_energy, and with Bernoulli visible units pseudo_likelihood; the same with ``val_``
            of the validation examples; seconds since the start.
    """

    rbm: RBM
    params: Params = field(repr=False)
    shape: tuple[int, ...]
    history: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def visible(self) -> int:
        """Number of visible units."""
        return int(self.params["visible_bias"].size)

    def transform(self, x: Any) -> np.ndarray:
        """The hidden units' means ``(n, hidden)`` for examples ``(n, ...)``."""
        return self._each(lambda rows: hidden_means(self.rbm, self.params, rows), x)

    def reconstruct(self, x: Any) -> np.ndarray:
        """The visible units' means at the hidden units' means, in the examples' shape."""
        return self._each(lambda rows: reconstruct(self.rbm, self.params, rows), x).reshape(-1, *self.shape)

    def free_energy(self, x: Any) -> np.ndarray:
        """F(v) of each example, nats ``(n,)``: p(v) = exp(−F(v)) / Z."""
        return self._each(jax.jit(functools.partial(likelihood.free_energy, self.rbm, self.params)), x)

    def pseudo_log_likelihood(self, x: Any) -> np.ndarray:
        """Σ_i log p(v_i | all other v) of each example, exactly, nats ``(n,)``.

        Raises:
            ConfigError: for visible units that are not binary.
        """
        return self._each(
            jax.jit(functools.partial(likelihood.pseudo_log_likelihood, self.rbm, self.params)), x, _FLIPPED
        )

    def score(self, x: Any) -> float:
        """The mean of `pseudo_log_likelihood`: more is better."""
        return float(self.pseudo_log_likelihood(x).mean(dtype=np.float64))

    def log_likelihood(self, x: Any) -> np.ndarray:
        """Exact log p(v) of each example, nats ``(n,)``, for a machine with a layer of at most 20 Bernoulli units.

        Raises:
            ConfigError: for a larger one.
        """
        return self._each(jax.jit(functools.partial(likelihood.log_likelihood, self.rbm, self.params)), x)

    def log_partition(self, *, chains: int = 100, temperatures: int = 1000, seed: int = 0) -> tuple[float, float]:
        """An estimate of log Z and its standard deviation; see `annealed_log_partition`.

        ``-free_energy(x) - log_partition()[0]`` is then an estimate of the log-likelihood.
        """
        check_whole("log_partition", "chains", chains)
        check_whole("log_partition", "temperatures", temperatures)
        estimate = jax.jit(
            lambda params, key: likelihood.annealed_log_partition(
                self.rbm, params, key, chains=chains, temperatures=temperatures
            )
        )
        value, deviation = estimate(self.params, root_key(seed))
        return float(value), float(deviation)

    def sample(self, n: int = 100, *, steps: int = 1000, seed: int = 0, begin: Any = None) -> np.ndarray:
        """What the machine dreams of: the last visible means of Gibbs chains.

        Args:
            n: number of chains.
            steps: of Gibbs sampling, down and up, in each.
            begin: examples ``(n, ...)`` that the chains begin at; default: visible units as their biases have them.

        Returns:
            ``(n, ...)``: probabilities of a 1 for Bernoulli units, means for Gaussian ones.
        """
        check_whole("sample", "n", n)
        check_whole("sample", "steps", steps)
        key, first = jax.random.split(root_key(seed))
        if begin is None:
            bias = self.params["visible_bias"]
            start = units(self.rbm.visible).sample(first, bias, jnp.zeros((n, bias.size), bias.dtype))
        else:
            start = jnp.asarray(rows(begin, self.rbm.visible, self.visible, "begin"))
        hidden = dream(self.rbm.one_step(), self.params, start, jnp.int32(steps), key)
        return np.asarray(visible_means(self.rbm, self.params, hidden)).reshape(-1, *self.shape)

    def filters(self) -> np.ndarray:
        """The weights of each hidden unit in the examples' shape, ``(hidden, ...)``."""
        return np.asarray(self.params["kernel"]).T.reshape(-1, *self.shape)

    def draw_filters(self, path: str | PathLike[str]) -> None:
        """Write the first 64 `filters` as a PNG.

        Raises:
            ConfigError: for a machine that did not see pictures ``(n, height, width)``.
        """
        from lamina.unsupervised.pictures import draw_filters

        draw_filters(self.filters(), path)

    def as_layer(self) -> Pretrained:
        """The way up as a network: Dense, and what the units become (sigmoid, ReLU, nothing), with these weights."""
        return Pretrained(*chain(self.upwards(), flatten=len(self.shape) != 1), {})

    def upwards(self) -> list[tuple[Layer, Params]]:
        """The layers of the way up with their parameters."""
        weights = {"kernel": self.params["kernel"], "bias": self.params["hidden_bias"]}
        return [(Dense(self.rbm.hidden), weights), *((layer, {}) for layer in ACTIVATIONS[self.rbm.hidden_units])]

    def downwards(self) -> list[tuple[Layer, Params]]:
        """The layers of the way down: the same weights transposed, and the visible biases."""
        weights = {"kernel": self.params["kernel"].T, "bias": self.params["visible_bias"]}
        return [(Dense(self.visible), weights), *((layer, {}) for layer in ACTIVATIONS[self.rbm.visible])]

    def save(self, path: str | PathLike[str]) -> None:
        """Write description and weights as a safetensors file; `lamina.unsupervised.load` reads it."""
        from lamina.unsupervised.files import save

        save(path, "RBM", (self,))

    def _each(self, function: Any, x: Any, size: int = _EXAMPLES) -> np.ndarray:
        """A function of rows over all examples, some at a time."""
        checked = rows(x, self.rbm.visible, self.visible)
        parts = [np.asarray(function(checked[start : start + size])) for start in range(0, len(checked), size)]
        return np.concatenate(parts)


@functools.partial(jax.jit, static_argnames="rbm")
def dream(rbm: RBM, params: Params, visible: jax.Array, steps: jax.Array, key: jax.Array) -> jax.Array:
    """Hidden states ``(n, hidden)`` after so many Gibbs steps from visible ones ``(n, visible)``."""
    above = units(rbm.hidden_units)

    def up(visible: jax.Array, key: jax.Array) -> jax.Array:
        return above.sample(key, params["hidden_bias"], visible @ params["kernel"])

    def again(i: jax.Array, hidden: jax.Array) -> jax.Array:
        first, second = jax.random.split(jax.random.fold_in(key, i))
        return up(gibbs(rbm, params, hidden, first), second)

    hidden: jax.Array = lax.fori_loop(0, steps, again, up(visible, key))
    return hidden


def chain(pairs: list[tuple[Layer, Params]], *, flatten: bool = False) -> tuple[Sequential, Params]:
    """Layers with their parameters as one network, whose parts are named by their places."""
    layers = [(Flatten(), {}), *pairs] if flatten else pairs
    return Sequential(*(layer for layer, _ in layers)), {
        str(index): params for index, (_, params) in enumerate(layers) if params
    }
