"""What is told of a machine after each epoch."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from lamina.layers.base import Params
from lamina.unsupervised.likelihood import free_energy, pseudo_log_likelihood
from lamina.unsupervised.units import units

if TYPE_CHECKING:
    from lamina.unsupervised.rbm import RBM

__all__ = ["MEASURES", "hidden_means", "measure", "reconstruct", "visible_means"]

MEASURES = ("squared_error", "pseudo_likelihood", "free_energy")


@functools.partial(jax.jit, static_argnames="rbm")
def hidden_means(rbm: RBM, params: Params, visible: jax.Array) -> jax.Array:
    """E[h | v] of examples ``(n, visible)``: ``(n, hidden)``."""
    return units(rbm.hidden_units).mean(params["hidden_bias"], visible @ params["kernel"])


@functools.partial(jax.jit, static_argnames="rbm")
def visible_means(rbm: RBM, params: Params, hidden: jax.Array) -> jax.Array:
    """E[v | h] of hidden states or means ``(n, hidden)``: ``(n, visible)``."""
    return units(rbm.visible).mean(params["visible_bias"], hidden @ params["kernel"].T)


def reconstruct(rbm: RBM, params: Params, visible: jax.Array) -> jax.Array:
    """E[v | h] at the hidden units' means, without any noise: ``(n, visible)``."""
    again: jax.Array = visible_means(rbm, params, hidden_means(rbm, params, visible))
    return again


@functools.partial(jax.jit, static_argnames="rbm")
def measure(rbm: RBM, params: Params, visible: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
    """Means over examples ``(n, visible)``.

    Returns:
        squared_error: between an example and its reconstruction, summed over the visible units. free_energy: whose gap
        between learned and other examples shows overfitting (Hinton 2010, section 6). pseudo_likelihood, with Bernoulli
        visible units: an estimate from one unit of each example.
    """
    error = jnp.square(visible - reconstruct(rbm, params, visible))
    found = {
        "squared_error": jnp.mean(jnp.sum(error, axis=-1)),
        "free_energy": jnp.mean(free_energy(rbm, params, visible)),
    }
    if rbm.visible == "bernoulli":
        chosen = jax.random.randint(key, visible.shape[:1], 0, visible.shape[1])
        found["pseudo_likelihood"] = jnp.mean(pseudo_log_likelihood(rbm, params, visible, chosen))
    return found
