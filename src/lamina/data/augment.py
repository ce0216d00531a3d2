"""Random changes of training pictures, made inside the compiled step: each example draws its own.

All take a batch of network inputs ``(n, height, width, channels)`` and return one of the same shape and dtype. What
comes in from outside the picture repeats its nearest edge pixel, so that a scanned digit keeps its background.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from lamina.config import Config
from lamina.errors import ConfigError

__all__ = ["Affine", "Augmentation", "Augmentations", "ColorJitter", "Cutout", "Flip", "Rotate", "Shift", "resample"]

Array: TypeAlias = jax.Array


class Augmentation(Config):
    """Base of all augmentations. A pure function of key and batch, to be used under `jax.jit`, in training only."""

    def __call__(self, key: Array, x: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Augmentations(Augmentation):
    """Several augmentations, one after the other.

    Attributes:
        items: applied in this order, each with a key of its own.
    """

    items: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        for item in self.items:
            if not isinstance(item, Augmentation):
                raise ConfigError(f"Augmentations takes augmentations such as Flip(). Received: {item!r}.")

    def __call__(self, key: Array, x: Array) -> Array:
        for index, item in enumerate(self.items):
            x = item(jax.random.fold_in(key, index), x)
        return x


@dataclass(frozen=True, repr=False)
class Flip(Augmentation):
    """Mirror each picture with probability 1/2.

    Attributes:
        horizontal: left and right change places.
        vertical: top and bottom change places (drawn apart from the horizontal).
    """

    horizontal: bool = True
    vertical: bool = False

    def __call__(self, key: Array, x: Array) -> Array:
        draws = jax.random.bernoulli(key, 0.5, (2, x.shape[0], 1, 1, 1))
        if self.horizontal:
            x = jnp.where(draws[0], x[:, :, ::-1], x)
        if self.vertical:
            x = jnp.where(draws[1], x[:, ::-1], x)
        return x


@dataclass(frozen=True, repr=False)
class Shift(Augmentation):
    """Move each picture by whole pixels: the same as padding it with its edge and cutting out a random window.

    Attributes:
        fraction: of the height and of the width, 0 to 1; both moves are uniform up to it, either way.
    """

    fraction: float = 0.125

    def __post_init__(self) -> None:
        _check(self, "fraction", self.fraction, 1.0)

    def __call__(self, key: Array, x: Array) -> Array:
        n, height, width, _ = x.shape
        most = jnp.asarray([round(self.fraction * height), round(self.fraction * width)], jnp.int32)
        moves = jax.random.randint(key, (n, 2), -most, most + 1)
        rows = jnp.clip(jnp.arange(height, dtype=jnp.int32) + moves[:, :1], 0, height - 1)
        columns = jnp.clip(jnp.arange(width, dtype=jnp.int32) + moves[:, 1:], 0, width - 1)
        return _take(x, rows[:, :, None], columns[:, None, :])


@dataclass(frozen=True, repr=False)
class Affine(Augmentation):
    """Turn, scale and move each picture about its centre, in one bilinear resampling.

    Attributes:
        degrees: the angle is uniform in ±degrees, 0 to 180.
        zoom: the scale is log-uniform between 1 / (1 + zoom) and 1 + zoom; zoom ≥ 0.
        shift: both moves are uniform in ± this fraction of the height and the width, 0 to 1.
    """

    degrees: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "degrees", self.degrees, 180.0)
        _check(self, "zoom", self.zoom, math.inf)
        _check(self, "shift", self.shift, 1.0)

    def __call__(self, key: Array, x: Array) -> Array:
        n, height, width, _ = x.shape
        draws = jax.random.uniform(key, (n, 4), jnp.float32, -1.0, 1.0)
        angle = draws[:, 0] * jnp.float32(math.radians(self.degrees))
        inverse = jnp.exp(draws[:, 1] * jnp.float32(math.log1p(self.zoom)))
        cosine, sine = jnp.cos(angle) * inverse, jnp.sin(angle) * inverse
        matrix = jnp.stack([jnp.stack([cosine, -sine], 1), jnp.stack([sine, cosine], 1)], 1)
        return resample(x, matrix, draws[:, 2:] * jnp.asarray([self.shift * height, self.shift * width], jnp.float32))


@dataclass(frozen=True, repr=False)
class Rotate(Augmentation):
    """Turn each picture about its centre.

    Attributes:
        degrees: the angle is uniform in ±degrees, 0 to 180.
    """

    degrees: float = 15.0

    def __post_init__(self) -> None:
        _check(self, "degrees", self.degrees, 180.0)

    def __call__(self, key: Array, x: Array) -> Array:
        return Affine(degrees=self.degrees)(key, x)


@dataclass(frozen=True, repr=False)
class ColorJitter(Augmentation):
    """Change brightness, contrast and saturation: y = μ + c (μₚ + s (x − μₚ) − μ) + b σ.

    μ and σ are the picture's own mean and standard deviation and μₚ each pixel's mean over its channels, so that the
    strengths mean the same however the input is scaled. Grey pictures have no saturation to change.

    Attributes:
        brightness: b is uniform in ± this, in standard deviations of the picture; ≥ 0.
        contrast: c is uniform in 1 ± this, 0 to 1.
        saturation: s is uniform in 1 ± this, 0 to 1.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        _check(self, "brightness", self.brightness, math.inf)
        _check(self, "contrast", self.contrast, 1.0)
        _check(self, "saturation", self.saturation, 1.0)

    def __call__(self, key: Array, x: Array) -> Array:
        draws = jax.random.uniform(key, (3, x.shape[0], 1, 1, 1), jnp.float32, -1.0, 1.0)
        wide = x.astype(jnp.float32)
        mean = wide.mean(axis=(1, 2, 3), keepdims=True)
        square = (wide * wide).mean(axis=(1, 2, 3), keepdims=True)  # in the same pass over the picture as the mean
        spread = jnp.sqrt(jnp.maximum(square - mean * mean, 0.0))
        offset = draws[0] * jnp.float32(self.brightness) * spread
        contrast = 1 + draws[1] * jnp.float32(self.contrast)
        if x.shape[3] > 1 and self.saturation:
            # By slices: XLA:CPU takes ten times as long to reduce so short an axis.
            total = functools.reduce(jnp.add, (wide[..., channel, None] for channel in range(x.shape[3])))
            grey = total / jnp.float32(x.shape[3])
            wide = grey + (1 + draws[2] * jnp.float32(self.saturation)) * (wide - grey)
        changed: Array = (mean + contrast * (wide - mean) + offset).astype(x.dtype)
        return changed


