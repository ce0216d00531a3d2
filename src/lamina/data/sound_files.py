"""One sound file → int16 samples of a wanted rate and length. WAV is read here, all else by the soundfile package."""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from lamina.data.media import UnreadableClipError
from lamina.files import why_unopened

__all__ = ["EXTENSIONS", "NEEDS_SOUNDFILE", "Sound", "SoundHeader", "has_soundfile", "read_sound", "read_sound_header"]

_WAV = frozenset({".wav", ".wave"})
_OTHERS = frozenset({".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf"})
EXTENSIONS = _WAV | _OTHERS
NEEDS_SOUNDFILE = "it needs the package soundfile: pip install 'lamina[sound]'"
_NO_SOUND = "it is not a sound (WAV, FLAC, Ogg, MP3 or AIFF)"
_MAGIC = frozenset({b"RIFF", b"fLaC", b"OggS", b"ID3\x03", b"ID3\x04", b"FORM", b".snd", b"caff"})
Sound: TypeAlias = str | os.PathLike[str] | bytes

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN_SIZE = 0xFFFF_FF00  # and above: written by a program that could not go back to fill in the length
_MOST_CHANNELS, _MOST_RATE = 64, 1_000_000


@dataclass(frozen=True)
class SoundHeader:
    """What a sound file says of itself.

    Attributes:
        rate: samples a second, of each channel.
        samples: of each channel.
        channels: 2 for stereo.
        encoding: such as "16-bit".
    """

    rate: int
    samples: int
    channels: int
    encoding: str

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.rate


@dataclass(frozen=True)
class _Wav:
    header: SoundHeader
    start: int  # of the samples, bytes from the beginning of the file
    width: int  # bytes a sample
    floating: bool


class _ForeignError(Exception):
    """A file that is no WAV of whole or floating-point numbers."""


def has_soundfile() -> bool:
    """Whether the optional package that reads FLAC, Ogg, MP3 and others is installed."""
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError):  # the latter where its library is missing
        return False
    return True


def read_sound_header(sound: Sound) -> SoundHeader:
    """Rate, length, channels and encoding, without reading the samples.

    Raises:
        UnreadableClipError: with a plain reason: empty, cut short, no sound, no permission, soundfile is missing.
    """
    with _plain_errors(sound), _opened(sound) as (stream, size):
        try:
            return _wav(stream, size).header
        except _ForeignError:
            stream.seek(0)
            return _foreign_header(stream)


def read_sound(sound: Sound, rate: int, samples: int) -> np.ndarray:
    """A sound as int16 ``(samples,)``: the mean of its channels at ``rate``, its loudest sample at full scale.

    A longer sound is cut to its middle, a shorter one has zeros on both sides. Another rate is converted by a
    polyphase filter (`scipy.signal.resample_poly`). Silence stays silence.

    Args:
        sound: a path, or the bytes of a file.
        rate: samples a second.
        samples: how many are wanted.

    Raises:
        UnreadableClipError: as `read_sound_header`; for samples that are not numbers.
    """
    with _plain_errors(sound), _opened(sound) as (stream, size):
        try:
            wav = _wav(stream, size)
        except _ForeignError:
            stream.seek(0)
            return fit_samples(*_foreign_middle(stream, samples / rate), rate, samples)
        return fit_samples(_wav_middle(stream, wav, samples / rate), wav.header.rate, rate, samples)


