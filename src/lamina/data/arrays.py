"""Arrays of examples: ``(x, y)`` in Python, and what `.npz` and IDX files hold."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from lamina.data.array_preprocessing import as_examples, check_scale, fit_scale
from lamina.data.base import ArraySplit, Data, DataCard, Preprocessing, Target
from lamina.data.splits import digest, divide, fill_card, find_duplicates
from lamina.data.targets import check_task, encode_labels, fit_target, guess_task, normal_labels
from lamina.errors import DataError

__all__ = [
    "RowNames",
    "array_card",
    "duplicate_groups",
    "encode_pictures",
    "fit_preprocessing",
    "load_array_split",
    "load_arrays",
]

Parts = Mapping[str, tuple[Any, Any]]
_PARTS = ("train", "validation", "test")
_CHUNK = 1 << 22  # pixels counted at a time


class RowNames(Sequence[str]):
    """Names such as "train 17", made when they are asked for."""

    def __init__(self, prefix: str, indices: np.ndarray) -> None:
        self._prefix = prefix
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> RowNames: ...
    def __getitem__(self, index: int | slice) -> str | RowNames:
        if isinstance(index, slice):
            return RowNames(self._prefix, self._indices[index])
        return f"{self._prefix} {self._indices[index]}"

    def __iter__(self) -> Iterator[str]:
        return (f"{self._prefix} {index}" for index in self._indices)


def load_arrays(
    parts: Parts,
    *,
    source: str = "the arrays",
    task: str = "auto",
    scale: str = "auto",
    seed: int = 0,
    classes: tuple[str, ...] = (),
    hold_out: bool = True,
    preprocessing: Preprocessing | None = None,
) -> Data:
    """Data from arrays.

    Pictures, that is uint8 of shape ``(n, height, width)`` or ``(n, height, width, 1 or 3)``, are prepared as picture
    files are, so that a model of them predicts from files too. Everything else is scaled along its last axis.

    Args:
        parts: "train", and "validation" and "test" where they are given: ``(x, y)`` of n examples each. ``y`` is
            whole numbers, truth or text ``(n,)`` or one-hot ``(n, classes)`` to classify; 0/1 ``(n, labels)`` for
            several labels at once; other numbers ``(n,)`` or ``(n, values)`` to regress.
        source: what it is, for messages and the card.
        task: "auto", or "classify", "multilabel", "regress".
        scale: "standard" (which "auto" means), "minmax" or "none".
        seed: of the split, where parts have to be split off.
        classes: names of the labels 0, 1, …, where they are known.
        hold_out: whether a test part is split off where none is given.
        preprocessing: a trained model's, in place of one of these arrays' own; ``scale`` says nothing then.

    Raises:
        DataError: for arrays that do not fit together, are empty, hold NaN or infinity, or cannot be learned from.
    """
    check_task(task)
    check_scale(scale)
    if "train" not in parts or not set(parts) <= set(_PARTS):
        raise DataError(f"Expected the parts 'train', and perhaps 'validation' and 'test'; got {list(parts)}.")
    examples, answers = _read(parts, [part for part in _PARTS if part in parts], source)
    task = guess_task(answers["train"]) if task == "auto" else task
    labels = {part: normal_labels(y, task, classes, f"{source}, {part} y,") for part, y in answers.items()}
    what = f"The target of {source}"
    found = fit_target(labels["train"], task, what, classes)  # refuses before the split what cannot be split
    groups = duplicate_groups(examples)
    chosen, rule = divide(labels, groups["train"], seed, stratify=task == "classify", hold_out=hold_out)

    origin, training = chosen["train"]
    target = fit_target(labels[origin][training], task, what) if task == "regress" else found
    encode: Callable[[np.ndarray], Any]
    if preprocessing is None:
        preprocessing = fit_preprocessing(examples[origin][training], scale)
        encode = functools.partial(encode_pictures, preprocessing)
    else:
        encode = preprocessing.encode  # which scales pictures of another size
    splits = {
        part: ArraySplit(
            encode(examples[origin][indices]),
            encode_labels(target, labels[origin][indices]),
            RowNames(origin if len(parts) > 1 else "example", indices),
        )
        for part, (origin, indices) in chosen.items()
    }
    card = array_card(examples["train"], source, preprocessing.kind, rule)
    repeats = {part: groups[origin][indices] for part, (origin, indices) in chosen.items()}
    fill_card(card, splits, repeats, target.names if task != "regress" else ())
    return Data(splits["train"], splits["validation"], splits.get("test"), preprocessing, target, card)


def load_array_split(
    parts: Parts, preprocessing: Preprocessing, target: Target, *, source: str = "the arrays"
) -> tuple[ArraySplit, DataCard]:
    """The test part where there is one, else all examples, as a trained model takes them."""
    wanted = ["test"] if "test" in parts else [part for part in _PARTS if part in parts]
    examples, answers = _read(parts, wanted, source)
    x, y = np.concatenate(list(examples.values())), np.concatenate(list(answers.values()))
    names: tuple[str, ...] = getattr(target, "names", ())
    if y.ndim == 1 and target.task == "classify" and set(np.unique(y).astype(str)) <= set(names):
        names = ()  # each label is its own name already
    labels = normal_labels(y, target.task, names, f"The target of {source}")
    if labels.ndim == 2 and labels.shape[1] != target.units:
        raise DataError(f"The target of {source} has {labels.shape[1]} columns; the model gives {target.units}.")
    split = ArraySplit(
        encode_pictures(preprocessing, x),
        encode_labels(target, labels),
        RowNames(" and ".join(wanted), np.arange(len(x))),
    )
    card = DataCard(source, preprocessing.kind, split_rule=f"All examples of the {' and '.join(wanted)} part.")
    fill_card(card, {"test": split}, duplicate_groups({"test": x}), names)
    return split, card


def _read(parts: Parts, wanted: Sequence[str], source: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    examples: dict[str, np.ndarray] = {}
    answers: dict[str, np.ndarray] = {}
    for part in wanted:
        x, y = as_examples(parts[part][0], f"{source}, {part} x,"), np.asarray(parts[part][1])
        if len(x) == 0:
            raise DataError(f"{source}, {part}: there are no examples (x has the shape {x.shape}).")
        if y.ndim == 0 or len(x) != len(y):
            raise DataError(f"{source}, {part}: x has {len(x)} examples and y has the shape {y.shape}.")
        examples[part], answers[part] = x, y
    first = wanted[0]
    for part in wanted[1:]:
        if examples[part].shape[1:] != examples[first].shape[1:]:
            raise DataError(
                f"{source}: the {part} part has examples of shape {examples[part].shape[1:]}, "
                f"the {first} part of shape {examples[first].shape[1:]}."
            )
        if answers[part].shape[1:] != answers[first].shape[1:]:
            raise DataError(
                f"{source}: y of the {part} part has the shape {answers[part].shape}, "
                f"of the {first} part {answers[first].shape}."
            )
    return examples, answers


def duplicate_groups(examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ids of equal examples, counted over all parts together."""
    digests = [digest(np.ascontiguousarray(row).data) for x in examples.values() for row in x]
    borders = np.cumsum([len(x) for x in examples.values()])[:-1]
    return dict(zip(examples, np.split(find_duplicates(digests), borders), strict=True))


