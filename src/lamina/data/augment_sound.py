"""Random changes of spectrograms, made inside the compiled step: each sound draws its own.

All take a batch of standardised log-mel spectrograms ``(n, frames, bands, channels)`` and return one of the same shape
and dtype.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lamina.data.augment import Array, Augmentation, resample
from lamina.errors import ConfigError

__all__ = ["SpecAugment", "Timbre", "Warp"]


@dataclass(frozen=True, repr=False)
class SpecAugment(Augmentation):
    """Set runs of frames and of bands to 0, which is the mean of standardised spectrograms.

    Source: Park et al. 2019, arXiv:1904.08779.
    Departure: no time warping (see `Warp`), and lengths as fractions.

    Attributes:
        time_masks, band_masks: how many runs of either kind; they may overlap.
        time, bands: the longest run, as a fraction of all frames or bands, 0 to 1; lengths are uniform up to it.
    """

    time_masks: int = 2
    time: float = 0.15
    band_masks: int = 2
    bands: float = 0.15

    def __post_init__(self) -> None:
        for name in ("time_masks", "band_masks"):
            if getattr(self, name) < 0:
                raise ConfigError(f"SpecAugment: {name} is at least 0. Received: {name}={getattr(self, name)}.")
        _check(self, "time", 1.0)
        _check(self, "bands", 1.0)

    def __call__(self, key: Array, x: Array) -> Array:
        n, frames, bands, _ = x.shape
        hidden = jnp.zeros((n, frames, bands), bool)
        for index in range(self.time_masks):
            hidden |= _runs(jax.random.fold_in(key, index), n, frames, self.time)[:, :, None]
        for index in range(self.band_masks):
            hidden |= _runs(jax.random.fold_in(key, self.time_masks + index), n, bands, self.bands)[:, None, :]
        return jnp.where(hidden[..., None], jnp.zeros((), x.dtype), x)


@dataclass(frozen=True, repr=False)
class Warp(Augmentation):
    """Move and stretch each spectrogram in time and over its bands: faster and slower, higher and lower voices.

    On the mel scale a longer or shorter vocal tract moves and stretches what is heard over the bands (Jaitly & Hinton
    2013, "Vocal tract length perturbation improves speech recognition", ICML workshop). What comes in from outside
    repeats the nearest edge.

    Attributes:
        time, bands: the stretch is log-uniform between 1 / (1 + this) and 1 + this; ≥ 0.
        time_shift, band_shift: the move is uniform in ± this fraction of the frames or bands, 0 to 1.
    """

    time: float = 0.2
    bands: float = 0.1
    time_shift: float = 0.1
    band_shift: float = 0.05

    def __post_init__(self) -> None:
        for name in ("time", "bands"):
            _check(self, name, math.inf)
        for name in ("time_shift", "band_shift"):
            _check(self, name, 1.0)

    def __call__(self, key: Array, x: Array) -> Array:
        n, frames, bands, _ = x.shape
        draws = jax.random.uniform(key, (n, 4), jnp.float32, -1.0, 1.0)
        stretch = jnp.exp(draws[:, :2] * jnp.asarray([math.log1p(self.time), math.log1p(self.bands)], jnp.float32))
        matrix = stretch[:, :, None] * jnp.eye(2, dtype=jnp.float32)
        move = draws[:, 2:] * jnp.asarray([self.time_shift * frames, self.band_shift * bands], jnp.float32)
        return resample(x, matrix, move)


@dataclass(frozen=True, repr=False)
class Timbre(Augmentation):
    """Another microphone, room and loudness: y = x + g + a s + n, with s from −1 to 1 over the bands.

    Attributes:
        gain, tilt: g and a are uniform in ± this, in standard deviations; ≥ 0.
        noise: n is Gaussian at every place, its deviation uniform up to this; ≥ 0.
    """

    gain: float = 1.0
    tilt: float = 1.0
    noise: float = 0.5

    def __post_init__(self) -> None:
        for name in ("gain", "tilt", "noise"):
            _check(self, name, math.inf)

    def __call__(self, key: Array, x: Array) -> Array:
        n, _, bands, _ = x.shape
        ours, everywhere = jax.random.split(key)
        draws = jax.random.uniform(ours, (3, n, 1, 1, 1), jnp.float32, -1.0, 1.0)
        slope = jnp.linspace(-1.0, 1.0, bands, dtype=jnp.float32)[:, None]
        offset = draws[0] * jnp.float32(self.gain) + draws[1] * jnp.float32(self.tilt) * slope
        noise = jnp.abs(draws[2]) * jnp.float32(self.noise) * jax.random.normal(everywhere, x.shape, jnp.float32)
        changed: Array = (x.astype(jnp.float32) + offset + noise).astype(x.dtype)
        return changed


def _runs(key: Array, n: int, length: int, share: float) -> Array:
    """Masks ``(n, length)``: a run of up to ``share`` of the length at a random place inside."""
    draws = jax.random.uniform(key, (2, n, 1), jnp.float32)
    size = jnp.floor(draws[0] * jnp.float32(share * length + 1))
    start = jnp.floor(draws[1] * (length - size + 1))
    at = jnp.arange(length, dtype=jnp.float32)
    return (at >= start) & (at < start + size)


def _check(augmentation: Augmentation, name: str, most: float) -> None:
    value = getattr(augmentation, name)
    if not 0.0 <= value <= most or not math.isfinite(value):
        bound = "at least 0" if most == math.inf else f"0 to {most:g}"
        raise ConfigError(f"{type(augmentation).__name__}: {name} must be {bound}. Received: {name}={value}.")
