"""Small sound and video files for the tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def tone(hertz: float, seconds: float = 0.3, rate: int = 8000, seed: int = 0) -> np.ndarray:
    """A sine with a little noise, float64 −1…1."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(size=len(time))
    return 0.5 * np.sin(2 * np.pi * hertz * time) + 0.01 * noise


def wav_bytes(samples: np.ndarray, rate: int = 8000, kind: str = "<i2", extensible: bool = False) -> bytes:
    """A WAV file of samples −1…1 ``(n,)`` or ``(n, channels)`` as "u1", "<i2", "<i3", "<i4", "<f4" or "<f8"."""
    table = samples[:, None] if samples.ndim == 1 else samples
    width = int(kind[-1])
    floating = "f" in kind
    if floating:
        data = table.astype(kind).tobytes()
    elif kind == "u1":
        data = np.clip(np.rint(table * 128) + 128, 0, 255).astype(np.uint8).tobytes()
    else:
        whole = np.clip(np.rint(table * 2.0 ** (8 * width - 1)), -(2.0 ** (8 * width - 1)), 2.0 ** (8 * width - 1) - 1)
        wide = whole.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :width]
        data = wide.tobytes()
    channels = table.shape[1]
    tag, code = (3 if floating else 1), (0xFFFE if extensible else 3 if floating else 1)
    form = struct.pack("<HHIIHH", code, channels, rate, rate * channels * width, channels * width, 8 * width)
    if extensible:
        form += struct.pack("<HHIH", 22, 8 * width, 0, tag) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    chunks = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # of odd length, so a byte is left out after it
    chunks += b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def write_sounds(folder: Path, count: int = 10, names: Sequence[str] = ("high", "low"), rate: int = 8000) -> Path:
    """A folder of tones: each class another pitch, each of five speakers ("a" to "e") a little off it."""
    for place, label in enumerate(names):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            speaker = "abcde"[number % 5]
            pitch = (1500 if place == 0 else 300 * place) * (1 + 0.02 * (number % 5))
            samples = tone(pitch, 0.3 + 0.01 * (number % 3), rate, seed=100 * place + number)
            (folder / label / f"{label}_{speaker}_{number}.wav").write_bytes(wav_bytes(samples, rate))
    return folder


def moving(right: bool, frames: int = 6, side: int = 12, seed: int = 0, colour: bool = False) -> list[Image.Image]:
    """A bright square on its way to the right, or to the left."""
    random = np.random.default_rng(seed)
    top = int(random.integers(0, side - 4))
    pictures = []
    for time in range(frames):
        left = round(time * (side - 4) / max(frames - 1, 1))
        pixels = random.integers(0, 40, (side, side, 3 if colour else 1), np.uint8)
        pixels[top : top + 4, left if right else side - 4 - left :][:, :4] = (250, 120, 60) if colour else 250
        pictures.append(Image.fromarray(pixels if colour else pixels[..., 0]))
    return pictures


def write_gif(path: Path, pictures: Sequence[Image.Image]) -> Path:
    """An animated GIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50, loop=0)
    return path


def write_videos(
    folder: Path, count: int = 10, frames: int = 6, *, folders: bool = False, colour: bool = False
) -> Path:
    """A folder with animated GIFs, or frame folders, of squares that go to the left or to the right."""
    for right in (False, True):
        for number in range(count):
            pictures = moving(right, frames, seed=2 * number + right, colour=colour)
            place = folder / ("right" if right else "left") / f"{number:02}"
            if folders:
                place.mkdir(parents=True)
                for time, picture in enumerate(pictures, 1):
                    picture.save(place / f"frame{time}.png")
            else:
                write_gif(place.with_suffix(".gif"), pictures)
    return folder