def array_card(x: np.ndarray, source: str, kind: str, rule: str) -> DataCard:
    """A card with what is to be said of training examples themselves."""
    facts = {"shape": list(x.shape[1:]), "dtype": str(x.dtype), "range": [float(x.min()), float(x.max())]}
    return DataCard(source, kind, split_rule=rule, facts=facts, warnings=_warnings(x))


def _warnings(x: np.ndarray) -> list[str]:
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
        return [
            f"The examples have the shape {x.shape[1:]}, which looks like channels first. "
            "Lamina takes channels last: x.transpose(0, 2, 3, 1)."
        ]
    return []


def _channels(x: np.ndarray) -> int | None:
    """The channels of pictures, None where the arrays are none."""
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        return None
    channels = 1 if x.ndim == 3 else x.shape[3]
    return channels if channels in (1, 3) else None


def fit_preprocessing(x: np.ndarray, scale: str) -> Preprocessing:
    """The preprocessing of training examples: that of pictures where they are such, else that of arrays."""
    channels = _channels(x)
    if channels is None:
        return fit_scale(x, scale)
    from lamina.data.image_preprocessing import ImagePreprocessing

    mean, std = (0.0,) * channels, (1.0,) * channels
    if scale == "minmax":
        std = (255.0,) * channels  # of all pictures that may come, not only of these
    elif scale != "none":
        mean, std = _moments(x.reshape(-1, channels))
    return ImagePreprocessing(x.shape[1], x.shape[2], channels, mean, std)


def _moments(pixels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, exactly, from counts of the 256 values."""
    levels, means, stds = np.arange(256.0), [], []
    for channel in pixels.T:
        counts = sum(
            np.bincount(channel[start : start + _CHUNK], minlength=256) for start in range(0, len(channel), _CHUNK)
        )
        mean = float(levels @ counts / len(channel))
        spread = float(((levels - mean) ** 2 @ counts / len(channel)) ** 0.5)
        means.append(mean)
        stds.append(spread or 1.0)
    return tuple(means), tuple(stds)


def encode_pictures(preprocessing: Preprocessing, x: np.ndarray) -> Any:
    """Examples as the preprocessing takes them; pictures must have its size, and are not scaled to it."""
    if preprocessing.kind == "array":
        return preprocessing.encode(x)
    shape = preprocessing.input_spec().shape
    pictures = x[..., None] if x.ndim == 3 else x
    if _channels(x) is None or pictures.shape[1:] != shape:
        raise DataError(f"The model takes uint8 pictures of shape {shape}. Received: {x.dtype} of shape {x.shape[1:]}.")
    return pictures
