"""An auto-encoder's body for another task: its decoder is thrown away."""

from __future__ import annotations

import math
from dataclasses import replace

import jax.numpy as jnp

from lamina.layers import Dense, Flatten, Layer, Sequential
from lamina.layers.autoencoder import autoencoder_in
from lamina.model import Model

__all__ = ["body_of"]


def body_of(model: Model) -> Model:
    """A model that ends in a head on the code of an auto-encoder; any other model as it is.

    The head is a Dense layer of one unit and of zeros: it is there to be replaced.
    """
    found = autoencoder_in(model.network, model.params, model.state)
    if found is None:
        return model
    network, params, state = found
    body = network.body()
    code = network.code_spec(model.preprocessing.input_spec()).shape
    layers: dict[str, Layer] = dict(body.layers)
    if len(code) > 1:
        layers["flatten"] = Flatten()
    units = math.prod(code)
    (_, own, kept), _ = network.halves(params, state)
    head = {"kernel": jnp.zeros((units, 1), jnp.float32), "bias": jnp.zeros((1,), jnp.float32)}
    return replace(model, network=Sequential(**layers, head=Dense(1)), params=own | {"head": head}, state=kept)
