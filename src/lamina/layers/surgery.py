"""Chains cut, and their last weights exchanged: what transfer learning does to a network."""

from __future__ import annotations

import dataclasses

from lamina.errors import ConfigError, nearest
from lamina.layers.activations import Activation
from lamina.layers.base import Layer
from lamina.layers.combine import Auxiliary
from lamina.layers.conv import Conv
from lamina.layers.dense import Dense
from lamina.layers.dropout import Dropout
from lamina.layers.pool import GlobalAvgPool, GlobalMaxPool
from lamina.layers.sequential import Sequential
from lamina.layers.shape import Flatten

__all__ = ["chain_paths", "head_path", "onward", "stages", "upto", "with_outputs"]

# What may stand after the last weights without being learned anew with them.
_PASSING = (Activation, Dropout, Flatten, GlobalAvgPool, GlobalMaxPool)


def head_path(network: Layer) -> str:
    """The path of a chain's last Dense or Conv layer, which gives its outputs.

    Raises:
        ConfigError: where the network does not end in one.
    """
    found = _head(network)
    if not found:
        raise ConfigError(
            f"A new head takes the place of the last Dense or Conv layer of a chain; this {type(network).__name__} "
            "ends in none.",
            "Compose the network as a Sequential that ends in a Dense layer.",
        )
    return found


def _head(network: Layer) -> str:
    if not isinstance(network, Sequential):
        return ""
    for name, layer in reversed(network.layers):
        if isinstance(layer, Dense | Conv):
            return name
        if isinstance(layer, Sequential):
            inner = _head(layer)
            return f"{name}.{inner}" if inner else ""
        if not isinstance(layer, _PASSING):
            return ""
    return ""


def with_outputs(network: Layer, units: int) -> Sequential:
    """The same chain with another number of outputs.

    Raises:
        ConfigError: as `head_path`.
    """
    path = head_path(network)
    assert isinstance(network, Sequential)

    def changed(chain: Sequential, parts: list[str]) -> Sequential:
        layers = dict(chain.layers)
        name, *rest = parts
        layer = layers[name]
        if rest:
            assert isinstance(layer, Sequential)
            layers[name] = changed(layer, rest)
        else:
            assert isinstance(layer, Dense | Conv)
            field = {"units": units} if isinstance(layer, Dense) else {"filters": units}
            layers[name] = dataclasses.replace(layer, **field)  # type: ignore[arg-type]
        return Sequential(**layers)

    return changed(network, path.split("."))


def chain_paths(network: Layer) -> list[str]:
    """The paths at which a chain, and the chains in it, can be cut."""
    paths = []
    for name, layer in network.parts():
        if isinstance(layer, Auxiliary):
            continue
        paths.append(name)
        if isinstance(layer, Sequential):
            paths += [f"{name}.{inner}" for inner in chain_paths(layer)]
    return paths


def upto(network: Layer, path: str, *, included: bool = True) -> Sequential:
    """The chain up to the layer at ``path``, or to before it. Auxiliary heads are left out.

    Raises:
        ConfigError: for a path at which there is no layer of the chain or of chains in it.
    """
    if not isinstance(network, Sequential):
        raise ConfigError(f"Only a Sequential can be cut at a layer; this network is a {type(network).__name__}.")
    known = chain_paths(network)
    if path not in known:
        raise ConfigError(f"The network has no layer {path!r} at which it can be cut.", nearest(path, known))
    name, _, rest = path.partition(".")
    kept: dict[str, Layer] = {}
    for own, layer in network.layers:
        if own == name:
            if rest:
                kept[own] = upto(layer, rest, included=included)
            elif included:
                kept[own] = layer
            return Sequential(**kept)
        if not isinstance(layer, Auxiliary):
            kept[own] = layer
    raise AssertionError(path)


def onward(network: Layer, path: str) -> Sequential:
    """The chain from the layer at ``path`` on, its parts under their own names: what `upto` leaves out.

    Raises:
        ConfigError: as `upto`.
    """
    upto(network, path)
    assert isinstance(network, Sequential)
    name, _, rest = path.partition(".")
    place = [own for own, _ in network.layers].index(name)
    kept = dict(network.layers[place:])
    if rest:
        kept[name] = onward(kept[name], rest)
    return Sequential(**kept)


def stages(network: Sequential) -> list[str]:
    """The paths of a chain's parts in order; a part that is a chain of blocks counts as its blocks."""
    found = []
    for name, layer in network.layers:
        blocks = isinstance(layer, Sequential) and all(next(part.parts(), None) for _, part in layer.layers)
        found += [f"{name}.{inner}" for inner, _ in layer.parts()] if blocks else [name]
    return found
