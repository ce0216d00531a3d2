"""Going on with a text: a compiled loop that draws one character after another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina.data.base import Preprocessing
from lamina.errors import ConfigError, DataError
from lamina.layers import Layer, memory
from lamina.layers.base import Params, State

__all__ = ["sample"]

_SHOWN = 20


def sample(
    network: Layer,
    params: Params,
    state: State,
    preprocessing: Preprocessing,
    prompt: str = "",
    length: int = 200,
    temperature: float = 1.0,
    seed: int = 0,
) -> str:
    """What follows the prompt; see `Model.sample`.

    The network reads the prompt once; from then on its recurrent layers carry what they remember from one character to
    the next.

    Args:
        network: that gives logits ``(batch, steps, symbols)``.
        params, state: its weights.
        preprocessing: of its characters.
    """
    from lamina.data.characters import CharacterPreprocessing

    if not isinstance(preprocessing, CharacterPreprocessing):
        raise ConfigError("This model generates nothing: it was not trained to say what comes next.")
    _check(length, temperature, network)
    codes = jnp.asarray(preprocessing.codes(_known(prompt, preprocessing)))[None]
    drawn = _draw(network, length, params, state, codes, jnp.float32(temperature), jax.random.key(seed))
    return preprocessing.text(drawn)


@partial(jax.jit, static_argnums=(0, 1))
def _draw(
    network: Layer, length: int, params: Params, state: State, prompt: jax.Array, temperature: jax.Array, key: jax.Array
) -> jax.Array:
    """int32 codes ``(length,)`` that follow the prompt ``(1, characters)``."""

    def choose(logits: jax.Array, key: jax.Array) -> jax.Array:
        logits = logits.astype(jnp.float32).at[0].set(-jnp.inf)  # "unknown" is no character to write
        drawn = jax.random.categorical(key, logits / jnp.maximum(temperature, 1e-6))
        return jnp.where(temperature > 0, drawn, jnp.argmax(logits)).astype(jnp.int32)

    def step(before: tuple[jax.Array, Any], key: jax.Array) -> tuple[tuple[jax.Array, Any], jax.Array]:
        logits, carries = before
        code = choose(logits, key)
        outputs, carries = memory.run(network, params, state, code[None, None], carries)
        return (outputs[0, -1], carries), code

    outputs, carries = memory.run(network, params, state, prompt)
    _, codes = lax.scan(step, (outputs[0, -1], carries), jax.random.split(key, length))
    return codes


def _known(prompt: str, preprocessing: Any) -> str:
    """The prompt, or where there is none the end of a line, if the text has lines."""
    from lamina.data.characters import listed

    characters = preprocessing.characters
    if not prompt:
        return "\n" if "\n" in characters else str(characters[1])
    unknown = preprocessing.unknown(prompt)
    if unknown:
        near = sorted({case for one in unknown for case in (one.lower(), one.upper()) if case in characters[1:]})
        known = listed(near) if near else listed(characters[1:])
        raise DataError(
            f"The prompt holds what the model has never seen: {listed(unknown)}.",
            f"It knows {known}." if near else f"Leave it out. It knows {known}.",
        )
    return prompt


def _check(length: int, temperature: float, network: Layer) -> None:
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ConfigError(f"length is a whole number of at least 1. Received: length={length!r}.")
    if not isinstance(temperature, int | float) or not 0 <= temperature < float("inf"):
        raise ConfigError(f"temperature is a number of at least 0. Received: temperature={temperature!r}.")
    wide = next((path for path, layer in _layers(network) if layer.window() is not None), None)
    if wide is not None:
        raise ConfigError(
            f"Layer '{wide}' sees several steps at once and remembers none, so no text can be drawn step by step.",
            "Use recurrent layers.",
        )


def _layers(network: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    yield path, network
    for name, part in network.parts():
        yield from _layers(part, f"{path}.{name}" if path else name)
