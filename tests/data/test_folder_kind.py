"""Folders of pictures, sounds and videos are told apart by what lies in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lamina.data.folder_kind import kind_of_folder

from .clips import moving, write_gif, write_sounds, write_videos


def pictures(folder: Path, names: tuple[str, ...] = ("a", "b"), count: int = 4) -> None:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            moving(True, seed=number)[0].save(folder / name / f"{number}.png")


def still_gifs(folder: Path) -> None:
    for name in "ab":
        for number in range(4):
            write_gif(folder / name / f"{number}.gif", moving(True, 1, seed=number))


def nested_pictures(folder: Path) -> None:
    for name in ("a/2019", "b/2020"):
        (folder / name).mkdir(parents=True)
        for number in (17, 18, 25):
            moving(True, seed=number)[0].save(folder / name / f"IMG_{number}.png")


def sounds_with_covers(folder: Path) -> None:
    write_sounds(folder, 5)
    pictures(folder, ("low",), 2)


def pictures_with_a_sound(folder: Path) -> None:
    pictures(folder)
    write_sounds(folder, 1, ("a",))


def parts(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def both(folder: Path) -> None:
        make(folder / "train")
        make(folder / "test")

    return both


def loose_sounds(folder: Path) -> None:
    write_sounds(folder.parent / "elsewhere", 3)
    for path in (folder.parent / "elsewhere").rglob("*.wav"):
        path.rename(folder / path.name)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (pictures, "images"),
        (parts(pictures), "images"),
        (nested_pictures, "images"),
        (still_gifs, "images"),
        (write_sounds, "sounds"),
        (parts(write_sounds), "sounds"),
        (sounds_with_covers, "sounds"),
        (pictures_with_a_sound, "images"),
        (loose_sounds, "sounds"),
        (write_videos, "videos"),
        (parts(write_videos), "videos"),
        (lambda folder: write_videos(folder, folders=True), "videos"),
        (parts(lambda folder: write_videos(folder, folders=True)), "videos"),
        (lambda folder: None, "images"),
    ],
)
def test_a_folder_is_what_most_of_its_files_are(make: Callable[[Path], object], kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)
    assert kind_of_folder(str(folder)) == kind
