"""A file of weights as a model: with its network, preprocessing and class names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from os import PathLike

from lamina.data.base import ClassTarget
from lamina.data.image_preprocessing import ImagePreprocessing
from lamina.errors import ConfigError, ModelFileError
from lamina.layers.base import spec
from lamina.model import Model
from lamina.zoo.building import installed, open_weights
from lamina.zoo.registry import Architecture

__all__ = ["import_model"]

_CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def import_model(
    weights: str | PathLike[str],
    arch: str,
    *,
    labels: Sequence[str] | None = None,
    size: int | tuple[int, int] | None = None,
) -> Model:
    """A model of a network of the zoo with the weights of a file. Nothing in the file is executed.

    Args:
        weights: safetensors, PyTorch's ``.pth``, ``.pt`` or ``.th`` (zip and legacy), or ``.npz``, in torchvision's or
            timm's naming; or "pretrained" for the weights of a package (``lamina[pretrained]``).
        arch: the network's name, as `lamina.zoo.networks` lists it.
        labels: names of the classes in the order of the outputs; by default ImageNet's or CIFAR-10's where their
            number is theirs, else "0", "1", …
        size: of the pictures, a side or (height, width) in pixels; by default the paper's.

    Raises:
        ConfigError: for an unknown network, or another number of labels than of outputs.
        ModelFileError: for a file that cannot be read, or that holds another network's weights.
        ShapeError: for pictures that are too small for the network.
    """
    found = open_weights(arch, installed(arch) if weights == "pretrained" else weights)
    usual = found.architecture.input_shape[:2]
    height, width = (size, size) if isinstance(size, int) else size or usual
    preprocessing = _preprocessing(found.architecture, height, width, found.channels)
    names = _names(found.architecture, found.classes) if labels is None else tuple(labels)
    if len(names) != found.classes:
        raise ConfigError(f"The network tells {found.classes} classes apart; {len(names)} names are given.")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"Two classes have the name {twice!r}.", "Give each a name of its own.")
    found.network.out_spec(spec((height, width, found.channels)))
    card = {"architecture": arch, "imported": True}
    return Model(found.network, found.params, found.state, preprocessing, ClassTarget(names), card)


def _preprocessing(architecture: Architecture, height: int, width: int, channels: int) -> ImagePreprocessing:
    mean, std = architecture.mean, architecture.std
    if channels != len(mean):
        if channels not in (1, 3):
            raise ModelFileError(f"The weights are for inputs of {channels} channels; pictures have 1 or 3.")
        mean, std = (sum(mean) / len(mean),) * channels, (sum(std) / len(std),) * channels
    return ImagePreprocessing(height, width, channels, mean, std)


def _names(architecture: Architecture, classes: int) -> tuple[str, ...]:
    imagenet = architecture.classes == 1000
    if imagenet and classes == 1000:
        return _imagenet()
    if imagenet and classes == 1001:  # as TensorFlow's networks have them
        return ("background", *_imagenet())
    if architecture.input_shape == (32, 32, 3) and classes == 10:
        return _CIFAR
    return tuple(map(str, range(classes)))


@cache
def _imagenet() -> tuple[str, ...]:
    """The 1,000 classes of ILSVRC 2012 in the order of their WordNet numbers, as networks count them."""
    return tuple(resources.files("lamina.zoo").joinpath("imagenet_classes.txt").read_text("utf-8").splitlines())
