"""Folders of sounds and videos from the command line: train, predict, evaluate, and what is refused."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import NETWORK, Command


def write_tone(path: Path, hertz: float, seed: int, rate: int = 4000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(rate // 5) / rate
    samples = 8000 * np.sin(2 * np.pi * hertz * time) + np.random.default_rng(seed).normal(size=len(time)) * 100
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def write_sounds(folder: Path, count: int = 20) -> Path:
    for place, label in enumerate(("deep", "high")):
        for number in range(count):
            path = folder / label / f"{label}_{'abcde'[number % 5]}_{number}.wav"
            write_tone(path, 300 + 900 * place + 10 * (number % 5), 100 * place + number)
    return folder


def write_videos(folder: Path, count: int = 12) -> Path:
    for right, label in enumerate(("left", "right")):
        for number in range(count):
            frames = []
            for time in range(4):
                pixels = np.random.default_rng(100 * right + 10 * number + time).integers(0, 40, (8, 8), np.uint8)
                place = 2 * time if right else 6 - 2 * time
                pixels[number % 6 : number % 6 + 2, place : place + 2] = 250
                frames.append(Image.fromarray(pixels))
            path = folder / label / f"{number}.gif"
            path.parent.mkdir(parents=True, exist_ok=True)
            frames[0].save(path, save_all=True, append_images=frames[1:])
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK)
    return tmp_path


@pytest.mark.usefixtures("real_report")
def test_sounds_are_learned_and_told_apart(lamina: Command, place: Path) -> None:
    write_sounds(place / "sounds")
    options = ("--group", "_([a-e])_", "--arch", "net.py", "--epochs", "12", "--lr", "0.01", "--seed", "0")
    done = lamina("train", "sounds", *options, "--json")
    assert done.code == 0, done.err
    told = done.json
    assert told["classes"] == ["deep", "high"]
    assert told["test"]["accuracy"] == 1.0
    assert "sounds, 2 classes" in done.err
    assert "whole groups, told apart by '_([a-e])_' in the names: train" in done.err
    assert "Each sound is 0.20 s to the network" in done.err
    page = Path(told["report"]).read_text()
    assert page.count("data:image/png") >= 8  # the spectrograms of the sample predictions
    assert "Each sound is 0.20 s to the network" in page

    write_tone(place / "new" / "one.wav", 310, 7)
    write_tone(place / "new" / "two.wav", 1180, 8, rate=6000)
    (place / "new" / "empty.wav").write_bytes(b"")
    said = lamina("predict", told["model"], "new/one.wav", "new", "--json")
    assert [(row["input"], row["label"]) for row in said.json["predictions"]] == [
        ("new/one.wav", "deep"), ("new/one.wav", "deep"), ("new/two.wav", "high"),
    ]  # fmt: skip
    assert said.json["skipped"] == [{"input": "new/empty.wav", "reason": "the file is empty"}]
    measured = lamina("evaluate", told["model"], "sounds", "--json").json
    assert measured["examples"] == 40
    assert lamina("predict", told["model"], "net.py", "--json").code == 2
    refused = lamina("explain", told["model"], "new/one.wav", "--json")
    assert refused.code == 2
    assert "does not look at pictures: its input is sound data" in refused.json["error"]["message"]


@pytest.mark.usefixtures("real_report")
def test_videos_are_learned_and_told_apart(lamina: Command, place: Path) -> None:
    write_videos(place / "clips")
    done = lamina("train", "clips", "--arch", "net.py", "--epochs", "12", "--lr", "0.01", "--json")
    assert done.code == 0, done.err
    told = done.json
    assert told["test"]["accuracy"] == 1.0
    assert "videos, 2 classes" in done.err
    assert "4 × 8 × 8 × 1 numbers an example" in done.err
    assert Path(told["report"]).read_text().count("data:image/png") >= 2
    said = lamina("predict", told["model"], "clips/left/0.gif", "--json").json
    assert said["predictions"][0]["label"] == "left"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("sounds", "--group", "_([0-9"), "is no regular expression"),
        (("sounds", "--group", "nobody"), "is not found in 40 of 40 names"),
        (("sounds", "--target", "x"), "A target column is for tables"),
        (("sounds", "--size", "32"), "A size is for pictures and videos"),
        (("sounds", "--task", "regress"), "not possible with these sounds"),
        (("digits", "--group", "x"), "Groups are told from the names of files"),
        (("sounds/deep", ), "has files but no sub-folders"),
        (("sounds/deep/deep_a_0.wav",), "Give a folder with one sub-folder of sounds a class"),
    ],
)  # fmt: skip
def test_what_sounds_have_no_use_for_is_refused(
    lamina: Command, place: Path, options: tuple[str, ...], words: str
) -> None:
    write_sounds(place / "sounds")
    done = lamina("train", *options, "--json")
    assert done.code == 2
    error = done.json["error"]
    assert words in error["message"] + " " + error["hint"]
    assert not (place / "runs").exists()


def test_the_pattern_in_the_help_keeps_its_brackets(lamina: Command) -> None:
    done = lamina("train", "--help")
    assert "--group '_([a-z]+)_'" in done.out
