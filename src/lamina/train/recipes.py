"""The network and the recipe that are chosen for data when the user names none.

Every choice follows from the data's kind, picture size, channels, task and number of examples; none from its name.
"""

from __future__ import annotations

from collections.abc import Callable

from lamina.data.augment import Affine, Augmentation, Augmentations, ColorJitter, Cutout, Flip, Shift
from lamina.data.base import Data
from lamina.errors import ConfigError
from lamina.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Sequential,
    relu,
)
from lamina.layers.base import as_layer
from lamina.losses import SoftmaxCrossEntropy
from lamina.optim import AdamW, OneCycle
from lamina.train.recipe import Recipe

__all__ = ["ARCHITECTURES", "choose", "recipe_for"]

_MANY_ROWS = 2_000
_MANY_PICTURES = 20_000
_LARGE = 64  # pixels; larger pictures enter through a strided stem
_EXAMPLES_SEEN = 700_000  # an epoch's worth of examples times the number of epochs


def choose(data: Data) -> Recipe:
    """Network and recipe for the data's kind, size and task."""
    # Each is imported where it is chosen: with what they need of pictures, texts and sounds, all together would add a
    # fifth of a second to every start.
    if data.target.answer == "input":
        from lamina.train.recipe_autoencoder import autoencoder

        return autoencoder(data)
    kind = data.preprocessing.kind
    match "series" if kind == "array" and is_series(data) else kind:
        case "image":
            return _pictures(data)
        case "series":
            from lamina.train.recipe_series import series

            return series(data)
        case "sound":
            from lamina.train.recipe_sound import sounds

            return sounds(data)
        case "video":
            from lamina.train.recipe_video import videos

            return videos(data)
        case "text":
            from lamina.train.recipe_text import texts

            return texts(data)
        case "characters":
            from lamina.train.recipe_text import generator

            return generator(data)
        case _:
            return _vectors(data)


def recipe_for(network: Layer | Recipe | str, data: Data) -> Recipe:
    """The recipe that `lamina.fit` was given, or chooses, or makes of a bare network.

    Raises:
        ConfigError: for a text other than "auto".
    """
    if isinstance(network, Recipe):
        return network
    if isinstance(network, str):
        if network != "auto":
            raise ConfigError(f"Expected a layer or 'auto' as network. Received: {network!r}.")
        return choose(data)
    return Recipe(network=as_layer(network))


def convnet(data: Data) -> Layer:
    """A chain of 3×3 convolutions with BatchNorm and ReLU, halving the picture and doubling the filters.

    Source: Simonyan & Zisserman 2015, arXiv:1409.1556 (the shape); Ioffe & Szegedy 2015, arXiv:1502.03167 (BatchNorm).
    """
    if is_series(data):
        from lamina.train.recipe_series import convnet as over_time

        return over_time(data)
    height, width, _ = _shape(data)
    side = min(height, width)
    layers: list[Layer] = []
    if side > _LARGE:
        layers += [_block(32, 5, strides=2), MaxPool(2)]
        side //= 4
    elif side > 16:
        layers += [_block(32, 5), MaxPool(2)]
        side //= 2
    else:
        layers.append(_block(32, 3))
    large = min(height, width) > _LARGE
    filters, depth = (32, 2) if large else (64, 1)  # of the first stage; convolutions a stage
    while True:
        layers += [_block(filters, 3) for _ in range(depth)]
        if side < 6 or filters == 256:  # the window of the last stage sees the whole picture
            break
        layers.append(MaxPool(2))
        side //= 2
        filters *= 2
    return Sequential(*layers, GlobalAvgPool(), Dropout(0.3), Dense(data.target.units))


def mlp(data: Data) -> Layer:
    """Two dense layers with ReLU, and dropout where classes are learned.

    Dropout costs a regression accuracy (R² on diamonds falls by 0.002 at a rate of 0.1), and normalising layers gain
    nothing on tables whose numbers are encoded piecewise-linearly.
    """
    width = 128 if len(data.train) >= _MANY_ROWS else 64
    hidden: list[Layer] = [Flatten()] if len(_shape(data)) > 1 else []
    for _ in range(2):
        hidden += [Dense(width), relu]
        if data.target.answer != "values":
            hidden.append(Dropout(0.3))
    return Sequential(*hidden, Dense(data.target.units))


