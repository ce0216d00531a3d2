"""Data to learn from without labels: what the network is given is what it is to give back.

Labels are kept where there are any, for codes are shown by class; nothing is learned from them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from lamina.data.array_preprocessing import as_examples, check_scale
from lamina.data.arrays import RowNames, array_card, duplicate_groups, encode_pictures, fit_preprocessing
from lamina.data.base import ArraySplit, Data, DataCard, InputTarget, Preprocessing, Split
from lamina.data.splits import divide, fill_card
from lamina.data.targets import class_names, guess_task, normal_labels
from lamina.errors import ConfigError, DataError

__all__ = ["identify_inputs", "load_input_split", "load_inputs"]

_PARTS = ("train", "validation", "test")
Parts = Mapping[str, tuple[Any, Any]]  # part → examples, and labels or None


def identify_inputs(source: Any) -> str:
    """The kind of a source that needs no labels: as `lamina.data.sources.identify`, and arrays of examples alone.

    Raises:
        DataError: for what is none of these, and for tables.
    """
    from lamina.data import sources

    if isinstance(source, np.ndarray) or (isinstance(source, Mapping) and "train" in source):
        return "arrays"
    kind = sources.identify(source)
    if kind == "table":
        raise DataError(
            "An auto-encoder takes pictures and arrays of numbers; this is a table.",
            "Save its numbers as an array: numpy.savez(path, x=table.to_numpy()).",
        )
    return kind


def load_inputs(
    source: Any,
    *,
    target: str | None = None,
    scale: str = "auto",
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    test: Any = None,
    preprocessing: Preprocessing | None = None,
) -> Data:
    """Data whose target is the input itself.

    Args:
        source: arrays ``(n, ...)`` alone or with labels, or what `lamina.data.load` reads; folders of pictures and of
            IDX files need no labels.
        target: the column of labels in a list of pictures; may be left out.
        scale: "auto": pictures to 0…1 (0…255 over 255), numbers that are in 0…1 as they are, other numbers to mean 0
            and standard deviation 1; or "minmax", "standard", "none".
        seed, size, test, preprocessing: as for `lamina.data.load`.

    Raises:
        DataError: for a source that cannot be found, read or learned from.
        ConfigError: for options that have no place with it.
    """
    check_scale(scale)
    kind = identify_inputs(source)
    if target is not None and kind != "image list":
        raise ConfigError(f"An auto-encoder learns from no column. Received: target={target!r}.", "Leave it out.")
    if size is not None and kind not in ("images", "image list"):
        raise ConfigError(f"A size is for pictures in files. Received: size={size!r}.", "Leave it out.")
    if test is not None and kind != "arrays":
        raise ConfigError("A separate test part is for arrays.", "Put it into a sub-folder 'test' beside 'train'.")
    if kind in ("images", "image list"):
        return _pictures(source, kind, target, "minmax" if scale == "auto" else scale, seed, size, preprocessing)
    if kind == "builtin":
        from lamina.data.builtin import builtin_parts

        parts, names, rule = builtin_parts(os.fspath(source))
        data = _arrays(parts, os.fspath(source), scale, seed, names, True, preprocessing)
        data.card.split_rule = f"The fixed split of {os.fspath(source)}, whatever the seed. {rule}"
        return data
    parts = _read_parts(source)
    if test is not None:
        held_out = _read_parts(test)
        parts["test"] = held_out.get("test", held_out["train"])
    in_file = isinstance(source, str | os.PathLike)
    return _arrays(parts, _name(source), scale, seed, (), in_file, preprocessing)


def load_input_split(source: Any, preprocessing: Preprocessing, target: InputTarget) -> tuple[Split, DataCard]:
    """Data as a trained auto-encoder takes it: the test part where there is one, else everything.

    Raises:
        DataError: for a source that cannot be found or read, or does not fit the model.
    """
    kind = identify_inputs(source)
    if kind in ("images", "image list"):
        if preprocessing.kind != "image":
            raise DataError(f"The model takes arrays of numbers. Received: {_name(source)} ({kind}).")
        from lamina.data.image_preprocessing import ImagePreprocessing
        from lamina.data.images import load_listed_split

        listing = _listing(source, kind, None)
        listing.names = ()
        listing.labels = np.zeros(len(listing.files), np.int32)
        return load_listed_split(listing, cast(ImagePreprocessing, preprocessing))
    if kind == "builtin":
        from lamina.data.builtin import builtin_parts

        parts: Parts = builtin_parts(os.fspath(source))[0]
    else:
        parts = _read_parts(source)
    wanted = ["test"] if "test" in parts else [part for part in _PARTS if part in parts]
    x = np.concatenate([_examples(parts, part, _name(source)) for part in wanted])
    split = ArraySplit(
        encode_pictures(preprocessing, x), np.zeros(len(x), np.int32), RowNames(" and ".join(wanted), np.arange(len(x)))
    )
    rule = f"All examples of the {' and '.join(wanted)} part."
    card = DataCard(_name(source), preprocessing.kind, split_rule=rule)
    fill_card(card, {"test": split}, duplicate_groups({"test": x}))
    return split, card


def _arrays(
    parts: Parts,
    source: str,
    scale: str,
    seed: int,
    classes: tuple[str, ...],
    hold_out: bool,
    preprocessing: Preprocessing | None,
) -> Data:
    if "train" not in parts or not set(parts) <= set(_PARTS):
        raise DataError(f"Expected the parts 'train', and perhaps 'validation' and 'test'; got {list(parts)}.")
    examples = {part: _examples(parts, part, source) for part in _PARTS if part in parts}
    first = examples["train"].shape[1:]
    for part, x in examples.items():
        if x.shape[1:] != first:
            raise DataError(f"{source}: the {part} part has examples of shape {x.shape[1:]}, the train part {first}.")
    target, labels = _labels(parts, examples, classes, source)
    groups = duplicate_groups(examples)
    stratify = bool(target.names)
    chosen, rule = divide(labels, groups["train"], seed, stratify=stratify, hold_out=hold_out)
    origin, training = chosen["train"]
    encode: Callable[[np.ndarray], Any]
    if preprocessing is None:
        preprocessing = fit_preprocessing(examples[origin][training], _scale(examples[origin], scale))
        encode = functools.partial(encode_pictures, preprocessing)
    else:
        encode = preprocessing.encode  # which scales pictures of another size
    splits = {
        part: ArraySplit(
            encode(examples[origin][indices]),
            labels[origin][indices],
            RowNames(origin if len(parts) > 1 else "example", indices),
        )
        for part, (origin, indices) in chosen.items()
    }
    card = array_card(examples["train"], source, preprocessing.kind, rule)
    repeats = {part: groups[origin][indices] for part, (origin, indices) in chosen.items()}
    fill_card(card, splits, repeats, target.names)
    return Data(splits["train"], splits["validation"], splits.get("test"), preprocessing, target, card)


def _scale(x: np.ndarray, scale: str) -> str:
    """What "auto" means for these examples."""
    if scale != "auto":
        return scale
    if x.dtype == np.uint8:
        return "minmax"
    return "none" if x.dtype.kind in "bf" and x.min() >= 0 and x.max() <= 1 else "standard"


def _labels(
    parts: Parts, examples: Mapping[str, np.ndarray], classes: tuple[str, ...], source: str
) -> tuple[InputTarget, dict[str, np.ndarray]]:
    """The target, and each part's class indices; without names and all zeros where not every part has classes."""
    given = {part: parts[part][1] for part in examples}
    arrays = {part: np.asarray(y) for part, y in given.items() if y is not None}
    for part, y in arrays.items():
        if y.ndim == 0 or len(y) != len(examples[part]):
            raise DataError(f"{source}, {part}: x has {len(examples[part])} examples and y has the shape {y.shape}.")
    if len(arrays) == len(examples) and all(guess_task(y) == "classify" for y in arrays.values()):
        texts = {part: normal_labels(y, "classify", classes, f"{source}, {part} y,") for part, y in arrays.items()}
        target = InputTarget(tuple(classes) or class_names(np.concatenate(list(texts.values()))))
        return target, {part: target.encode(labels) for part, labels in texts.items()}
    return InputTarget(), {part: np.zeros(len(x), np.int32) for part, x in examples.items()}


