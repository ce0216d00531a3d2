"""Data sets that are known by name. Each has one fixed split, whatever the seed."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import numpy as np

from lamina.data.arrays import duplicate_groups, load_array_split, load_arrays
from lamina.data.base import ArraySplit, Data, DataCard, Preprocessing, Target
from lamina.data.idx import find_idx, read_idx_folder
from lamina.data.splits import divide
from lamina.errors import DataError

__all__ = ["BUILTIN", "builtin_parts", "load_builtin", "load_builtin_split", "usual_places"]

_SEED = 0  # of the parts that are split off: fixed, so that scores of different runs compare
_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_CLASSES = {"digits": _DIGITS, "fashion-mnist": _CLOTHES, "mnist": _DIGITS}
_HELP = {
    "fashion-mnist": "On Debian and Ubuntu: apt install dataset-fashion-mnist. Elsewhere put the four files there.",
    "mnist": "Put its four files there, train-images-idx3-ubyte.gz and so on.",
}
BUILTIN = tuple(_CLASSES)

Parts = dict[str, tuple[np.ndarray, np.ndarray]]


def load_builtin(
    name: str, *, task: str = "auto", scale: str = "auto", preprocessing: Preprocessing | None = None
) -> Data:
    """A built-in data set: "digits", "mnist" or "fashion-mnist".

    Args:
        task, scale, preprocessing: as for `load_arrays`.

    Raises:
        DataError: when its files are in none of `usual_places`.
    """
    parts, names, rule = builtin_parts(name)
    data = load_arrays(parts, source=name, task=task, scale=scale, classes=names, preprocessing=preprocessing)
    data.card.split_rule = f"The fixed split of {name}, whatever the seed. {rule}"
    return data


def load_builtin_split(name: str, preprocessing: Preprocessing, target: Target) -> tuple[ArraySplit, DataCard]:
    """The test part of a built-in data set, as a trained model takes it."""
    parts, _, _ = builtin_parts(name)
    return load_array_split(parts, preprocessing, target, source=name)


def builtin_parts(name: str) -> tuple[Parts, tuple[str, ...], str]:
    """The parts of a built-in data set, the names of its classes, and a sentence on how it was split.

    Raises:
        DataError: when its files are in none of `usual_places`.
    """
    parts, rule = _fixed(_read(name))
    return parts, _CLASSES[name], rule


def usual_places(name: str) -> list[Path]:
    """Where the IDX files of a data set may lie, in order. The environment variable LAMINA_DATA names a first one."""
    import platformdirs

    places = [Path("data", name), platformdirs.user_cache_path("lamina") / "datasets" / name]
    places.append(Path("/usr/share/datasets", name))
    own = os.environ.get("LAMINA_DATA")
    return [Path(own).expanduser() / name, *places] if own else places


def _read(name: str) -> Parts:
    if name == "digits":
        with resources.files("lamina.data").joinpath("digits.npz").open("rb") as stream:
            stored = np.load(stream)
            images, labels = stored["images"], stored["labels"]
        # 0 to 16 becomes 0 to 255: an ordinary grey picture, so that `predict` takes picture files as they are.
        return {"train": (np.rint(images * (255 / 16)).astype(np.uint8), labels)}
    for folder in usual_places(name):
        if folder.is_dir() and find_idx(folder):
            return read_idx_folder(folder)
    places = ", ".join(str(place) for place in usual_places(name))
    raise DataError(f"The files of {name} were not found. Looked in {places}.", _HELP[name])


def _fixed(parts: Parts) -> tuple[Parts, str]:
    labels = {part: y for part, (_, y) in parts.items()}
    chosen, rule = divide(labels, duplicate_groups({"train": parts["train"][0]})["train"], _SEED, stratify=True)
    return {part: (parts[origin][0][rows], parts[origin][1][rows]) for part, (origin, rows) in chosen.items()}, rule