def linear(data: Data) -> Layer:
    """One Dense layer: logistic or linear regression."""
    flatten: list[Layer] = [Flatten()] if len(_shape(data)) > 1 else []
    return Sequential(*flatten, Dense(data.target.units))


ARCHITECTURES: dict[str, Callable[[Data], Layer]] = {"convnet": convnet, "mlp": mlp, "linear": linear}


def is_series(data: Data) -> bool:
    """Whether the examples are series, ``(steps, channels)`` of real numbers."""
    spec = data.preprocessing.input_spec()
    return len(getattr(spec, "shape", ())) == 2 and getattr(spec, "dtype", None) == "float32"


def _shape(data: Data) -> tuple[int, ...]:
    return tuple(getattr(data.preprocessing.input_spec(), "shape", ()))


def _block(filters: int, window: int, strides: int = 1) -> Layer:
    return Sequential(Conv(filters, window, strides=strides, use_bias=False), BatchNorm(), relu)


def _epochs(examples: int) -> int:
    return min(max(round(_EXAMPLES_SEEN / examples), 12), 40)


def _pictures(data: Data) -> Recipe:
    height, width, channels = _shape(data)
    epochs = _epochs(len(data.train))
    batch = 64 if len(data.train) >= 2_000 else 32
    many = len(data.train) >= _MANY_PICTURES
    # Strong augmentation takes many epochs to pay; where examples are many, epochs are few.
    steps: list[Augmentation] = [Shift(0.07) if many else Affine(degrees=10, zoom=0.1, shift=0.1)]
    words = ["small shifts" if many else "small rotations, zooms and shifts"]
    if channels > 1:
        # A mirrored photograph shows the same thing; a mirrored character does not.
        steps = [Flip(), *steps, ColorJitter(0.2, 0.2, 0.2)]
        words = ["flips", *words, "colour jitter"]
    if min(height, width) > 16 and not many:
        steps.append(Cutout(0.1))
        words.append("cutout")
    # Smoothed labels help where photographs are few; elsewhere they only make the network underrate its certainty.
    smooth = channels > 1 and data.target.task == "classify"
    loss = SoftmaxCrossEntropy(label_smoothing=0.1) if smooth else None
    return Recipe(
        network=convnet(data),
        optimizer=AdamW(3e-3, schedule=OneCycle(), weight_decay=0.02),
        loss=loss,
        epochs=epochs,
        batch_size=batch,
        augmentation=Augmentations(tuple(steps)),
        reasons=(
            f"Pictures of {height}×{width}: a convolutional network with BatchNorm.",
            f"{len(data.train):,} training examples decide how many epochs; a one-cycle learning rate.",
            f"{'Colour' if channels > 1 else 'Grey'} pictures: {', '.join(words)} as augmentation"
            + (", no mirroring, which would change characters." if channels == 1 else "."),
        ),
    )


def _vectors(data: Data) -> Recipe:
    rows = len(data.train)
    regress = data.target.answer == "values"
    epochs = min(max(round(300_000 / rows), 12), 100)
    batch = 256 if rows >= 5_000 else 64 if rows >= 1_000 else 16
    rate = 2e-3 * max(1, batch // 64)  # grows with the batch: a large table is learned in few epochs
    return Recipe(
        network=mlp(data),
        optimizer=AdamW(rate, schedule=OneCycle(), weight_decay=0.05),
        epochs=epochs,
        batch_size=batch,
        reasons=(
            f"{'×'.join(map(str, _shape(data)))} numbers an example: two dense layers"
            + (", without dropout, which costs a regression accuracy." if regress else " with dropout."),
            f"{rows:,} training examples decide width, batch and epochs; a one-cycle learning rate.",
        ),
    )
