"""What recurrent layers remember from one batch to the next, as a value that goes in and comes out.

A memory is a dictionary from a recurrent layer's path to its carry: h ``(batch, units)``, for an LSTM the pair (h, c).
It is neither a parameter nor part of the network's state, and no model file holds it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, nearest
from lamina.layers.base import Context, Layer, Memory, Params, State, Tape

__all__ = ["Carries", "advance", "run", "start"]

Carries: TypeAlias = dict[str, Any]


def run(network: Layer, params: Params, state: State, x: Any, memory: Carries | None = None) -> tuple[Any, Carries]:
    """Compute the output for a batch of pieces of sequences that go on where the memory left off.

    Feeding a sequence piece by piece gives what feeding it whole gives.

    Args:
        network: of which the recurrent layers remember; other layers see each piece by itself.
        params, state: from ``network.init``.
        x: batch of inputs, ``(batch, steps, ...)``.
        memory: what came back with the piece before; None begins at zero.

    Returns:
        ``y, memory``: the output, and what to give with the next piece. Row b goes on with row b.

    Raises:
        ConfigError: where the memory names a layer that does not remember, or the network reads sequences backwards.
        ShapeError: where the memory is that of another number of sequences.

    Example:
        >>> import jax, lamina as lm
        >>> from lamina.layers import memory
        >>> net = lm.Sequential(lm.LSTM(8, return_sequences=True), lm.LSTM(8), lm.Dense(2))
        >>> params, state = net.init(jax.random.key(0), (10, 3))
        >>> x = jax.numpy.ones((4, 10, 3))
        >>> _, carries = memory.run(net, params, state, x[:, :6])
        >>> y, carries = memory.run(net, params, state, x[:, 6:], carries)
        >>> sorted(carries)
        ['0', '1']
    """
    y, _, after = advance(network, params, state, x, memory)
    return y, after


def advance(
    network: Layer,
    params: Params,
    state: State,
    x: Any,
    memory: Carries | None = None,
    *,
    train: bool = False,
    key: jax.Array | None = None,
    tape: Tape | None = None,
    ctx: Context | None = None,
) -> tuple[Any, State, Carries]:
    """`run` for training too: ``y, state, memory``.

    Args:
        network, params, state, x, memory: as for `run`.
        train, key, tape: as for `Layer.apply`.
        ctx: in place of these three, where more is to be said.
    """
    held = Memory(memory or {})
    ctx = replace(ctx or Context(train, key, "", tape), memory=held)
    y, new_state = network.apply(params, state, jax.tree.map(jnp.asarray, x), ctx)
    unknown = sorted(set(held.before) - set(held.after))
    if unknown:
        raise ConfigError(
            f"The memory names '{unknown[0]}', which is no recurrent layer of this network.",
            nearest(unknown[0], held.after),
        )
    return y, new_state, held.after


def start(network: Layer, params: Params, state: State, x: Any, ctx: Context | None = None) -> Carries:
    """The memory before the first piece: zeros, as `jax.lax.scan` wants them to begin with.

    Args:
        network, params, state: as for `run`.
        x: a batch of pieces, or its shapes and dtypes.
        ctx: what the network will be applied with, where that is training (auxiliary heads remember then too) or
            another dtype.

    Returns:
        The memory; ``{}`` where the network has no recurrent layer.
    """

    def remembered(params: Params, state: State, x: Any) -> Carries:
        return advance(network, params, state, x, ctx=ctx)[2]

    shapes = jax.eval_shape(remembered, params, state, x)
    zeros: Carries = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return zeros
