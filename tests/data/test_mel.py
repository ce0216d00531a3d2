"""Log-mel spectrograms against scipy's short-time Fourier transform and the HTK book's formula."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from lamina.data import mel

SETTINGS = [
    {"rate": 8000, "window": 200, "hop": 80, "bands": 40, "low": 0.0, "high": 4000.0},
    {"rate": 16000, "window": 400, "hop": 160, "bands": 64, "low": 50.0, "high": 7600.0},
    {"rate": 11025, "window": 276, "hop": 110, "bands": 40, "low": 0.0, "high": 5512.5},
    {"rate": 100, "window": 8, "hop": 8, "bands": 3, "low": 1.0, "high": 50.0},
]


def reference(x: np.ndarray, *, rate: int, window: int, hop: int, bands: int, low: float, high: float) -> np.ndarray:
    """Power in mel bands, ``(frames, bands)``, one frequency of one band after the other."""
    size = 2 ** math.ceil(math.log2(window))
    hann = signal.get_window("hann", window)
    options = {"noverlap": window - hop, "nfft": size, "detrend": False, "boundary": None, "padded": False}
    frequencies, _, waves = signal.stft(x, rate, hann, window, **options)
    spectrum = np.abs(waves.T * hann.sum()) ** 2
    mels = np.linspace(2595 * math.log10(1 + low / 700), 2595 * math.log10(1 + high / 700), bands + 2)
    edges = [700 * (10 ** (m / 2595) - 1) for m in mels]
    power = np.zeros((len(spectrum), bands))
    for band in range(bands):
        left, centre, right = edges[band : band + 3]
        for place, frequency in enumerate(frequencies):
            if left < frequency <= centre:
                power[:, band] += spectrum[:, place] * (frequency - left) / (centre - left)
            elif centre < frequency < right:
                power[:, band] += spectrum[:, place] * (right - frequency) / (right - centre)
    return power


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: f"{settings['rate']} Hz")
def test_log_mel_is_scipys_spectrum_through_htks_bands(settings: dict[str, float]) -> None:
    random = np.random.default_rng(0)
    rate = int(settings["rate"])
    time = np.arange(rate) / rate
    x = np.stack(
        [random.normal(size=rate), np.sin(2 * np.pi * rate / 20 * time), np.exp(-5 * time) * random.normal(size=rate)]
    )
    found = np.asarray(jax.jit(lambda x: mel.log_mel(x, **settings, decibels=60.0))(jnp.asarray(x, jnp.float32)))  # type: ignore[arg-type]
    assert found.dtype == np.float32
    for one, sound in zip(found, x, strict=True):
        power = reference(sound, **settings)[: len(one)]  # type: ignore[arg-type]
        expected = np.log10(np.maximum(power / power.max(), 1e-6))
        np.testing.assert_allclose(one, expected, atol=2e-3)


def test_every_band_holds_a_frequency() -> None:
    for settings in SETTINGS:
        rate, bands = int(settings["rate"]), int(settings["bands"])
        filters = mel.mel_bands(
            rate, mel.transform_size(int(settings["window"])), bands, settings["low"], settings["high"]
        )
        assert (filters.max(axis=0) > 0).all()
        assert filters.max() <= 1


def test_the_mel_scale_and_its_inverse() -> None:
    assert mel.to_mel(1000) == pytest.approx(1000, abs=0.1)
    hertz = np.linspace(0, 8000, 50)
    np.testing.assert_allclose(mel.from_mel(mel.to_mel(hertz)), hertz, atol=1e-6)


def test_loudness_does_not_count_and_silence_is_at_the_floor() -> None:
    settings = SETTINGS[0]
    x = np.random.default_rng(0).normal(size=(1, 2000)).astype(np.float32)
    both = mel.log_mel(jnp.asarray(np.concatenate([x, x / 1000, 0 * x])), **settings, decibels=60.0)  # type: ignore[arg-type]
    np.testing.assert_allclose(both[1], both[0], atol=1e-5)
    np.testing.assert_array_equal(both[2], -6.0)
    assert float(both[0].max()) == 0.0


def test_frames_lie_wholly_inside() -> None:
    assert mel.frames_of(800, 200, 80) == 8
    for samples in (240, 250, 319, 320):
        found = mel.log_mel(jnp.ones((1, samples), jnp.float32), **SETTINGS[0], decibels=60.0)  # type: ignore[arg-type]
        assert found.shape == (1, mel.frames_of(samples, 200, 80), 40)