@dataclass(frozen=True, repr=False)
class Cutout(Augmentation):
    """Set a random rectangle of each picture to 0, which is the mean of standardised inputs.

    The rectangle lies wholly inside; its aspect ratio (relative to the picture's) is log-uniform between 1:2 and 2:1,
    less where it would not fit.

    Source: DeVries & Taylor 2017, arXiv:1708.04552; Zhong et al. 2020 (random erasing), arXiv:1708.04896.

    Attributes:
        fraction: of the picture's area, 0 to 1.
        probability: that a picture is changed, 0 to 1.
    """

    fraction: float = 0.1
    probability: float = 0.5

    def __post_init__(self) -> None:
        _check(self, "fraction", self.fraction, 1.0)
        _check(self, "probability", self.probability, 1.0)

    def __call__(self, key: Array, x: Array) -> Array:
        n, height, width, _ = x.shape
        draws = jax.random.uniform(key, (4, n, 1), jnp.float32)
        side = math.sqrt(self.fraction)
        stretch = jnp.exp((2 * draws[0] - 1) * jnp.float32(min(math.log(2) / 2, -math.log(side) if side else 1.0)))
        rows = _interval(height, jnp.float32(side) * stretch, draws[1])
        columns = _interval(width, jnp.float32(side) / stretch, draws[2])
        chosen = draws[3] < self.probability
        cut = (rows & chosen)[:, :, None, None] & columns[:, None, :, None]
        return jnp.where(cut, jnp.zeros((), x.dtype), x)


