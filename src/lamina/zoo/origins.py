"""Files of weights that name their tensors otherwise than torchvision, or whose networks differ in a detail."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lamina.layers import Sequential
from lamina.zoo.mobilenet import mobilenet_v1
from lamina.zoo.registry import Architecture
from lamina.zoo.squeezenet import squeezenet

__all__ = ["Origin", "origin"]

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Origin:
    """Where weights come from.

    Attributes:
        architecture: the network that they are of: the zoo's, or a variant of it.
        tensors: under torchvision's names.
    """

    architecture: Architecture
    tensors: Tensors


def origin(architecture: Architecture, tensors: Mapping[str, np.ndarray]) -> Origin:
    """A file's tensors under torchvision's names, and the network that they are of."""
    for name, recognised, translated in _ORIGINS:
        if architecture.name == name and any(re.fullmatch(recognised, tensor) for tensor in tensors):
            return translated(architecture, dict(tensors))
    return Origin(architecture, dict(tensors))


def _caffe_squeezenet(architecture: Architecture, tensors: Tensors) -> Origin:
    """The authors' own: blue before green before red, values 0…255 about their mean, a padded last convolution."""
    renamed: Tensors = {}
    places = {2: 3, 3: 4, 4: 5, 5: 7, 6: 8, 7: 9, 8: 10, 9: 12}  # of the fire modules in torchvision's chain
    parts = {"conv1x1_1": "squeeze", "conv1x1_2": "expand1x1", "conv3x3_2": "expand3x3"}
    for name, value in tensors.items():
        fire = re.fullmatch(r"fire(\d)/(\w+)\.(weight|bias)", name)
        if fire and int(fire[1]) in places and fire[2] in parts:
            renamed[f"features.{places[int(fire[1])]}.{parts[fire[2]]}.{fire[3]}"] = value
        else:
            renamed[name.replace("conv1.", "features.0.").replace("conv_final.", "classifier.1.")] = value
    if "features.0.weight" in renamed:
        renamed["features.0.weight"] = renamed["features.0.weight"][:, ::-1]
    variant = replace(
        architecture,
        make=partial(squeezenet, "1.0", last_padding=1),
        input_shape=(227, 227, 3),
        mean=(123.0, 117.0, 104.0),
        std=(1.0, 1.0, 1.0),
    )
    return Origin(variant, renamed)


def _folded_mobilenet(architecture: Architecture, tensors: Tensors) -> Origin:
    """TensorFlow Lite's: convolutions numbered in their order, BatchNorm multiplied into them, inputs -1…1."""
    renamed: Tensors = {}
    numbers = sorted({name.split(".")[0] for name in tensors})
    for name, value in tensors.items():
        number, _, kind = name.split(".") if name.count(".") == 2 else (name, "", "")
        layer = numbers.index(number) if number in numbers else -1
        if layer == len(numbers) - 1:
            renamed[f"classifier.{kind}"] = value[..., 0, 0] if kind == "weight" else value
        elif kind == "weight":
            channels = len(value)
            renamed[f"features.{layer}.0.weight"] = value
            # A BatchNorm that adds the bias and does nothing else.
            renamed[f"features.{layer}.1.weight"] = np.ones(channels, np.float32)
            renamed[f"features.{layer}.1.running_mean"] = np.zeros(channels, np.float32)
            renamed[f"features.{layer}.1.running_var"] = np.full(channels, 1 - 1e-5, np.float32)
        else:
            renamed[f"features.{layer}.1.bias"] = value
    width = renamed["features.0.0.weight"].shape[0] / 32 if "features.0.0.weight" in renamed else 1.0
    make: Callable[[int], Sequential] = partial(mobilenet_v1, width=width)
    return Origin(replace(architecture, make=make, mean=(127.5,) * 3, std=(127.5,) * 3), renamed)


_ORIGINS: tuple[tuple[str, str, Callable[[Architecture, Tensors], Origin]], ...] = (
    ("squeezenet1_0", r"fire\d/conv1x1_1\.weight", _caffe_squeezenet),
    ("mobilenet_v1", r"\d+\.(DEPTHWISE_)?CONV_2D\.weight", _folded_mobilenet),
)
