"""The auto-encoder and the recipe that are chosen for data when the user names none."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lamina.data.base import Data
from lamina.data.image_preprocessing import ImagePreprocessing
from lamina.errors import ConfigError
from lamina.layers import (
    Autoencoder,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Layer,
    Reshape,
    Sequential,
    gelu,
    sigmoid,
)
from lamina.losses import BinaryCrossEntropy, SquaredError
from lamina.optim import AdamW, OneCycle
from lamina.train.recipe import Recipe

__all__ = ["ARCHITECTURES", "CODE", "autoencoder"]

CODE = 30  # units, unless asked for otherwise
_WIDTHS = (1000, 500, 250)  # of Hinton & Salakhutdinov, for 784 numbers
_LOOKED_AT = 1024  # examples whose range is looked at
_LARGE = 32  # pixels a side; larger pictures are convolved
_EXAMPLES_SEEN = 3_000_000  # an epoch's examples times the number of epochs


def autoencoder(data: Data, code: int | None = None, arch: str = "auto") -> Recipe:
    """An auto-encoder for the data's kind and size, and how to train it.

    Args:
        code: units of the code; default: 30, of small inputs a quarter of their numbers.
        arch: "auto", or one of `ARCHITECTURES`.

    Raises:
        ConfigError: for data that it does not suit.
    """
    shape = _shape(data)
    pictures = data.preprocessing.kind == "image"
    inputs = math.prod(shape)
    if code is None:
        code = max(min(CODE, inputs // 4), 1)
    if code >= inputs:
        raise ConfigError(
            f"A code of {code} units is no smaller than the input of {inputs} numbers.",
            f"Give --code {max(inputs // 4, 1)}, say." if inputs > 1 else "There is nothing to make smaller.",
        )
    if arch == "auto":
        arch = "convnet" if pictures and min(shape[:2]) > _LARGE else "mlp"
    network = ARCHITECTURES[arch](data, code)
    rows = len(data.train)
    batch = 128 if rows >= 5_000 else 32
    epochs = min(max(round(_EXAMPLES_SEEN / rows), 20), 100)
    words = {
        "mlp": "dense layers down to the code and up again",
        "convnet": "convolutions down to the code, transposed ones up again",
        "linear": "one dense layer each way, which spans what PCA spans",
    }
    return Recipe(
        network=network,
        optimizer=AdamW(1e-3, schedule=OneCycle(), weight_decay=0.0),
        loss=BinaryCrossEntropy() if _within_0_and_1(data) and arch != "linear" else SquaredError(),
        epochs=epochs,
        batch_size=batch,
        reasons=(
            f"{'×'.join(map(str, shape))} numbers an example: {words[arch]}, {code} units.",
            f"{rows:,} training examples decide how many epochs; a one-cycle learning rate.",
        ),
    )


def dense(data: Data, code: int) -> Autoencoder:
    """Dense layers, 1000-500-250 wide from 784 inputs on, a linear code, and the mirror.

    For fewer inputs the widths shrink with the root of their number.

    Source: Hinton & Salakhutdinov 2006, Science 313:504-507 (the widths), with He's initialisation and GELU in place
    of pre-training and sigmoids.
    """
    shape = _shape(data)
    inputs = math.prod(shape)
    widths = [max(round(width * min(math.sqrt(inputs / 784), 1.0)), 2 * code, 16) for width in _WIDTHS]
    flat = [Flatten()] if len(shape) > 1 else []
    down = [layer for width in widths for layer in (Dense(width), gelu)]
    up = [layer for width in reversed(widths) for layer in (Dense(width), gelu)]
    back = [Reshape(shape)] if len(shape) > 1 else []
    return Autoencoder(Sequential(*flat, *down, Dense(code)), Sequential(*up, Dense(inputs), *_end(data), *back))


def convolutional(data: Data, code: int) -> Autoencoder:
    """Convolutions that halve a picture and double its channels down to about 4 pixels a side, and the mirror."""
    shape = _shape(data)
    if len(shape) != 3:
        raise ConfigError(f"A convolutional auto-encoder takes pictures; these examples have the shape {shape}.")
    height, width, channels = shape
    sizes, filters = [(height, width)], 32
    down: list[Layer] = []
    widths: list[int] = []
    while min(sizes[-1]) >= 8:
        down += [Conv(filters, 3, strides=2, use_bias=False), BatchNorm(), gelu]
        widths.append(filters)
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        filters = min(2 * filters, 256)
    last = (*sizes[-1], widths[-1] if widths else channels)
    up: list[Layer] = [Dense(math.prod(last)), gelu, Reshape(last)]
    for place in range(len(widths) - 1, -1, -1):
        # An odd side was rounded up on the way down: one row or column less on the way up.
        cut = tuple((big % 2, 1) for big in sizes[place])
        up.append(ConvTranspose(widths[place - 1] if place else 32, 3, strides=2, padding=cut, use_bias=False))
        up += [BatchNorm(), gelu]
    return Autoencoder(Sequential(*down, Flatten(), Dense(code)), Sequential(*up, Conv(channels, 3), *_end(data)))


def linear(data: Data, code: int) -> Autoencoder:
    """One Dense layer each way.

    Source: Baldi & Hornik 1989, "Neural networks and principal component analysis", Neural Networks 2:53-58.
    """
    shape = _shape(data)
    flat = [Flatten()] if len(shape) > 1 else []
    back = [Reshape(shape)] if len(shape) > 1 else []
    return Autoencoder(Sequential(*flat, Dense(code)), Sequential(Dense(math.prod(shape)), *back))


ARCHITECTURES: dict[str, Callable[[Data, int], Autoencoder]] = {
    "mlp": dense,
    "convnet": convolutional,
    "linear": linear,
}


def _shape(data: Data) -> tuple[int, ...]:
    shape = getattr(data.preprocessing.input_spec(), "shape", None)
    if shape is None:
        raise ConfigError("An auto-encoder takes pictures and arrays of numbers.")
    return tuple(shape)


def _end(data: Data) -> list[Layer]:
    """A sigmoid where the inputs lie in 0…1."""
    return [sigmoid] if _within_0_and_1(data) else []


def _within_0_and_1(data: Data) -> bool:
    """Whether the inputs are pictures of 0…1; of arrays, whether those that are looked at lie there."""
    preprocessing = data.preprocessing
    if isinstance(preprocessing, ImagePreprocessing):
        return not any(preprocessing.mean) and min(preprocessing.std) >= 255
    few = np.asarray(preprocessing.transform(data.train.read(np.arange(min(len(data.train), _LOOKED_AT)))))
    return bool(few.min() >= 0 and few.max() <= 1)
