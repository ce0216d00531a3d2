"""Contrastive divergence: one step as a pure function, and the compiled program that runs many of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lamina.layers.base import Params
from lamina.unsupervised.units import units

if TYPE_CHECKING:
    from lamina.unsupervised.rbm import RBM

__all__ = ["Carry", "chunk", "gradients", "start", "step"]

_ACTIVITY_KEPT = 0.95  # weight of the old estimate of how active the hidden units are, in each step


class Carry(NamedTuple):
    """All that a step changes.

    Attributes:
        params: kernel ``(visible, hidden)``, visible_bias ``(visible,)``, hidden_bias ``(hidden,)``.
        velocity: the last update of each; empty where there is no momentum.
        chains: hidden states ``(batch, hidden)`` of the persistent chains; no rows where there are none.
        activity: running mean of the hidden units' probabilities ``(hidden,)``, for the sparsity target.
        step: number of steps done, int32.
    """

    params: Params
    velocity: Params
    chains: jax.Array
    activity: jax.Array
    step: jax.Array


def start(rbm: RBM, params: Params, batch_size: int, key: jax.Array) -> Carry:
    """The carry before the first step. Persistent chains begin at random states."""
    hidden = params["hidden_bias"]
    rows = batch_size if rbm.persistent else 0
    nothing = jnp.zeros((rows, hidden.size), hidden.dtype)
    return Carry(
        params,
        jax.tree.map(jnp.zeros_like, params) if rbm.momentum else {},
        units(rbm.hidden_units).sample(key, hidden, nothing),
        jnp.full_like(hidden, rbm.sparsity_target or 0.0),
        jnp.zeros((), jnp.int32),
    )


def gibbs(rbm: RBM, params: Params, hidden: jax.Array, key: jax.Array) -> jax.Array:
    """Down to the visible units, ``rbm.steps`` times in all, with the way up between.

    Args:
        hidden: states ``(n, hidden)``.

    Returns:
        The last visible states ``(n, visible)``, or their means, where the machine does not sample them.
    """
    above, below = units(rbm.hidden_units), units(rbm.visible)
    kernel = params["kernel"]

    def down(states: jax.Array, key: jax.Array) -> jax.Array:
        field = states @ kernel.T
        if rbm.sample_visible:
            return below.sample(key, params["visible_bias"], field)
        return below.mean(params["visible_bias"], field)

    def again(i: Any, visible: jax.Array) -> jax.Array:
        first, second = jax.random.split(jax.random.fold_in(key, i))
        return down(above.sample(first, params["hidden_bias"], visible @ kernel), second)

    visible = down(hidden, key)
    return lax.fori_loop(1, rbm.steps, again, visible) if rbm.steps > 1 else visible


def gradients(
    rbm: RBM, params: Params, visible: jax.Array, chains: jax.Array, key: jax.Array
) -> tuple[Params, jax.Array, jax.Array]:
    """The estimated gradient of the log-likelihood of a batch, uphill.

    The statistics ``v h`` under the data less those under the model's chains, with the hidden units' conditional means
    in place of samples (which only adds noise).

    Args:
        visible: the batch ``(n, visible)``.
        chains: hidden states ``(n, hidden)`` of persistent chains; no rows: chains begin at the data.

    Returns:
        The gradient; the chains' next states (as they are where none are kept); the hidden means under the data.
    """
    above = units(rbm.hidden_units)
    kernel, bias, count = params["kernel"], params["hidden_bias"], visible.shape[0]
    first, middle = jax.random.split(key)
    # Both phases in one product where they can be: a kernel is read from memory as often for few rows as for many.
    if rbm.persistent:
        phases = jnp.concatenate([visible, gibbs(rbm, params, chains, middle)])
        fields = phases @ kernel
        chains = above.sample(first, bias, fields[count:])
    else:
        field = visible @ kernel
        fantasy = gibbs(rbm, params, above.sample(first, bias, field), middle)
        phases, fields = jnp.concatenate([visible, fantasy]), jnp.concatenate([field, fantasy @ kernel])
    means = above.mean(bias, fields)
    sign = jnp.where(jnp.arange(2 * count) < count, 1 / count, -1 / count).astype(means.dtype)[:, None]
    signed = sign * means
    gradient = {
        "kernel": phases.T @ signed,
        "visible_bias": jnp.sum(sign * phases, axis=0),
        "hidden_bias": jnp.sum(signed, axis=0),
    }
    return gradient, chains, means[:count]


def step(rbm: RBM, carry: Carry, visible: jax.Array, rate: jax.Array, momentum: jax.Array, key: jax.Array) -> Carry:
    """One update: momentum · the last one + rate · (gradient − weight decay · kernel − sparsity)."""
    params = carry.params
    gradient, chains, wake = gradients(rbm, params, visible, carry.chains, jax.random.fold_in(key, carry.step))
    activity = carry.activity
    if rbm.sparsity_target is not None:
        activity = _ACTIVITY_KEPT * activity + (1 - _ACTIVITY_KEPT) * jnp.mean(wake, axis=0)
        excess = rbm.sparsity_cost * (activity - rbm.sparsity_target)
        gradient["hidden_bias"] -= excess
        gradient["kernel"] -= jnp.mean(visible, axis=0)[:, None] * excess
    if rbm.weight_decay:
        gradient["kernel"] -= rbm.weight_decay * params["kernel"]
    update = jax.tree.map(lambda g: rate * g, gradient)
    if rbm.momentum:
        update = jax.tree.map(lambda v, u: momentum * v + u, carry.velocity, update)
    params = jax.tree.map(jnp.add, params, update)
    return Carry(params, update if rbm.momentum else {}, chains, activity, carry.step + 1)


@functools.partial(jax.jit, static_argnames="rbm", donate_argnames="carry")
def chunk(
    rbm: RBM,
    carry: Carry,
    inputs: jax.Array,
    indices: jax.Array,
    rates: jax.Array,
    momentum: jax.Array,
    first: jax.Array,
    count: jax.Array,
    key: jax.Array,
) -> Carry:
    """Steps ``first … first + count - 1``.

    Args:
        inputs: examples ``(n, visible)`` on the device.
        indices: ``(steps, batch)`` int32, which examples make which batch.
        rates: ``(steps,)`` learning rates.
        momentum: float32 scalar.
        first, count: int32 scalars, traced: one executable serves chunks of any length.
        key: root key of the run.
    """

    def body(loop: tuple[jax.Array, Carry]) -> tuple[jax.Array, Carry]:
        i, carry = loop
        visible = inputs.at[indices[i]].get(mode="promise_in_bounds")
        return i + 1, step(rbm, carry, visible, rates[i], momentum, key)

    def going(loop: tuple[jax.Array, Carry]) -> jax.Array:
        return loop[0] < first + count

    done: Carry = lax.while_loop(going, body, (first, carry))[1]
    return done
