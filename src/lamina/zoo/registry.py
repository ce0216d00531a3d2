"""Names of networks, what each is for, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from lamina.errors import ConfigError, nearest
from lamina.layers import Layer, Sequential
from lamina.zoo.alexnet import alexnet
from lamina.zoo.efficientnet import efficientnet_lite0
from lamina.zoo.googlenet import googlenet
from lamina.zoo.lenet import lenet5
from lamina.zoo.mobilenet import mobilenet_v1, mobilenet_v2
from lamina.zoo.resnet import BLOCKS, cifar_resnet, resnet
from lamina.zoo.squeezenet import squeezenet
from lamina.zoo.vgg import DEPTHS, vgg

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Architecture", "architecture", "networks", "unnamed_in"]


IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Architecture:
    """A network by name.

    Attributes:
        name: for `build`.
        make: a function of the number of classes.
        input_shape: that the paper uses, ``(height, width, channels)``; others fit where the arithmetic allows.
        classes: of the data set that the paper is about.
        year, paper: of its publication; an arXiv number or a place.
        plain: a function like ``make``, without what only training needs.
        unnamed: containers that the network's files of weights do not name.
        mean, std: that its files of weights expect of the three channels, in units of 0…255; by default ImageNet's.
    """

    name: str
    make: Callable[[int], Sequential]
    input_shape: tuple[int, int, int]
    classes: int
    year: int
    paper: str
    plain: Callable[[int], Sequential] | None = None
    unnamed: frozenset[str] = frozenset()
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


_IMAGENET = ((224, 224, 3), 1000)
# Inputs -1…1, as the TensorFlow weights that torchvision took over want them.
_HALF = ((127.5,) * 3, (127.5,) * 3)
_LITE = ((127.0,) * 3, (128.0,) * 3)
_CIFAR = ((32, 32, 3), 10)
_RESIDUAL = frozenset({"residual", "body"})


def _all() -> Iterator[Architecture]:
    yield Architecture(
        "lenet5", lenet5, (32, 32, 1), 10, 1998, "LeCun et al., Proceedings of the IEEE 86", mean=(0.0,), std=(255.0,)
    )
    yield Architecture("alexnet", alexnet, *_IMAGENET, 2012, "Krizhevsky et al., NeurIPS; arXiv:1404.5997")
    for depth in DEPTHS:
        for norm in (False, True):
            make = partial(vgg, depth, batch_norm=norm)
            yield Architecture(f"vgg{depth}{'_bn' if norm else ''}", make, *_IMAGENET, 2014, "arXiv:1409.1556")
    plain = partial(googlenet, auxiliary=False)
    yield Architecture("googlenet", googlenet, *_IMAGENET, 2014, "arXiv:1409.4842", plain, frozenset({"head"}), *_HALF)
    for depth in BLOCKS:
        make = partial(resnet, depth)
        yield Architecture(f"resnet{depth}", make, *_IMAGENET, 2015, "arXiv:1512.03385", None, _RESIDUAL)
    for depth in (20, 32, 44, 56, 110):
        make = partial(cifar_resnet, depth)
        yield Architecture(f"resnet{depth}", make, *_CIFAR, 2015, "arXiv:1512.03385, section 4.2", None, _RESIDUAL)
    for version in ("1.0", "1.1"):
        name, make = f"squeezenet{version.replace('.', '_')}", partial(squeezenet, version)
        yield Architecture(name, make, *_IMAGENET, 2016, "arXiv:1602.07360", None, frozenset({"expand", "conv"}))
    yield Architecture("mobilenet_v1", mobilenet_v1, *_IMAGENET, 2017, "arXiv:1704.04861", None, frozenset(), *_HALF)
    yield Architecture("mobilenet_v2", mobilenet_v2, *_IMAGENET, 2018, "arXiv:1801.04381", None, _RESIDUAL)
    # timm has weights under both names: the first are Google's in its first port to PyTorch, or timm's own.
    for name, scaling in (("efficientnet_lite0", _LITE), ("tf_efficientnet_lite0", _HALF)):
        given = (*_IMAGENET, 2019, "arXiv:1905.11946", None, _RESIDUAL, *scaling)
        yield Architecture(name, efficientnet_lite0, *given)


_ALL = tuple(_all())
_BY_NAME = {one.name: one for one in _ALL}


def networks() -> tuple[Architecture, ...]:
    """All of them, in the order of their years."""
    return _ALL


def unnamed_in(network: Layer) -> frozenset[str]:
    """The containers of a network of the zoo that its files of weights do not name; none for another network."""
    names = [name for name, _ in network.parts()]
    found: frozenset[str] = frozenset()
    for one in _ALL:
        if names in ([name for name, _ in make(1).parts()] for make in (one.make, one.plain) if make is not None):
            found |= one.unnamed
    return found


def architecture(name: str) -> Architecture:
    """The one of this name.

    Raises:
        ConfigError: for an unknown name, with the nearest known ones.
    """
    if name not in _BY_NAME:
        raise ConfigError(f"The zoo has no network {name!r}.", nearest(name, tuple(_BY_NAME)))
    return _BY_NAME[name]
