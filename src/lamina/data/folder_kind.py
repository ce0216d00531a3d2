"""What a folder with a sub-folder a class holds: pictures, sounds or videos. Told from names, and a few files."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from typing import Literal, TypeAlias

from lamina.data.decode import EXTENSIONS as PICTURES
from lamina.data.image_files import folders_and_files, given_parts
from lamina.data.sound_files import EXTENSIONS as SOUNDS
from lamina.data.video_files import ANIMATED, is_animated, is_frame_folder

__all__ = ["FolderKind", "kind_of_folder"]

FolderKind: TypeAlias = Literal["images", "sounds", "videos"]
_CLASSES, _FILES, _INNER, _OPENED = 50, 200, 8, 4  # looked at: of a folder, of a class, of a class, of a class


def kind_of_folder(folder: str) -> FolderKind:
    """What most of the files in the folders of classes are; "images" where there is nothing to go by.

    A folder below a class's is a video where its pictures are numbered from 0 or 1 without a gap. GIF and WebP files
    are videos where they hold more than one frame. Only some files of each class are looked at.
    """
    names, loose = folders_and_files(folder)
    roots = given_parts(folder, names)
    classes = [
        os.path.join(folder, root, name)
        for root in (roots or [""])
        for name in (sorted(folders_and_files(os.path.join(folder, root))[0]) if root else sorted(names))
    ]
    votes: Counter[str] = Counter()
    for place in classes[:_CLASSES]:
        votes += _votes(place)
    if not classes:
        votes += _of_files(folder, loose[:_FILES])
    if votes["sounds"] > max(votes["images"], votes["videos"]):
        return "sounds"
    return "videos" if votes["videos"] > votes["images"] else "images"


def _votes(folder: str) -> Counter[str]:
    """How many of a class's examples are what; one is a file, or a folder of frames."""
    files: list[str] = []
    inner: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in itertools.islice((entry for entry in entries if not entry.name.startswith(".")), _FILES):
                (inner if entry.is_dir() else files).append(entry.name)
    except OSError:  # told of where the folder is read
        return Counter()
    votes = _of_files(folder, files)
    for name in sorted(inner)[:_INNER]:
        place = os.path.join(folder, name)
        try:
            within = os.listdir(place)
        except OSError:
            continue
        if is_frame_folder(place, within):
            votes["videos"] += 1
        else:
            votes += _of_files(place, within[:_FILES])
    return votes


def _of_files(folder: str, names: list[str]) -> Counter[str]:
    endings = [os.path.splitext(name)[1].lower() for name in names]
    sounds = sum(ending in SOUNDS for ending in endings)
    pictures = sum(ending in PICTURES for ending in endings)
    perhaps = sorted(name for name, ending in zip(names, endings, strict=True) if ending in ANIMATED)
    opened = perhaps[:_OPENED]
    moving = sum(is_animated(os.path.join(folder, name)) for name in opened)
    videos = round(len(perhaps) * moving / len(opened)) if opened else 0
    return Counter({"sounds": sounds, "videos": videos, "images": pictures - videos})
