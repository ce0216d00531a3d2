"""How probable data is under a restricted Boltzmann machine: free energy, pseudo-likelihood, and the exact likelihood.

Pure functions of a machine and its parameters; all results are in nats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp

from lamina.errors import ConfigError
from lamina.layers.base import Params
from lamina.unsupervised.contrastive import gibbs
from lamina.unsupervised.units import Bernoulli, units

if TYPE_CHECKING:
    from lamina.unsupervised.rbm import RBM

__all__ = ["annealed_log_partition", "free_energy", "log_likelihood", "log_partition", "pseudo_log_likelihood"]

_ENUMERATED = 20  # units up to which all 2ⁿ states are gone through
_AT_ONCE = 1 << 12  # states or examples that are computed together


def free_energy(rbm: RBM, params: Params, visible: jax.Array) -> jax.Array:
    """F(v) = −log Σ_h exp(−E(v, h)), so that p(v) = exp(−F(v)) / Z.

    Args:
        visible: ``(..., visible)``.

    Returns:
        ``(...)``.
    """
    field = visible @ params["kernel"]
    above = jnp.sum(units(rbm.hidden_units).log_sum(params["hidden_bias"], field), axis=-1)
    return -above - units(rbm.visible).log_weight(params["visible_bias"], visible)


def log_partition(rbm: RBM, params: Params) -> jax.Array:
    """The log of Z, exactly: a sum over all states of the smaller layer of binary units. Differentiable.

    Raises:
        ConfigError: where no layer of binary units has at most 20 of them.
    """
    visible, hidden = params["kernel"].shape
    sizes = {}
    if rbm.visible == "bernoulli":
        sizes["visible"] = visible
    if rbm.hidden_units == "bernoulli":
        sizes["hidden"] = hidden
    layer = min(sizes, key=lambda name: sizes[name], default="")
    if not layer or sizes[layer] > _ENUMERATED:
        raise ConfigError(
            f"The exact likelihood goes through all states of a layer of at most {_ENUMERATED} Bernoulli units; this "
            f"machine has {visible} {rbm.visible} and {hidden} {rbm.hidden_units} units.",
            "Use annealed_log_partition, or the pseudo-likelihood.",
        )
    other = "hidden" if layer == "visible" else "visible"
    kinds = {"visible": units(rbm.visible), "hidden": units(rbm.hidden_units)}
    kernel = params["kernel"] if layer == "visible" else params["kernel"].T

    def block(numbers: jax.Array) -> jax.Array:
        states = ((numbers[:, None] >> jnp.arange(sizes[layer])) & 1).astype(kernel.dtype)
        own = kinds[layer].log_weight(params[f"{layer}_bias"], states)
        return logsumexp(own + jnp.sum(kinds[other].log_sum(params[f"{other}_bias"], states @ kernel), axis=-1))

    count = 1 << sizes[layer]
    blocks = jnp.arange(count).reshape(-1, min(count, _AT_ONCE))
    return logsumexp(lax.map(block, blocks))


def log_likelihood(rbm: RBM, params: Params, visible: jax.Array) -> jax.Array:
    """The log of p(v) of each example, exactly; see `log_partition`."""
    return -free_energy(rbm, params, visible) - log_partition(rbm, params)


def pseudo_log_likelihood(rbm: RBM, params: Params, visible: jax.Array, chosen: jax.Array | None = None) -> jax.Array:
    """Σ_i log p(v_i | all other v), of each example.

    Source: Besag 1975, "Statistical analysis of non-lattice data", The Statistician 24:179-195. For a v_i between 0
    and 1 the cross-entropy between it and the probability, which is the same where v_i is 0 or 1.

    Args:
        visible: ``(n, visible)`` from 0 to 1.
        chosen: ``(n,)`` one unit of each example: its term times the number of units, whose mean over a random choice
            is the sum. Default: all of them, one after the other.

    Raises:
        ConfigError: for visible units that are not binary.
    """
    if not isinstance(units(rbm.visible), Bernoulli):
        raise ConfigError(
            f"The pseudo-likelihood is a sum over binary units; this machine's visible units are {rbm.visible}.",
            "Compare its reconstruction errors.",
        )
    kernel, bias, above = params["kernel"], params["hidden_bias"], units(rbm.hidden_units)
    field = visible @ kernel

    def term(value: jax.Array, own_bias: jax.Array, weights: jax.Array) -> jax.Array:
        off = field - value[:, None] * weights
        on = off + weights
        more = jnp.sum(above.log_sum(bias, on) - above.log_sum(bias, off), axis=-1)
        logit = own_bias + more  # of p(v_i = 1 | all other v)
        return value * logit - jax.nn.softplus(logit)

    if chosen is not None:
        value = jnp.take_along_axis(visible, chosen[:, None], axis=1)[:, 0]
        return visible.shape[1] * term(value, params["visible_bias"][chosen], kernel[chosen])

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        return total + term(visible[:, i], params["visible_bias"][i], kernel[i])

    total: jax.Array = lax.fori_loop(0, visible.shape[1], add, jnp.zeros(visible.shape[0], field.dtype))
    return total


def annealed_log_partition(
    rbm: RBM, params: Params, key: jax.Array, *, chains: int = 100, temperatures: int = 1000
) -> tuple[jax.Array, jax.Array]:
    """An estimate of log Z by annealed importance sampling, from a machine without weights to this one.

    Source: Salakhutdinov & Murray 2008, "On the quantitative analysis of deep belief networks", ICML. The first
    machine has this one's visible biases, no weights and no hidden biases.

    Args:
        chains: how many are averaged.
        temperatures: steps from the one machine to the other, equally spaced, with a Gibbs step at each.

    Returns:
        The estimate, and its standard deviation by that of the chains' weights. Where there are too few temperatures,
        the estimate is rather too low than too high.
    """
    above, below = units(rbm.hidden_units), units(rbm.visible)
    visible, hidden = params["kernel"].shape

    def at(beta: jax.Array) -> Params:
        return {
            "kernel": beta * params["kernel"],
            "hidden_bias": beta * params["hidden_bias"],
            "visible_bias": params["visible_bias"],
        }

    first, later = jax.random.split(key)
    dtype = params["kernel"].dtype
    nothing = jnp.zeros((chains, visible), dtype)
    states = below.sample(first, params["visible_bias"], nothing)
    zero = jnp.zeros((), dtype)
    known = jnp.sum(below.log_sum(params["visible_bias"], nothing[0])) + jnp.sum(
        above.log_sum(jnp.zeros(hidden, dtype), jnp.zeros(hidden, dtype))
    )
    sampled = rbm if rbm.sample_visible and rbm.steps == 1 else rbm.one_step()

    def anneal(i: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        states, weight = carry
        before, here = at((i - 1).astype(dtype) / temperatures), at(i.astype(dtype) / temperatures)
        weight = weight + free_energy(rbm, before, states) - free_energy(rbm, here, states)
        up, down = jax.random.split(jax.random.fold_in(later, i))
        hidden_states = above.sample(up, here["hidden_bias"], states @ here["kernel"])
        return gibbs(sampled, here, hidden_states, down), weight

    _, weights = lax.fori_loop(1, temperatures + 1, anneal, (states, jnp.broadcast_to(zero, (chains,))))
    mean = logsumexp(weights) - np.log(chains)
    spread = jnp.sqrt(jnp.mean(jnp.square(jnp.exp(weights - mean) - 1)) / chains)
    return known + mean, spread