def resample(x: Array, matrix: Array, offset: Array) -> Array:
    """Bilinear resampling of each picture: output at p is the input at ``matrix @ p + offset``.

    Args:
        x: ``(n, height, width, channels)``.
        matrix: ``(n, 2, 2)``, on (row, column) in pixels from the picture's centre.
        offset: ``(n, 2)``, rows and columns in pixels.
    """
    if 0 in x.shape:
        return x
    _, height, width, _ = x.shape
    down = jnp.arange(height, dtype=jnp.float32)[:, None] - jnp.float32((height - 1) / 2)
    across = jnp.arange(width, dtype=jnp.float32)[None, :] - jnp.float32((width - 1) / 2)

    def place(axis: int, length: int, row: Array, move: Array) -> tuple[Array, Array]:
        at = row[:, 0, None, None] * down + row[:, 1, None, None] * across
        at = jnp.clip(at + move[:, None, None] + jnp.float32((length - 1) / 2), 0.0, jnp.float32(length - 1))
        first = jnp.floor(jnp.minimum(at, jnp.float32(max(length - 2, 0))))
        return first.astype(jnp.int32), at - first

    def places(matrix: Array, offset: Array) -> tuple[Array, ...]:
        return *place(0, height, matrix[:, 0], offset[:, 0]), *place(1, width, matrix[:, 1], offset[:, 1])

    def mix(x: Array, top: Array, lower: Array, left: Array, later: Array) -> Array:
        lower, later = lower[..., None].astype(x.dtype), later[..., None].astype(x.dtype)
        bottom, right = top + min(1, height - 1), left + min(1, width - 1)
        upper = _take(x, top, left) * (1 - later) + _take(x, top, right) * later
        under = _take(x, bottom, left) * (1 - later) + _take(x, bottom, right) * later
        return upper * (1 - lower) + under * lower

    whole = jnp.isfinite(matrix).all() & jnp.isfinite(offset).all()
    found = _apart(places, whole, matrix, offset)
    mixed: Array = _apart(mix, whole, x, *found)
    return mixed


def _apart(function: Callable[..., Any], sure: Array, *arguments: Array) -> Any:
    """``function(*arguments)``, its arguments and results kept in memory, not fused into their readers.

    XLA:CPU fuses whatever feeds a gather into it, so that every one of its many reads computes that anew (a flip
    before a resampling: 5 ms became 15), and drops optimization_barrier before it fuses. A condition it cannot
    foresee keeps the two apart. ``sure`` is that condition: always true, unless there are NaNs about.
    """

    def guarded(*arguments: Array) -> Any:
        shapes = jax.eval_shape(function, *arguments)
        nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        return jax.lax.cond(sure, function, lambda *_: nothing, *arguments)

    return jax.lax.platform_dependent(*arguments, cpu=guarded, default=function)


def _take(x: Array, rows: Array, columns: Array) -> Array:
    """``x[i, rows[i], columns[i]]`` for every example, broadcasting rows against columns."""
    n, height, width, channels = x.shape
    start = jnp.arange(n, dtype=jnp.int32)[:, None, None] * (height * width)
    # A gather over one flat axis, told that it stays inside: a third of the time of take_along_axis on XLA:CPU.
    taken: Array = x.reshape(-1, channels).at[start + rows * width + columns].get(mode="promise_in_bounds")
    return taken


def _interval(length: int, share: Array, draw: Array) -> Array:
    """Masks ``(n, length)``: a run of about ``share`` of the length, starting at random so that it lies inside."""
    size = jnp.clip(jnp.round(share * length), 0, length)
    start = jnp.floor(draw * (length - size + 1))
    at = jnp.arange(length, dtype=jnp.float32)
    return (at >= start) & (at < start + size)


def _check(augmentation: Augmentation, name: str, value: float, most: float) -> None:
    if not 0.0 <= value <= most or not math.isfinite(value):
        bound = "at least 0" if most == math.inf else f"0 to {most:g}"
        raise ConfigError(f"{type(augmentation).__name__}: {name} must be {bound}. Received: {name}={value}.")
