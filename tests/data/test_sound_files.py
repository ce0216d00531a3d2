"""Reading sound files: encodings, rates, channels, what is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from lamina.data import sound_files
from lamina.data.media import UnreadableClipError
from lamina.data.sound_files import NEEDS_SOUNDFILE, read_sound, read_sound_header

from .clips import tone, wav_bytes


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("kind", "encoding", "precision"),
    [
        ("u1", "8-bit", 1 / 100),
        ("<i2", "16-bit", 1e-4),
        ("<i3", "24-bit", 4e-5),
        ("<i4", "32-bit", 4e-5),
        ("<f4", "32-bit floating-point", 4e-5),
        ("<f8", "64-bit floating-point", 4e-5),
    ],
)
def test_every_encoding_gives_the_same_sound(kind: str, encoding: str, precision: float, extensible: bool) -> None:
    samples = tone(440, 0.1)
    data = wav_bytes(samples, kind=kind, extensible=extensible)
    header = read_sound_header(data)
    assert (header.rate, header.samples, header.channels, header.encoding) == (8000, 800, 1, encoding)
    assert header.seconds == pytest.approx(0.1)
    read = read_sound(data, 8000, 800)
    assert read.dtype == np.int16
    assert np.abs(read).max() == 32767
    np.testing.assert_allclose(read / 32767, samples / np.abs(samples).max(), atol=2 * precision)


def test_channels_are_averaged() -> None:
    left, right = tone(300, 0.05), tone(900, 0.05, seed=1)
    read = read_sound(wav_bytes(np.stack([left, right], axis=1), kind="<f4"), 8000, 400)
    mean = (left + right) / 2
    np.testing.assert_allclose(read / 32767, mean / np.abs(mean).max(), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_another_rate_is_converted(rate: int) -> None:
    samples = tone(440, 0.2, rate)
    read = read_sound(wav_bytes(samples, rate, "<f8"), 16000, 3200)
    common = np.gcd(rate, 16000)
    expected = resample_poly(samples, 16000 // common, rate // common)[:3200]
    np.testing.assert_allclose(read / 32767, expected / np.abs(expected).max(), atol=1e-4)
    spectrum = np.abs(np.fft.rfft(read))
    assert spectrum.argmax() * 16000 / 3200 == pytest.approx(440, abs=5)


def test_a_long_sound_is_cut_to_its_middle_and_a_short_one_has_silence_on_both_sides() -> None:
    ramp = np.linspace(-1, 1, 1001)
    middle = read_sound(wav_bytes(ramp, kind="<f8"), 8000, 101)
    np.testing.assert_allclose(middle / 32767, ramp[450:551] / 0.1, atol=1e-4)
    short = read_sound(wav_bytes(np.ones(10) / 2), 8000, 30)
    assert short.tolist() == [0] * 10 + [32767] * 10 + [0] * 10


def test_silence_stays_silence() -> None:
    assert not read_sound(wav_bytes(np.zeros(100)), 8000, 50).any()


def test_a_length_that_was_never_filled_in_is_the_rest_of_the_file() -> None:
    data = wav_bytes(tone(440, 0.01))
    streamed = data.replace(b"data\xa0\0\0\0", b"data\xff\xff\xff\xff")
    assert streamed != data
    assert read_sound_header(streamed).samples == 80


WHOLE = wav_bytes(tone(440, 0.1))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (WHOLE[:-300], "the file is cut short"),
        (WHOLE[:20], "the file is cut short"),
        (WHOLE[:12], "the file is cut short"),
        (wav_bytes(np.zeros(0)), "it holds no samples"),
        (b"hello, I am a text", "it is not a sound"),
        (WHOLE.replace(b"\x01\0\x01\0\x40\x1f", b"\x01\0\0\0\x40\x1f"), "the file is damaged"),
        (wav_bytes(np.full(50, np.nan), kind="<f4"), "it has samples that are not numbers"),
    ],
)
def test_what_is_broken_is_told_in_a_few_words(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    with pytest.raises(UnreadableClipError, match=rf"Cannot read the sound .*x\.wav: {words}"):
        read_sound(path, 8000, 100)
    with pytest.raises(UnreadableClipError, match=f"given as bytes: {words}"):
        read_sound(data, 8000, 100)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableClipError, match="there is no such file"):
        read_sound_header(tmp_path / "nothing.wav")
    with pytest.raises(UnreadableClipError, match="it is a folder"):
        read_sound_header(tmp_path)


@pytest.mark.parametrize(("ending", "rate"), [("flac", 8000), ("ogg", 16000), ("aiff", 11025)])
def test_others_are_read_by_soundfile(tmp_path: Path, ending: str, rate: int) -> None:
    soundfile = pytest.importorskip("soundfile")
    samples = tone(440, 0.5, rate)
    path = tmp_path / f"x.{ending}"
    soundfile.write(path, np.stack([samples, samples], axis=1), rate)
    header = read_sound_header(path)
    assert (header.rate, header.samples, header.channels) == (rate, len(samples), 2)
    read, expected = read_sound(path, 8000, 4000), read_sound(wav_bytes(samples, rate), 8000, 4000)
    assert np.corrcoef(read, expected)[0, 1] > 0.99


def test_a_flac_that_was_cut_is_told(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "x.flac"
    soundfile.write(path, np.random.default_rng(0).normal(size=20000) / 4, 8000)
    path.write_bytes(path.read_bytes()[:15000])
    with pytest.raises(UnreadableClipError, match=r"cut short|damaged"):
        read_sound(path, 8000, 20000)


def test_without_soundfile_a_flac_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert not sound_files.has_soundfile()
    with pytest.raises(UnreadableClipError, match=r"pip install 'lamina\[sound\]'") as caught:
        read_sound_header(b"fLaC and more")
    assert caught.value.reason == NEEDS_SOUNDFILE
    with pytest.raises(UnreadableClipError, match="it is not a sound"):
        read_sound_header(b"neither nor")
