"""Networks that begin with weights they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lamina import trees
from lamina.errors import ConfigError
from lamina.layers.base import Params, Spec, State
from lamina.layers.sequential import Sequential

__all__ = ["Pretrained", "holds_weights"]


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Pretrained(Sequential):
    """A chain that begins with weights it is given, in place of random ones.

    `Layer.init` returns them, so whatever trains a network goes on from them. Saved, it is the chain alone: a model
    file has the weights beside it.

    Args:
        network: the chain.
        params, state: its weights and running statistics, or a part of them: what is missing is initialised as ever.
    """

    params: Params
    state: State

    def __init__(self, network: Sequential, params: Params, state: State) -> None:
        super().__init__(**dict(network.layers))
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "state", state)

    # Two of them are one only where their weights are the same arrays.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def as_data(self) -> Sequential:
        return Sequential(**dict(self.layers))

    def __repr__(self) -> str:
        return f"Pretrained({self._shown()})"

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        """The weights that were given; those that were not are drawn.

        Raises:
            ConfigError: where some do not fit the network.
        """

        def draw(key: jax.Array) -> tuple[Params, State]:
            return Sequential.setup(self, key, in_spec)

        weights = (self.params, self.state)
        given = dict(zip(trees.paths(weights), jax.tree.leaves(weights), strict=True))
        wanted = jax.eval_shape(draw, key)
        leaves: list[Any] = []
        for path, leaf in zip(trees.paths(wanted), jax.tree.leaves(wanted), strict=True):
            value = given.pop(path, None)
            if value is not None and value.shape != leaf.shape:
                raise ConfigError(
                    f"The weights given for '{path[2:]}' have shape {value.shape}; the network needs {leaf.shape}."
                )
            leaves.append(value)
        if given:
            raise ConfigError(f"Weights are given for '{next(iter(given))[2:]}', which the network does not have.")
        missing = [index for index, value in enumerate(leaves) if value is None]
        if missing:
            # Only these are computed: XLA drops what nobody asks for.
            drawn = jax.jit(lambda key: [jax.tree.leaves(draw(key))[index] for index in missing])(key)
            for index, value in zip(missing, drawn, strict=True):
                leaves[index] = value
        filled: tuple[Params, State] = jax.tree.unflatten(jax.tree.structure(wanted), map(jnp.asarray, leaves))
        return filled


def holds_weights(network: Any) -> bool:
    """Whether some part of a network begins with weights it is given."""
    return isinstance(network, Pretrained) or any(holds_weights(part) for _, part in network.parts())
