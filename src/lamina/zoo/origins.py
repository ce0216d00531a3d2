"""Files of weights that name their tensors otherwise than torchvision, or whose networks differ in a detail."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lamina.layers import Sequential
from lamina.zoo.efficientnet import efficientnet_lite0
from lamina.zoo.mobilenet import mobilenet_v1
from lamina.zoo.registry import IMAGENET_MEAN, IMAGENET_STD, Architecture
from lamina.zoo.squeezenet import squeezenet

__all__ = ["Origin", "origin"]

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Origin:
    """Where weights come from.

    Attributes:
        architecture: the network that they are of: the zoo's, or a variant of it.
        tensors: under the names that the zoo has from torchvision (of EfficientNet: from its first port to PyTorch).
    """

    architecture: Architecture
    tensors: Tensors


def origin(architecture: Architecture, tensors: Mapping[str, np.ndarray]) -> Origin:
    """A file's tensors under the zoo's names, and the network that they are of."""
    for name, recognised, translated in _ORIGINS:
        if re.fullmatch(name, architecture.name) and any(re.fullmatch(recognised, tensor) for tensor in tensors):
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


# timm's names. A block's number counts on through the stages; rules hold for the beginning of a name, the first fits.
_BLOCK = r"blocks\.(\d+)\.(\d+)\."
_VGG = (
    (r"pre_logits\.fc1\.", "classifier.0."),
    (r"pre_logits\.fc2\.", "classifier.3."),
    (r"head\.fc\.", "classifier.6."),
)
# The parts of its networks of inverted residuals, and the same parts, in this order, in ours.
_PARTS = (
    r"conv_stem\.",
    r"bn1\.",
    r"blocks\.0\.0\.conv_dw\.",
    r"blocks\.0\.0\.bn1\.",
    r"blocks\.0\.0\.conv_pw\.",
    r"blocks\.0\.0\.bn2\.",
    *(_BLOCK + rf"{part}\." for part in ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")),
    r"conv_head\.",
    r"bn2\.",
    r"classifier\.",
)
_V2_PARTS = (
    *("features.0.0.", "features.0.1."),
    *(f"features.1.conv.{part}." for part in ("0.0", "0.1", "1", "2")),
    *(f"features.{{}}.conv.{part}." for part in ("0.0", "0.1", "1.0", "1.1", "2", "3")),
    *("features.18.0.", "features.18.1.", "classifier.1."),
)
_LITE_BLOCK = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
_LITE_PARTS = (
    *("_conv_stem.", "_bn0."),
    *(f"_blocks.0.{part}." for part in _LITE_BLOCK[2:]),
    *(f"_blocks.{{}}.{part}." for part in _LITE_BLOCK),
    *("_conv_head.", "_bn1.", "_fc."),
)
_V2, _V2_STAGES = tuple(zip(_PARTS, _V2_PARTS, strict=True)), (1, 2, 4, 7, 11, 14, 17)
_LITE, _LITE_STAGES = tuple(zip(_PARTS, _LITE_PARTS, strict=True)), (0, 1, 3, 5, 8, 11, 15)


def _renamed(tensors: Tensors, rules: tuple[tuple[str, str], ...], stages: tuple[int, ...]) -> Tensors:
    def new(name: str) -> str:
        for pattern, wanted in rules:
            found = re.match(pattern, name)
            if found:
                stage, index = (int(number) for number in found.groups() or (0, 0))
                number = stages[stage] + index if stage < len(stages) else -1
                return wanted.format(number) + name[found.end() :]
        return name

    return {new(name): value for name, value in tensors.items()}


def _timm_vgg(architecture: Architecture, tensors: Tensors) -> Origin:
    """Its first dense layers are convolutions over all of the map."""
    renamed = _renamed(tensors, _VGG, (0,))
    for name in ("classifier.0.weight", "classifier.3.weight"):
        if name in renamed:
            renamed[name] = renamed[name].reshape(len(renamed[name]), -1)
    return Origin(architecture, renamed)


def _timm_mobilenet(architecture: Architecture, tensors: Tensors) -> Origin:
    return Origin(architecture, _renamed(tensors, _V2, _V2_STAGES))


def _timm_efficientnet(architecture: Architecture, tensors: Tensors) -> Origin:
    """Those that timm trained itself are padded as PyTorch pads; "tf_efficientnet_lite0" are TensorFlow's."""
    renamed = _renamed(tensors, _LITE, _LITE_STAGES)
    if architecture.name == "tf_efficientnet_lite0":
        return Origin(architecture, renamed)
    make: Callable[[int], Sequential] = partial(efficientnet_lite0, symmetric=True)
    return Origin(replace(architecture, make=make, mean=IMAGENET_MEAN, std=IMAGENET_STD), renamed)


_ORIGINS: tuple[tuple[str, str, Callable[[Architecture, Tensors], Origin]], ...] = (
    ("squeezenet1_0", r"fire\d/conv1x1_1\.weight", _caffe_squeezenet),
    ("mobilenet_v1", r"\d+\.(DEPTHWISE_)?CONV_2D\.weight", _folded_mobilenet),
    (r"vgg\d+(_bn)?", r"pre_logits\.fc1\.weight", _timm_vgg),
    ("mobilenet_v2", r"conv_stem\.weight", _timm_mobilenet),
    ("(tf_)?efficientnet_lite0", r"conv_stem\.weight", _timm_efficientnet),
)
