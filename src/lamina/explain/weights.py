"""What the first layer looks for: its weights."""

from __future__ import annotations

import math

import numpy as np

from lamina.errors import ConfigError, nearest
from lamina.explain.subject import check_model
from lamina.layers import Conv, Dense
from lamina.model import Model
from lamina.report.pictures import kernels

__all__ = ["filters", "layers_with_filters"]


def filters(model: Model, layer: str | None = None) -> np.ndarray:
    """The weights of a layer, filter by filter: the pattern to which each of its channels responds most.

    Args:
        model: trained on pictures.
        layer: dotted path of a Conv, or of a Dense that looks at the whole picture; default: the first one.

    Returns:
        ``(filters, height, width, channels)`` float32: the kernels of a Conv, or the columns of a Dense in the shape
        of the picture.

    Raises:
        ConfigError: for a model that does not look at pictures, or a layer that is not there or has no filters.
    """
    known = layers_with_filters(model)
    if layer is None:
        if not known:
            raise ConfigError("The network has no layer whose weights are filters over the picture.")
        layer = next(iter(known))
    if layer not in known:
        there = model.network.part(layer) is not None
        said = f"Layer {layer!r} has no filters" if there else f"The network has no layer {layer!r}"
        raise ConfigError(f"{said}.", nearest(layer, known) if known else "No layer of it has any.")
    return known[layer]


def layers_with_filters(model: Model) -> dict[str, np.ndarray]:
    """Every layer's path with its filters, in order of computation; empty where there are none."""
    check_model(model)
    shape: tuple[int, ...] = model.preprocessing.input_spec().shape
    found = {}
    for path, layer, kernel in kernels(model):
        if isinstance(layer, Conv) and kernel.ndim == 4:
            found[path] = kernel.transpose(3, 0, 1, 2)
        elif isinstance(layer, Dense) and kernel.shape[0] == math.prod(shape) and not found:
            found[path] = kernel.T.reshape(-1, *shape)
    return found
