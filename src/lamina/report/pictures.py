"""Pictures in the page: examples as the network sees them, and the filters of its first layer."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import Preprocessing, Split
from lamina.layers import Conv, Dense, Layer
from lamina.layers.base import Tape
from lamina.model import Model
from lamina.report.clips import clip_pictures
from lamina.report.markup import Markup, tag

__all__ = ["filter_pixels", "first_filters", "is_picture", "kernels", "picture", "read_pictures"]

_SMALL = 64  # pixels a side up to which a picture is kept exactly, and shown with sharp pixels
_SHOWN = 192  # pixels a side to which larger ones are reduced
_FILTERS = 64


def read_pictures(split: Split, preprocessing: Preprocessing, indices: np.ndarray) -> np.ndarray | None:
    """The examples at these indices as uint8 ``(n, height, width, 1 or 3)``, None where they are no pictures.

    Sounds are shown as spectrograms and videos as strips of frames. Arrays of numbers in the shape of pictures are
    stretched, each from its lowest to its highest value.
    """
    if not len(indices):
        return None
    clips = clip_pictures(split, preprocessing, indices)
    if clips is not None:
        return clips
    if not is_picture(preprocessing):
        return None
    encoded = np.asarray(split.read(indices))
    if encoded.dtype == np.uint8:
        return encoded
    scaled = encoded.astype(np.float64)
    if isinstance(preprocessing, ArrayPreprocessing) and preprocessing.mean:
        scaled = scaled * np.asarray(preprocessing.std) + np.asarray(preprocessing.mean)
    low, high = scaled.min(axis=(1, 2, 3), keepdims=True), scaled.max(axis=(1, 2, 3), keepdims=True)
    return _to_bytes((scaled - low) / np.where(high > low, high - low, 1.0))


def first_filters(model: Model) -> tuple[str, np.ndarray] | None:
    """The weights of the first layer as pictures, where that layer looks at pictures.

    A Conv's kernels with 1 or 3 input channels, or a Dense's columns in the shape of its picture. Middle grey is a
    weight of zero; each filter is stretched to its own largest weight.

    Returns:
        The layer's path and uint8 ``(filters, height, width, 1 or 3)``, at most 64 of them; None where there are none.
    """
    if not is_picture(model.preprocessing):
        return None
    shape: tuple[int, ...] = model.preprocessing.input_spec().shape
    path, layer, kernel = next(kernels(model), ("", None, np.zeros(0)))
    if isinstance(layer, Conv) and kernel.ndim == 4 and kernel.shape[2] in (1, 3) and kernel.shape[0] > 1:
        return path, filter_pixels(kernel.transpose(3, 0, 1, 2)[:_FILTERS])
    if isinstance(layer, Dense) and kernel.shape[0] == math.prod(shape):
        return path, filter_pixels(kernel.T.reshape(-1, *shape)[:_FILTERS])
    return None


def kernels(model: Model) -> Iterator[tuple[str, Layer, np.ndarray]]:
    """Path, layer and kernel of every leaf layer that has one, in order of computation."""
    spec = model.preprocessing.input_spec()
    tape = Tape(record_calls=True)

    def trace(params: Any, state: Any) -> Any:
        return model.network.apply(params, state, jax.numpy.zeros((1, *spec.shape), spec.dtype), tape=tape)[0]

    jax.eval_shape(trace, model.params, model.state)
    for call in tape.calls:
        weights = model.params
        for part in call.path.split("."):
            weights = weights.get(part, {}) if isinstance(weights, dict) else {}
        kernel = weights.get("kernel") if isinstance(weights, dict) else None
        if kernel is not None:
            yield call.path, call.layer, np.asarray(kernel)


def filter_pixels(filters: np.ndarray) -> np.ndarray:
    """Weights ``(n, height, width, 1 or 3)`` as uint8 pictures: middle grey is 0, each stretched to its largest."""
    values = filters.astype(np.float64)
    largest = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    return _to_bytes(0.5 + 0.5 * values / np.where(largest > 0, largest, 1.0))


def picture(pixels: np.ndarray, described: str) -> Markup:
    """A uint8 ``(height, width, 1 or 3)`` as an ``<img>`` that holds its data."""
    from PIL import Image

    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    stream = io.BytesIO()
    sharp = max(height, width) <= _SMALL
    if sharp:
        image.save(stream, "PNG", optimize=True)
    else:
        image.thumbnail((_SHOWN, _SHOWN), Image.Resampling.LANCZOS)
        image.save(stream, "JPEG", quality=82)
    kind = "png" if sharp else "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
    return tag(
        "img",
        src=source,
        alt=described,
        width=image.width,
        height=image.height,
        class_="sharp" if sharp else None,
    )


def is_picture(preprocessing: Preprocessing) -> bool:
    """Whether what goes into the network is a picture, grey or in colour; a spectrogram is none."""
    shape: tuple[int, ...] = getattr(preprocessing.input_spec(), "shape", ())
    return preprocessing.kind != "sound" and len(shape) == 3 and shape[2] in (1, 3) and min(shape[:2]) >= 4


def _to_bytes(values: np.ndarray) -> np.ndarray:
    pixels: np.ndarray = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return pixels