def _examples(parts: Parts, part: str, source: str) -> np.ndarray:
    x = as_examples(parts[part][0], f"{source}, {part} x,")
    if len(x) == 0:
        raise DataError(f"{source}, {part}: there are no examples (x has the shape {x.shape}).")
    return x


def _read_parts(source: Any) -> dict[str, tuple[Any, Any]]:
    """The parts of arrays and of files of arrays, with labels or without."""
    from lamina.data.idx import read_idx_folder
    from lamina.data.npz import read_npz

    if isinstance(source, np.ndarray):
        return {"train": (source, None)}
    if isinstance(source, Mapping):
        pairs = {str(part): value for part, value in source.items()}
        return {part: (value, None) if isinstance(value, np.ndarray) else tuple(value) for part, value in pairs.items()}
    if isinstance(source, tuple | list):
        return {"train": (source[0], source[1])}
    path = Path(source).expanduser()
    return dict(read_idx_folder(path, labelled=False) if path.is_dir() else read_npz(path, labelled=False))


def _pictures(
    source: Any,
    kind: str,
    target: str | None,
    scale: str,
    seed: int,
    size: int | tuple[int, int] | None,
    preprocessing: Preprocessing | None,
) -> Data:
    from lamina.data.image_preprocessing import ImagePreprocessing
    from lamina.data.images import load_listed

    listing = _listing(source, kind, target)
    if listing.labels.ndim > 1:  # several labels a picture: no classes to show codes by
        listing.labels, listing.names = np.zeros(len(listing.files), np.int32), ()
    own = cast("ImagePreprocessing | None", preprocessing)
    return load_listed(listing, InputTarget(listing.names), scale, seed, size, preprocessing=own)


def _listing(source: Any, kind: str, target: str | None) -> Any:
    from lamina.data.image_files import list_folder, list_pictures, sorts_by_class
    from lamina.data.image_list import list_csv

    if kind == "image list":
        return list_csv(source, target)[0]
    return list_folder(source) if sorts_by_class(source) else list_pictures(source)


def _name(source: Any) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "what is in memory"
