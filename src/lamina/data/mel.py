"""Log-mel spectrograms inside the compiled program: framing, window, Fourier transform, mel bands, logarithm."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["frames_of", "from_mel", "log_mel", "mel_bands", "to_mel", "transform_size"]

_TINY = 1e-20  # power below which there is silence


def to_mel(hertz: Any) -> Any:
    """The mel scale of O'Shaughnessy 1987 and of HTK, m = 2595 log10(1 + f / 700)."""
    return 2595.0 * np.log10(1.0 + np.asarray(hertz, np.float64) / 700.0)


def from_mel(mel: Any) -> Any:
    """The inverse of `to_mel`, f = 700 (10^(m / 2595) − 1)."""
    return 700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0)


def transform_size(window: int) -> int:
    """Points of the Fourier transform: the next power of two, filled up with zeros."""
    return 1 << max(window - 1, 0).bit_length()


@functools.lru_cache(maxsize=16)
def mel_bands(rate: int, size: int, bands: int, low: float, high: float) -> np.ndarray:
    """Triangular filters, float64 ``(size // 2 + 1, bands)``.

    Band b rises linearly (over frequency) from 0 at edge b to 1 at edge b + 1 and falls to 0 at edge b + 2, the
    bands + 2 edges being equally spaced on the mel scale from ``low`` to ``high`` hertz.

    Source: Davis & Mermelstein 1980, IEEE Transactions on Acoustics, Speech and Signal Processing 28:357-366; the
    form is that of the HTK book.
    """
    edges = from_mel(np.linspace(to_mel(low), to_mel(high), bands + 2))
    frequencies = np.arange(size // 2 + 1)[:, None] * (rate / size)
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters: np.ndarray = np.maximum(0.0, np.minimum(rising, falling))
    return filters


def frames_of(samples: int, window: int, hop: int) -> int:
    """How many frames of ``⌈window / hop⌉`` hops lie in so many samples."""
    return samples // hop - math.ceil(window / hop) + 1


def log_mel(
    x: jax.Array, *, rate: int, window: int, hop: int, bands: int, low: float, high: float, decibels: float
) -> jax.Array:
    """The log-mel spectrogram of each sound, relative to its own loudest place.

    With p the power of the Hann-windowed frame's Fourier transform summed over each mel band, and P the sound's
    largest p: y = log10(max(p / P, 10^(−decibels / 10))), so that neither loudness nor what lies below the floor
    counts. Silence is at the floor everywhere.

    Source: the floor below the maximum as in Radford et al. 2022, arXiv:2212.04356 (there 80 dB).

    Args:
        x: ``(n, samples)``, any scale.
        rate: samples a second.
        window, hop: samples in a frame, and from one frame to the next.
        bands: how many.
        low, high: hertz, the ends of the lowest and the highest band.
        decibels: from the maximum down to the floor.

    Returns:
        float32 ``(n, frames, bands)``, from −decibels / 10 to 0.
    """
    size = transform_size(window)
    frames, parts = frames_of(x.shape[1], window, hop), math.ceil(window / hop)
    wide = x.astype(jnp.float32) / jnp.float32(32768)
    blocks = wide[:, : (frames + parts - 1) * hop].reshape(x.shape[0], frames + parts - 1, hop)
    framed = jnp.concatenate([blocks[:, part : part + frames] for part in range(parts)], axis=2)
    hann = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(window) / window)
    waves = jnp.fft.rfft(framed[:, :, :window] * jnp.asarray(hann, jnp.float32), size)
    filters = jnp.asarray(mel_bands(rate, size, bands, low, high), jnp.float32)
    power = jnp.matmul(jnp.square(waves.real) + jnp.square(waves.imag), filters, precision=lax.Precision.HIGHEST)
    loudest = jnp.maximum(power.max(axis=(1, 2), keepdims=True), jnp.float32(_TINY))
    floor = jnp.float32(10.0 ** (-decibels / 10))
    return jnp.log10(jnp.maximum(power / loudest, floor))
