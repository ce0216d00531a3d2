"""Training, validation and test parts: seeded, stratified, with duplicates kept on one side."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.data.base import DataCard, Split
from lamina.data.groups import Groups, join, whole_groups
from lamina.errors import DataError

__all__ = [
    "THREE_WAY",
    "TWO_WAY",
    "class_warnings",
    "describe_duplicates",
    "describe_splits",
    "digest",
    "divide",
    "fill_card",
    "find_duplicates",
    "random_split",
    "stratified",
]

THREE_WAY = (0.8, 0.1, 0.1)  # training, validation, test, where no test part is given
TWO_WAY = (0.9, 0.1)  # training, validation, where a test part is given
_SHOWN = 20
_IMBALANCE = 10.0


def digest(data: bytes | memoryview) -> bytes:
    """A 16-byte BLAKE2b hash: equal for exact duplicates."""
    return hashlib.blake2b(data, digest_size=16).digest()


def find_duplicates(digests: Sequence[bytes]) -> np.ndarray:
    """Group ids ``(n,)`` int64: examples with equal digests share one. Ids count up in order of first appearance."""
    known: dict[bytes, int] = {}
    return np.fromiter((known.setdefault(value, len(known)) for value in digests), np.int64, len(digests))


def stratified(labels: Any, fractions: Sequence[float], seed: int, groups: Any | None = None) -> tuple[np.ndarray, ...]:
    """Split examples so that every part has about the same share of every class.

    A class with at least as many (groups of) examples as there are parts has one in each; a smaller class fills
    the earlier parts first. The result depends on the arguments alone.

    Args:
        labels: ``(n,)``, anything hashable by `np.unique`.
        fractions: the wanted share of each part; they sum to 1.
        seed: of the NumPy generator, >= 0.
        groups: ``(n,)`` ids; examples that share one land in the same part (under the first one's label).

    Returns:
        One sorted int64 index array per fraction; together they hold every index once.
    """
    labels = np.asarray(labels)
    shares = np.asarray(fractions, np.float64)
    if np.any(shares <= 0) or abs(shares.sum() - 1) > 1e-6:
        raise DataError(f"The parts of a split must be positive and sum to 1. Received: fractions={tuple(fractions)}.")
    count = len(labels)
    if count == 0:
        return tuple(np.zeros(0, np.int64) for _ in shares)
    ids = np.arange(count) if groups is None else np.asarray(groups)
    _, first, group_of = np.unique(ids, return_index=True, return_inverse=True)
    sizes = np.bincount(group_of)
    _, class_of = np.unique(labels[first], return_inverse=True)  # one class per group
    generator = np.random.default_rng(seed)
    part_of = np.empty(len(first), np.int64)
    order = generator.permutation(len(first))
    order = order[np.argsort(class_of[order], kind="stable")]
    borders = np.cumsum(np.bincount(class_of))[:-1]
    for members in np.split(order, borders):
        part_of[members] = _assign(sizes[members], shares)
    part = part_of[group_of]
    return tuple(np.flatnonzero(part == index) for index in range(len(shares)))


def random_split(
    count: int, fractions: Sequence[float], seed: int, groups: Any | None = None
) -> tuple[np.ndarray, ...]:
    """`stratified` without classes: for values to regress and for labels of several at once."""
    return stratified(np.zeros(count, np.int8), fractions, seed, groups)


def _assign(sizes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The part of each (already shuffled) group of one class."""
    parts = np.zeros(len(sizes), np.int64)
    if len(sizes) <= len(shares):
        parts[:] = np.arange(len(sizes))
        return parts
    wanted = shares * sizes.sum()
    multiple = np.flatnonzero(sizes > 1)
    for index in multiple[np.argsort(-sizes[multiple], kind="stable")]:
        parts[index] = np.argmax(wanted)
        wanted[parts[index]] -= sizes[index]
    single = np.flatnonzero(sizes == 1)
    counts = _whole(np.maximum(wanted, 0), len(single))
    parts[single] = np.repeat(np.arange(len(shares)), counts)
    for part in range(len(shares)):
        if not np.any(parts == part):
            fullest = np.argmax(np.bincount(parts, minlength=len(shares)))
            candidates = np.flatnonzero(parts == fullest)
            parts[candidates[np.argmin(sizes[candidates])]] = part
    return parts


def _whole(wanted: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers near ``wanted`` that sum to ``total`` (largest remainders)."""
    scaled = wanted * (total / wanted.sum()) if wanted.sum() > 0 else np.full(len(wanted), total / len(wanted))
    counts: np.ndarray = np.floor(scaled).astype(np.int64)
    remainders = np.argsort(counts - scaled, kind="stable")
    counts[remainders[: total - counts.sum()]] += 1
    return counts


def divide(
    labels: Mapping[str, np.ndarray],
    groups: np.ndarray,
    seed: int,
    *,
    stratify: bool,
    repeats: bool = True,
    hold_out: bool = True,
    whole: Groups | None = None,
) -> tuple[dict[str, tuple[str, np.ndarray]], str]:
    """Training, validation and test parts out of the parts that are given.

    Args:
        labels: of each given part: "train", and perhaps "validation" and "test".
        groups: ``(n,)`` ids of the given training part's duplicates. Where less than half of its examples are
            distinct, as in a table of few columns, repetition is its nature and not a leak: ids are then ignored.
        seed: of the parts that are split off.
        stratify: by ``labels["train"]``, one class an example.
        hold_out: whether a test part is split off where none is given.
        repeats: whether repetition can be the data's nature; False where it is always a leak, as with photographs.
        whole: groups of the given training part that must stay together, such as a speaker's recordings: the parts
            that are split off hold other groups than the training part.

    Returns:
        Part → (the given part it is taken from, sorted indices into it), and a sentence on how it was done. There is
        no "test" where training and validation parts are given and no test part is, or where none can be spared.
    """
    count = len(labels["train"])
    chosen = {part: (part, np.arange(len(values))) for part, values in labels.items()}
    if "validation" in labels:
        return chosen, f"The {' and '.join(labels)} parts are given."
    keep = not repeats or 2 * len(np.unique(groups)) >= count
    three = hold_out and "test" not in labels
    shares = THREE_WAY if three else TWO_WAY
    ids = groups if keep else None
    if whole is not None:
        together = whole.ids if ids is None else join(whole.ids, ids)
        parts = whole_groups(labels["train"], shares, together, seed, classes=stratify)
    elif stratify:
        parts = stratified(labels["train"], shares, seed, ids)
    else:
        parts = random_split(count, shares, seed, ids)
    names = ("train", "validation", "test") if three else ("train", "validation")
    for name, indices in zip(names, parts, strict=True):
        if len(indices):
            chosen[name] = ("train", indices)
    if "validation" not in chosen:
        raise DataError(
            f"{count} examples of which {len(np.unique(groups))} are distinct cannot be split into training and "
            "validation parts.",
            "Give more examples, or give the parts yourself.",
        )
    how = "at random, every class in proportion" if stratify else "at random"
    copies = "exact duplicates on one side" if keep else "exact duplicates not kept together: most examples repeat"
    if whole is not None:
        held = "; ".join(f"{name} {whole.take(chosen[name][1]).described()}" for name in names if name in chosen)
        given = "The test part is given; the others hold" if "test" in labels else "The parts hold"
        rule = f"{given} whole groups, told apart by {whole.pattern!r} in the names: {held} (seed {seed}), {copies}."
        return {part: chosen[part] for part in ("train", "validation", "test") if part in chosen}, rule
    if "test" in labels:
        what = "The test part is given; validation is 10 % of the training part"
    elif not hold_out:
        what = "Validation is 10 % of the examples"
    else:
        what = "Training, validation and test parts are 80 %, 10 % and 10 % of the examples"
    rule = f"{what}, chosen {how} (seed {seed}), {copies}."
    return {part: chosen[part] for part in ("train", "validation", "test") if part in chosen}, rule


def describe_splits(parts: Mapping[str, np.ndarray], names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The data card's ``splits``: examples and, where there are classes, how many of each.

    Args:
        parts: split name → encoded targets: class indices ``(n,)``, or 0/1 ``(n, labels)``, or values.
        names: the classes, in index order; empty for values.
    """
    described: dict[str, dict[str, Any]] = {}
    for part, targets in parts.items():
        described[part] = {"examples": len(targets)}
        if names:
            flat = targets.ndim == 1
            counts = np.bincount(targets.astype(np.int64), minlength=len(names)) if flat else targets.sum(axis=0)
            described[part]["classes"] = {name: int(number) for name, number in zip(names, counts, strict=True)}
    return described


def class_warnings(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Warnings on the classes counted by `describe_splits`: imbalance in training, classes missing from a part."""
    warnings = []
    counts: dict[str, int] = splits.get("train", {}).get("classes", {})
    present = {name: number for name, number in counts.items() if number}
    if present:
        most, least = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
        ratio = present[most] / present[least]
        if ratio >= _IMBALANCE:
            warnings.append(
                f"The classes are imbalanced: the training split has {present[most]} of {most!r} and "
                f"{present[least]} of {least!r} ({ratio:.0f} to 1). Look at the balanced accuracy, not the accuracy."
            )
    for part, described in splits.items():
        absent = [name for name, number in described.get("classes", {}).items() if not number]
        if absent:
            shown = ", ".join(repr(name) for name in absent[:5]) + (", …" if len(absent) > 5 else "")
            plural = "class has" if len(absent) == 1 else "classes have"
            warnings.append(f"{len(absent)} {plural} no example in the {part} split: {shown}.")
    return warnings


def describe_duplicates(groups: np.ndarray, parts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The data card's ``duplicates``.

    Args:
        groups: ``(n,)`` ids from `find_duplicates` over all splits together.
        parts: ``(n,)`` the split of each example, as a number.
        names: of the examples.

    Returns:
        ``within``: examples that repeat an earlier one of their own split; ``across``: examples that repeat an
        earlier one of another split and none of their own; ``examples``: up to 20 pairs of names, those across
        splits first.
    """
    pairs: dict[str, list[list[str]]] = {"across": [], "within": []}
    totals = {"across": 0, "within": 0}
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(sizes[inverse] > 1)
    seen: dict[int, dict[int, int]] = {}
    for index in repeated.tolist():
        before = seen.setdefault(int(groups[index]), {})
        part = int(parts[index])
        if part in before or before:
            kind = "within" if part in before else "across"
            totals[kind] += 1
            if len(pairs[kind]) < _SHOWN:
                original = before.get(part, next(iter(before.values())))
                pairs[kind].append([str(names[original]), str(names[index])])
        before.setdefault(part, index)
    return {**totals, "examples": (pairs["across"] + pairs["within"])[:_SHOWN]}


def fill_card(
    card: DataCard, splits: Mapping[str, Split], groups: Mapping[str, np.ndarray], classes: Sequence[str] = ()
) -> None:
    """Complete a card with the counts of its splits, their duplicates and the warnings that follow.

    Args:
        card: changed in place.
        splits: training, validation and test, as far as there are any.
        groups: ids of duplicates, for each split.
        classes: names, where there are classes.
    """
    card.splits = describe_splits({part: split.targets for part, split in splits.items()}, classes)
    parts = np.repeat(np.arange(len(splits)), [len(split) for split in splits.values()])
    names = list(itertools.chain.from_iterable(split.names for split in splits.values()))
    card.duplicates = describe_duplicates(np.concatenate([groups[part] for part in splits]), parts, names)
    across = card.duplicates["across"]
    if across:
        first, second = card.duplicates["examples"][0]
        card.warnings.append(
            f"{across} examples lie in more than one of the given parts ({second} is {first}, say): "
            "the figures measured on these parts may be too good."
        )
    card.warnings += class_warnings(card.splits)
