"""Pictures as data: an image folder or a CSV list of pictures → splits, preprocessing, data card."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamina.data.base import ArraySplit, ClassTarget, Data, DataCard, MultiLabelTarget, Split, Target
from lamina.data.decode import UnreadableError, decode_many, parallel, read_header
from lamina.data.groups import across_warning, named_groups
from lamina.data.image_files import TEST, TRAIN, VALIDATION, Listing, file_groups, free_memory, list_folder
from lamina.data.image_list import list_csv
from lamina.data.image_preprocessing import ImagePreprocessing, check_scale, fit_pixels
from lamina.data.image_split import ImageFileSplit
from lamina.data.splits import digest, divide, fill_card, find_duplicates
from lamina.errors import ConfigError, DataError, nearest

__all__ = [
    "ImagePreprocessing",
    "choose_size",
    "load_image_folder",
    "load_image_list",
    "load_image_split",
    "load_listed",
    "load_listed_split",
]

_PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
_ALL_HEADERS = 50_000  # pictures; of more, a sample is looked at before training
_SAMPLE = 5_000
_MEASURED = 2_000  # training pictures from which mean and standard deviation are taken
_MEASURED_BYTES = 1 << 28
_SMALL, _STANDARD, _MANY = 128, 96, 50_000
_GREY = frozenset({"1", "L", "LA", "La", "F"})


def choose_size(sizes: Sequence[tuple[int, int]], count: int) -> tuple[int, int]:
    """(height, width) in pixels for a network's input.

    Pictures that all have one size, at most 128 × 128, keep it. Otherwise the area is that of a 96 × 96 square (64 × 64
    from 50,000 pictures on, of the median shorter side where that is smaller): a square, unless all pictures have one
    aspect ratio between 1:2 and 2:1, which is kept, sides being multiples of 8.

    Args:
        sizes: (width, height) of the pictures, or of a sample of them.
        count: how many pictures there are in all.
    """
    array = np.asarray(sizes, np.int64)
    if np.all(array == array[0]) and array[0].max() <= _SMALL:
        return int(array[0, 1]), int(array[0, 0])
    side = min(_STANDARD if count < _MANY else 64, int(np.median(array.min(axis=1))))
    ratios = array[:, 0] / array[:, 1]
    if ratios.max() <= 1.02 * ratios.min() and 0.5 <= ratios[0] <= 2.0 and not np.isclose(ratios[0], 1.0, atol=0.1):
        root = float(np.sqrt(ratios.mean()))
        return max(8, 8 * round(side / root / 8)), max(8, 8 * round(side * root / 8))
    return max(side, 1), max(side, 1)


def load_image_folder(
    folder: str | os.PathLike[str],
    *,
    scale: str = "auto",
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    group: str | None = None,
    memory: int | None = None,
    preprocessing: ImagePreprocessing | None = None,
) -> Data:
    """Data from a folder with one sub-folder of pictures for each class.

    ``train/``, ``val/`` (or ``valid/``, ``validation/``) and ``test/`` folders of classes are taken as given. What is
    missing of them is cut from the training pictures: seeded, stratified, 10 % each, exact duplicates on one side.
    Unreadable files are left out and told of in ``card.skipped`` and ``card.warnings``.

    Args:
        folder: its path.
        scale: "auto" or "standard": each channel to mean 0 and standard deviation 1 over (a sample of) the training
            split; "minmax": 0…255 to 0…1; "none": 0…255 as they are.
        seed: of the splits and samples.
        size: of the network's input in pixels, a side or (height, width); by default `choose_size`.
        group: pictures whose names agree in this pattern stay on one side of the split; see `named_groups`.
        memory: bytes that decoded pictures may take; above it they are decoded while training. By default a quarter
            of the free memory.
        preprocessing: a trained model's, in place of one of these pictures' own; ``scale`` and ``size`` say nothing
            then.

    Raises:
        DataError: no such folder, an empty one, no pictures, one class only, a class with one picture, more than half
            of the pictures unreadable, a class in ``test/`` that ``train/`` lacks.
    """
    listing = list_folder(folder)
    return load_listed(listing, ClassTarget(listing.names), scale, seed, size, group, memory, preprocessing)


def load_image_list(
    source: str | os.PathLike[str],
    *,
    target: str | Sequence[str] | None = None,
    scale: str = "auto",
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    group: str | None = None,
    memory: int | None = None,
    preprocessing: ImagePreprocessing | None = None,
) -> Data:
    """Data from a CSV file of picture paths (relative to the file) and labels.

    The target is one column of class names, one of names joined by ``|`` (several labels a picture), or several
    columns of 0 and 1. The rest is as for `load_image_folder`.

    Args:
        target: the label column or columns; may be left out where the file leaves no choice.

    Raises:
        DataError: as `load_image_folder`; no column of pictures, no such target.
    """
    listing, several = list_csv(source, target)
    asked = MultiLabelTarget(listing.names) if several else ClassTarget(listing.names)
    return load_listed(listing, asked, scale, seed, size, group, memory, preprocessing)


def load_image_split(
    source: str | os.PathLike[str], preprocessing: ImagePreprocessing, target: Target, *, memory: int | None = None
) -> tuple[Split, DataCard]:
    """Labelled pictures to evaluate a model on: the ``test/`` part of a folder that has one, otherwise everything.

    Args:
        source: an image folder or a CSV list.
        preprocessing, target: the model's own.
        memory: as for `load_image_folder`.

    Raises:
        DataError: as `load_image_folder`, and for classes that the model does not know.
    """
    if not isinstance(target, ClassTarget | MultiLabelTarget):
        raise DataError(f"{source} has labelled pictures; the model was trained for another task ({target.task}).")
    several = isinstance(target, MultiLabelTarget)
    if Path(source).is_file():
        listing, _ = list_csv(source, names=target.names)
        if several and listing.labels.ndim == 1:
            listing.labels = np.eye(len(target.names), dtype=np.float32)[listing.labels]
        elif not several and listing.labels.ndim > 1:
            raise DataError(f"{source} gives several labels a picture; the model tells one of several classes.")
    elif several:
        raise DataError(f"{source} is a folder with one class a picture; the model gives several labels.", "Use a CSV.")
    else:
        listing = list_folder(source)
        unknown = [name for name in listing.names if name not in target.names]
        if unknown:
            raise DataError(f"The model knows no class {unknown[0]!r} of {source}.", nearest(unknown[0], target.names))
        places = np.asarray([target.names.index(name) for name in listing.names], np.int32)
        listing.labels, listing.names = places[listing.labels], target.names
    return load_listed_split(listing, preprocessing, memory)


def load_listed_split(
    listing: Listing, preprocessing: ImagePreprocessing, memory: int | None = None
) -> tuple[Split, DataCard]:
    """The test part of listed pictures where one is given, else all of them, as a trained model takes them."""
    tested = TEST in listing.given
    if tested:
        listing.keep(np.flatnonzero(listing.parts == TEST))
    facts = _inspect(listing, np.random.default_rng(0))
    del facts["sizes"]
    shape = (preprocessing.height, preprocessing.width, preprocessing.channels)
    pixels = _decode_all(listing, shape, memory)
    split = _split(listing, pixels, np.arange(len(listing.files)), shape)
    rule = "The test part of the folder." if tested else "All pictures."
    card = _card(listing, rule, {**facts, "input": list(shape), "in_memory": pixels is not None})
    fill_card(card, {"test": split}, {"test": _groups(listing, pixels)}, listing.names)
    return split, card


def load_listed(
    listing: Listing,
    target: Target,
    scale: str,
    seed: int,
    size: int | tuple[int, int] | None,
    group: str | None = None,
    memory: int | None = None,
    preprocessing: ImagePreprocessing | None = None,
) -> Data:
    """Data from listed pictures; the options are those of `load_image_folder`.

    Args:
        target: of these labels.
    """
    check_scale(scale)
    several = isinstance(target, MultiLabelTarget)
    if TRAIN not in listing.parts:
        raise DataError(f"{listing.source} has no training part.", "Expected train/ beside the other parts.")
    random = np.random.default_rng(seed)
    facts = _inspect(listing, random)
    sizes = facts.pop("sizes")
    if preprocessing is not None:
        shape = (preprocessing.height, preprocessing.width, preprocessing.channels)
    else:
        height, width = choose_size(sizes, len(listing.files)) if size is None else _given_size(size)
        grey = all(mode in _GREY or mode.startswith("I") for mode in facts["modes"])
        shape = (height, width, 1 if grey else 3)
    pixels = _decode_all(listing, shape, memory)
    if target.answer != "input":
        _check_classes(listing, several)
    groups = _groups(listing, pixels)
    members = {name: np.flatnonzero(listing.parts == part) for name, part in _PARTS.items()}
    given = {name: listing.labels[indices] for name, indices in members.items() if name == "train" or len(indices)}
    whole = None if group is None else named_groups(listing.files, group)
    own = None if whole is None else whole.take(members["train"])
    by_class = not several and bool(target.names)
    chosen, rule = divide(given, groups[members["train"]], seed, stratify=by_class, repeats=False, whole=own)
    parts = {name: members[origin][indices] for name, (origin, indices) in chosen.items()}
    if whole is not None:
        listing.warnings += across_warning(whole, parts)
    if preprocessing is None:
        measured = _sample(listing, pixels, parts["train"], shape, random)
        alike = pixels is None or np.all(pixels == pixels[..., :1])
        if shape[2] == 3 and alike and np.all(measured == measured[..., :1]):
            # Grey pictures stored in colour: a third of the arithmetic is enough. (Streamed ones are judged by the
            # sample.)
            shape, measured = (*shape[:2], 1), measured[..., :1]
            pixels = None if pixels is None else pixels[..., :1]
        preprocessing = fit_pixels(measured, scale)
    splits: dict[str, Split] = {name: _split(listing, pixels, indices, shape) for name, indices in parts.items()}
    card = _card(listing, rule, {**facts, "input": list(shape), "in_memory": pixels is not None})
    fill_card(card, splits, {name: groups[indices] for name, indices in parts.items()}, listing.names)
    return Data(splits["train"], splits["validation"], splits.get("test"), preprocessing, target, card)


def _given_size(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if not (1 <= height <= 4096 and 1 <= width <= 4096):
        raise ConfigError(f"The size of a network's input is 1 to 4096 pixels a side. Received: size={size}.")
    return height, width


def _card(listing: Listing, rule: str, facts: dict[str, Any]) -> DataCard:
    warnings = list(listing.warnings)
    if listing.skipped:
        count = len(listing.skipped)
        shown = ", ".join(f"{name} ({reason})" for name, reason in listing.skipped[:3]) + (", …" if count > 3 else "")
        warnings.append(f"{count} {'file was' if count == 1 else 'files were'} left out: {shown}.")
    return DataCard(listing.source, "image", {}, rule, facts, {}, listing.skipped, warnings)


def _inspect(listing: Listing, random: np.random.Generator) -> dict[str, Any]:
    """Read the headers (of a sample, where there are very many), drop what is not a picture, gather facts."""
    files = listing.files
    count = len(files)
    by_name = np.fromiter((files.is_picture_by_name(index) for index in range(count)), np.bool_, count)
    chosen = (files.sizes <= 0) | ~by_name
    chosen[slice(None) if count <= _ALL_HEADERS else random.choice(count, _SAMPLE, replace=False)] = True
    looked = np.flatnonzero(chosen).tolist()

    def header(index: int) -> tuple[int, int, str] | str:
        try:
            return read_header(files.path(index))
        except UnreadableError as error:
            return error.reason

    headers = parallel(header, looked)
    reasons = {index: found for index, found in zip(looked, headers, strict=True) if isinstance(found, str)}
    claimed = {index: reason for index, reason in reasons.items() if by_name[index]}
    _refuse_most(listing, claimed, int(by_name[looked].sum()) or len(looked) - len(reasons))
    _drop(listing, reasons)
    found = [header for header in headers if not isinstance(header, str)]
    sizes = np.asarray([header[:2] for header in found], np.int64)
    sides = {
        name: {"min": int(side.min()), "median": int(np.median(side)), "max": int(side.max())}
        for name, side in zip(("width", "height"), sizes.T, strict=True)
    }
    return {"sizes": sizes, **sides, "modes": dict(Counter(header[2] for header in found).most_common())}


def _refuse_most(listing: Listing, reasons: dict[int, str], pictures: int) -> None:
    """Refuse a source of which more than half of the pictures looked at are unreadable, or without pictures."""
    if pictures == 0:
        raise DataError(f"There are no pictures in {listing.source}.")
    if 2 * len(reasons) > pictures:
        index, reason = next(iter(reasons.items()))
        raise DataError(
            f"{len(reasons)} of the {pictures} pictures in {listing.source} cannot be read; "
            f"the first is {listing.files[index]}: {reason}."
        )


def _drop(listing: Listing, reasons: dict[int, str]) -> None:
    if reasons:
        listing.skipped += [(listing.files[index], reason) for index, reason in reasons.items()]
        listing.keep(np.setdiff1d(np.arange(len(listing.files)), list(reasons)))


def _decode_all(listing: Listing, shape: tuple[int, int, int], memory: int | None) -> np.ndarray | None:
    """All pictures, unreadable ones dropped from the listing; None where they do not fit into memory."""
    count = len(listing.files)
    if count * math.prod(shape) > (free_memory() // 4 if memory is None else memory):
        return None
    pixels, reasons = decode_many(listing.files.paths(), *shape)
    _refuse_most(listing, reasons, count)
    kept = np.delete(pixels, list(reasons), axis=0) if reasons else pixels
    _drop(listing, reasons)
    return kept


def _check_classes(listing: Listing, several: bool) -> None:
    names, training = listing.names, listing.labels[listing.parts == TRAIN]
    if several:
        if not len(names):
            raise DataError(f"No picture of {listing.source} has a label.")
        return
    counts = np.bincount(training, minlength=len(names))
    for name, number in zip(names, counts.tolist(), strict=True):
        if number < 2:
            raise DataError(
                f"The class {name!r} of {listing.source} has {'one picture' if number else 'no readable picture'}; "
                "at least two are needed, one to learn from and one to check with.",
                "Add pictures, or take the class out.",
            )
    if len(names) < 2:
        raise DataError(
            f"{listing.source} has one class only, {names[0]!r}: there is nothing to tell apart.", _nested(listing)
        )


def _nested(listing: Listing) -> str:
    """A hint for one who named the folder above the right one."""
    inner = Path(listing.files.root, listing.names[0])
    if inner.is_dir() and any(entry.is_dir() for entry in inner.iterdir()):
        return f"Did you mean {inner}?"
    return "Expected a sub-folder (or a label) for each of at least two classes."


def _groups(listing: Listing, pixels: np.ndarray | None) -> np.ndarray:
    """Ids of exact duplicates: of equal pixels where they are at hand, else of equal files."""
    if pixels is None:
        return file_groups(listing.files)
    return find_duplicates([digest(np.ascontiguousarray(picture).data) for picture in pixels])


def _sample(
    listing: Listing,
    pixels: np.ndarray | None,
    training: np.ndarray,
    shape: tuple[int, int, int],
    random: np.random.Generator,
) -> np.ndarray:
    """Some training pictures, from which mean and standard deviation are taken."""
    count = max(16, min(_MEASURED, _MEASURED_BYTES // math.prod(shape)))
    chosen = np.sort(random.permutation(training)[:count])
    if pixels is not None:
        return np.take(pixels, chosen, axis=0)
    measured, reasons = decode_many(listing.files.take(chosen).paths(), *shape)
    _refuse_most(listing, reasons, len(chosen))
    kept: np.ndarray = np.delete(measured, list(reasons), axis=0)
    return kept


def _split(listing: Listing, pixels: np.ndarray | None, indices: np.ndarray, shape: tuple[int, int, int]) -> Split:
    files, labels = listing.files.take(indices), listing.labels[indices]
    return ImageFileSplit(files, labels, *shape) if pixels is None else ArraySplit(pixels[indices], labels, files)
