"""Series to be classified as data: `.ts` files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamina.data.array_preprocessing import check_scale
from lamina.data.base import ArraySplit, Data, DataCard, Target
from lamina.data.series_preprocessing import SeriesPreprocessing, fit_series
from lamina.data.series_ts import SeriesFile, read_ts, sibling
from lamina.data.splits import digest, divide, fill_card, find_duplicates
from lamina.data.targets import fit_target
from lamina.errors import ConfigError, DataError

__all__ = ["load_series_classes", "load_series_classes_split"]


def load_series_classes(
    source: Any, *, task: str = "auto", scale: str = "auto", seed: int = 0, test: Any = None
) -> Data:
    """Data from a `.ts` file of series with class labels.

    Args:
        source: its path. Where it ends in _TRAIN.ts and a file _TEST.ts lies beside it, that is the test part.
        task: "auto" or "classify".
        scale: of every channel: "standard" (which "auto" means), "minmax" or "none".
        seed: of the split.
        test: the path of another file, to keep as the test part.

    Raises:
        DataError: for files that cannot be read or learned from.
        ConfigError: for another task.
    """
    check_scale(scale)
    if task not in ("auto", "classify"):
        raise ConfigError(f"Series in .ts files are classified. Received: task={task!r}.")
    files = {"train": _labelled(source)}
    beside = sibling(Path(source)) if test is None else Path(test)
    if beside is not None:
        files["test"] = _labelled(beside)
        _check_alike(files["train"], files["test"])
    labels = {part: np.asarray(file.labels) for part, file in files.items()}
    names = _names(files, labels)
    target = fit_target(labels["train"], "classify", f"The label of {files['train'].source}", names)
    groups = _groups(files)
    chosen, rule = divide(labels, groups["train"], seed, stratify=True)

    origin, training = chosen["train"]
    lengths = {len(one) for file in files.values() for one in file.series}
    preprocessing = fit_series([files[origin].series[index] for index in training], scale)
    if len(lengths) > 1:
        preprocessing = SeriesPreprocessing(max(lengths), preprocessing.mean, preprocessing.std, masked=True)
    splits = {part: _split(files[given], indices, preprocessing, target) for part, (given, indices) in chosen.items()}
    card = DataCard(files["train"].source, "series", split_rule=rule)
    card.warnings = [remark for file in files.values() for remark in file.warnings]
    card.facts = {
        "series": sum(len(file.series) for file in files.values()),
        "steps": f"{min(lengths)} to {max(lengths)}" if len(lengths) > 1 else max(lengths),
        "channels": len(preprocessing.mean),
        "test file": files["test"].source if "test" in files else "none",
    }
    repeats = {part: groups[given][indices] for part, (given, indices) in chosen.items()}
    fill_card(card, splits, repeats, target.names)
    return Data(splits["train"], splits["validation"], splits.get("test"), preprocessing, target, card)


def load_series_classes_split(
    source: Any, preprocessing: SeriesPreprocessing, target: Target
) -> tuple[ArraySplit, DataCard]:
    """All series of a `.ts` file, as a trained model takes them.

    Raises:
        DataError: for a file that cannot be read, or does not fit the model.
    """
    file = _labelled(source)
    split = _split(file, np.arange(len(file.series)), preprocessing, target)
    card = DataCard(file.source, "series", split_rule=f"All {len(split)} series.", warnings=file.warnings)
    fill_card(card, {"test": split}, _groups({"test": file}), target.names)
    return split, card


def _labelled(source: Any) -> SeriesFile:
    file = read_ts(source)
    if not file.labels:
        raise DataError(f"{file.source} has no class labels.", "Its head says @classLabel true, and names them.")
    return file


def _check_alike(train: SeriesFile, test: SeriesFile) -> None:
    channels = train.series[0].shape[1], test.series[0].shape[1]
    if channels[0] != channels[1]:
        raise DataError(f"{test.source} has {channels[1]} channels; {train.source} has {channels[0]}.")
    unknown = sorted(set(test.labels) - set(train.labels))
    if unknown:
        raise DataError(f"{test.source} has the class {unknown[0]!r}, of which {train.source} has no example.")


def _names(files: dict[str, SeriesFile], labels: dict[str, np.ndarray]) -> Sequence[str]:
    """The classes in the order of the file's head, those without a training example left out."""
    present = set(labels["train"].tolist())
    return [name for name in files["train"].classes if name in present]


def _split(file: SeriesFile, indices: np.ndarray, preprocessing: SeriesPreprocessing, target: Target) -> ArraySplit:
    series = [file.series[index] for index in indices]
    for index, one in zip(indices, series, strict=True):
        preprocessing.check(one, f"{file.source}, line {file.lines[index]}: the series")
    names = [f"{Path(file.source).name} line {file.lines[index]}" for index in indices]
    return ArraySplit(preprocessing.encode(series), target.encode([file.labels[index] for index in indices]), names)


def _groups(files: dict[str, SeriesFile]) -> dict[str, np.ndarray]:
    digests = [digest(np.ascontiguousarray(one).data) for file in files.values() for one in file.series]
    borders = np.cumsum([len(file.series) for file in files.values()])[:-1]
    return dict(zip(files, np.split(find_duplicates(digests), borders), strict=True))
