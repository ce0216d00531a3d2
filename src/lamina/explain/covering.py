"""Which parts of a picture an answer needs: they are covered one after another."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina.errors import ConfigError
from lamina.explain.subject import examine
from lamina.layers import Layer
from lamina.layers.base import Params, State
from lamina.model import Model

__all__ = ["default_window", "occlusion"]

Size = int | tuple[int, int]


def occlusion(
    model: Model,
    x: Any,
    class_: str | int | None = None,
    window: Size | None = None,
    stride: Size | None = None,
) -> np.ndarray:
    """How far the class's probability falls when a patch of the picture is covered.

    A window slides over the picture, its last positions flush with the edges. It covers the network's input with 0,
    the mean colour of the training pictures where the model standardises them, as it does by default. A pixel gets the
    mean fall over all the windows that cover it.

    Source: Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", arXiv:1311.2901.
    Departure: the paper shows the probability itself, at the window's position.

    Args:
        model: trained on pictures.
        x: one raw picture: a path, the bytes of a file, a Pillow image or an array.
        class_: name of a class, label or value; default: what the model predicts.
        window: pixels a side of the network's input, or (height, width); default: about a sixth of its
            shorter side, a multiple of 3.
        stride: pixels between windows, or (down, across), at most the window; default: a third of it.

    Returns:
        ``(height, width)`` float64 of the network's input: fall of the probability, −1…1, positive where the class
        needs what is there; for a model of values, fall of the value in its own unit.

    Raises:
        ConfigError: for a model that does not look at pictures, an unknown class, or a window or stride that does not
            fit.
        DataError: for what cannot be read as one picture.
    """
    subject = examine(model, x, class_)
    height, width = subject.x.shape[:2]
    sizes = _pair("window", default_window(height, width) if window is None else window, (height, width))
    steps = _pair("stride", tuple(max(1, size // 3) for size in sizes) if stride is None else stride, sizes)
    corners = np.asarray(
        [(top, left) for top in _starts(height, sizes[0], steps[0]) for left in _starts(width, sizes[1], steps[1])],
        np.int32,
    )
    size = min(subject.portion, len(corners))
    padded = np.concatenate([corners, np.repeat(corners[-1:], -len(corners) % size, axis=0)])
    outputs = [
        np.asarray(_covered(subject.network, sizes, model.params, model.state, subject.x, jnp.asarray(some)))
        for some in padded.reshape(-1, size, 2)
    ]
    falls = subject.answer - subject.read(np.concatenate(outputs)[: len(corners)])
    total, times = np.zeros((height, width)), np.zeros((height, width))
    for (top, left), fall in zip(corners.tolist(), falls.tolist(), strict=True):
        patch = np.s_[top : top + sizes[0], left : left + sizes[1]]
        total[patch] += fall
        times[patch] += 1
    return total / times


def default_window(height: int, width: int) -> tuple[int, int]:
    """Pixels a side: about a sixth of the picture's shorter one, and a multiple of 3, since the stride is a third."""
    side = 3 * max(1, round(min(height, width) / 18))
    return side, side


def _pair(name: str, given: Any, most: tuple[int, int]) -> tuple[int, int]:
    pair = (given, given) if isinstance(given, int) and not isinstance(given, bool) else given
    whole = isinstance(pair, tuple) and len(pair) == 2 and all(type(size) is int for size in pair)
    if not whole or not all(1 <= size <= limit for size, limit in zip(pair, most, strict=True)):
        what = "the network's input" if name == "window" else "the window, or some pixels would never be covered"
        raise ConfigError(
            f"Occlusion's {name} is a whole number of pixels or a pair, at least 1 and at most {most[0]}×{most[1]}, "
            f"{what}. Received: {name}={given!r}."
        )
    return pair


def _starts(length: int, window: int, stride: int) -> list[int]:
    return sorted({*range(0, length - window, stride), length - window})


@partial(jax.jit, static_argnums=(0, 1))
def _covered(
    network: Layer, window: tuple[int, int], params: Params, state: State, x: jax.Array, corners: jax.Array
) -> jax.Array:
    """Outputs ``(n, units)`` for the picture with the window at each of the corners ``(n, 2)``."""
    rows, columns = jnp.arange(x.shape[0], dtype=jnp.int32), jnp.arange(x.shape[1], dtype=jnp.int32)
    top, left = corners[:, :1], corners[:, 1:]
    down = (rows >= top) & (rows < top + window[0])
    across = (columns >= left) & (columns < left + window[1])
    hidden = down[:, :, None, None] & across[:, None, :, None]
    outputs, _ = network.apply(params, state, jnp.where(hidden, jnp.zeros((), x.dtype), x))
    result: jax.Array = outputs
    return result