def fit_samples(wave: np.ndarray, own_rate: int, rate: int, samples: int) -> np.ndarray:
    """Samples ``(n,)`` or ``(n, channels)``, float, at ``own_rate`` → int16 ``(samples,)`` as `read_sound` gives them.

    Raises:
        ValueError: for samples that are not finite.
    """
    mono = wave.mean(axis=1) if wave.ndim == 2 else wave
    if not np.isfinite(mono).all():
        raise ValueError("it has samples that are not numbers")
    if own_rate != rate:
        from scipy.signal import resample_poly  # here, for it takes a while to import

        common = math.gcd(own_rate, rate)
        mono = resample_poly(mono.astype(np.float64), rate // common, own_rate // common)
    start = max(len(mono) - samples, 0) // 2
    mono = mono[start : start + samples]
    peak = float(np.abs(mono).max(initial=0.0))
    whole = np.zeros(samples, np.int16)
    first = (samples - len(mono)) // 2
    if peak > 0:
        whole[first : first + len(mono)] = np.rint(mono * (32767 / peak)).astype(np.int16)
    return whole


def _wav(stream: IO[bytes], size: int) -> _Wav:
    """Where the samples of a WAV file lie, and what they are."""
    if size == 0:
        raise ValueError("the file is empty")
    head = stream.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise _ForeignError
    form = b""
    while True:
        chunk = stream.read(8)
        if len(chunk) < 8:
            raise EOFError
        name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        if name == b"data":
            break
        if name == b"fmt ":
            form = stream.read(min(length, 64))
            stream.seek(length - len(form) + length % 2, os.SEEK_CUR)
        else:
            stream.seek(length + length % 2, os.SEEK_CUR)
    if len(form) < 16:
        raise ValueError("the file is damaged")
    tag, channels, rate, _, block, bits = struct.unpack("<HHIIHH", form[:16])
    if tag == _EXTENSIBLE and len(form) >= 26:
        tag = struct.unpack("<H", form[24:26])[0]
    if (tag, bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}:
        raise _ForeignError
    if not 1 <= channels <= _MOST_CHANNELS or not 1 <= rate <= _MOST_RATE or block != channels * bits // 8:
        raise ValueError("the file is damaged")
    start = stream.tell()
    if length >= _UNKNOWN_SIZE:
        length = size - start
    if length > size - start:
        raise EOFError
    if length < block:
        raise ValueError("it holds no samples")
    encoding = f"{bits}-bit" + (" floating-point" if tag == _FLOAT else "")
    return _Wav(SoundHeader(rate, length // block, channels, encoding), start, bits // 8, tag == _FLOAT)


def _wav_middle(stream: IO[bytes], wav: _Wav, seconds: float) -> np.ndarray:
    """The middle ``seconds`` of a WAV file, float32 ``(n, channels)``."""
    header = wav.header
    first, count = _middle(header, seconds)
    block = header.channels * wav.width
    stream.seek(wav.start + first * block)
    data = stream.read(count * block)
    if len(data) < count * block:
        raise EOFError
    return _numbers(data, wav.width, wav.floating).reshape(count, header.channels)


def _numbers(data: bytes, width: int, floating: bool) -> np.ndarray:
    """The samples of a WAV file's bytes as floating-point numbers, whole ones as -1…1."""
    if floating:
        return np.frombuffer(data, f"<f{width}")
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if width == 3:  # into the upper three bytes of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        whole = wide.reshape(-1).view("<i4")
    else:
        whole = np.frombuffer(data, f"<i{width}")
    return whole.astype(np.float32) / np.float32(2.0 ** (8 * whole.itemsize - 1))


def _foreign_header(stream: IO[bytes]) -> SoundHeader:
    soundfile = _soundfile(stream)
    with soundfile.SoundFile(stream) as file:
        if file.frames < 1:
            raise ValueError("it holds no samples")
        return SoundHeader(file.samplerate, file.frames, file.channels, f"{file.format} {file.subtype}")


def _foreign_middle(stream: IO[bytes], seconds: float) -> tuple[np.ndarray, int]:
    soundfile = _soundfile(stream)
    with soundfile.SoundFile(stream) as file:
        if file.frames < 1:
            raise ValueError("it holds no samples")
        header = SoundHeader(file.samplerate, file.frames, file.channels, file.subtype)
        first, count = _middle(header, seconds)
        file.seek(first)
        read = file.read(count, dtype="float32", always_2d=True)
        if len(read) < count and file.format == "FLAC":  # others only estimate their length
            raise EOFError
        return read, header.rate


def _soundfile(stream: IO[bytes]) -> Any:
    try:
        import soundfile
    except (ImportError, OSError):
        known = stream.read(4) in _MAGIC
        raise ValueError(NEEDS_SOUNDFILE if known else _NO_SOUND) from None
    return soundfile


def _middle(header: SoundHeader, seconds: float) -> tuple[int, int]:
    """The first sample and the number of samples of a sound's middle: a long recording is never read whole."""
    count = min(header.samples, math.ceil(seconds * header.rate - 1e-6))
    return (header.samples - count) // 2, count


@contextmanager
def _opened(sound: Sound) -> Iterator[tuple[IO[bytes], int]]:
    """A file, or bytes, as a stream with its size."""
    if isinstance(sound, bytes):
        yield io.BytesIO(sound), len(sound)
        return
    with Path(sound).open("rb") as stream:
        yield stream, os.fstat(stream.fileno()).st_size


@contextmanager
def _plain_errors(sound: Sound) -> Iterator[None]:
    try:
        yield
    # A hostile file can make a decoder raise nearly anything.
    except Exception as error:
        name = "given as bytes" if isinstance(sound, bytes) else os.fspath(sound)
        raise UnreadableClipError("sound", name, _reason(error)) from None


def _reason(error: Exception) -> str:
    if (unopened := why_unopened(error)) is not None:
        return unopened
    if isinstance(error, EOFError):
        return "the file is cut short"
    if isinstance(error, ValueError) and type(error) is ValueError:
        return str(error)
    text = str(error).lower()
    if "not recognised" in text or "unknown format" in text:
        return _NO_SOUND
    return "the file is damaged"
