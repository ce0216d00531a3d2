"""Groups of examples that a split keeps together: a speaker's recordings, a patient's slides, a camera's pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lamina.errors import ConfigError, DataError

__all__ = ["Groups", "across_warning", "join", "named_groups", "whole_groups"]

_SHOWN = 8  # names


@dataclass(frozen=True)
class Groups:
    """Which group each example belongs to.

    Attributes:
        ids: ``(n,)`` int64, indices into ``names``.
        names: of the groups.
        pattern: by which they were told apart.
    """

    ids: np.ndarray
    names: tuple[str, ...]
    pattern: str

    def take(self, indices: np.ndarray) -> Groups:
        """The groups of these examples."""
        return Groups(self.ids[indices], self.names, self.pattern)

    def present(self) -> list[str]:
        """Names of the groups that have an example."""
        return [self.names[index] for index in np.unique(self.ids)]

    def described(self) -> str:
        """Those names in a sentence, or their number where there are many."""
        present = self.present()
        return ", ".join(present) if len(present) <= _SHOWN else f"{len(present)} groups"


def named_groups(names: Sequence[str], pattern: str) -> Groups:
    """Groups of examples by their names.

    Args:
        names: of the examples: paths relative to the data's folder.
        pattern: a regular expression, searched for in each name (with / between folders). Its first parenthesis names
            the group, or all that it matches where there is none: ``_([a-z]+)_`` makes "theo" of ``3/3_theo_12.wav``.

    Raises:
        ConfigError: for a pattern that is no regular expression.
        DataError: for a name in which it is not found, or one group only.
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise ConfigError(f"The group pattern {pattern!r} is no regular expression: {error}.") from None
    known: dict[str, int] = {}
    ids = np.empty(len(names), np.int64)
    missing: list[str] = []
    for index, name in enumerate(names):
        found = search(str(name).replace(os.sep, "/"))
        text = found and found[1 if found.re.groups else 0]
        if text:
            ids[index] = known.setdefault(text, len(known))
        else:
            missing.append(str(name))
    if missing:
        raise DataError(
            f"The group pattern {pattern!r} is not found in {len(missing)} of {len(names)} names, "
            f"such as {missing[0]}.",
            "It is a regular expression whose parenthesis names the group, such as '_([a-z]+)_'.",
        )
    if len(known) < 2:
        raise DataError(
            f"The group pattern {pattern!r} puts all examples into one group, {next(iter(known), '')!r}: "
            "a split needs at least two.",
            f"An example's name is {names[0]}." if len(names) else "",
        )
    return Groups(ids, tuple(known), pattern)


def across_warning(groups: Groups, parts: Mapping[str, np.ndarray]) -> list[str]:
    """A warning where given parts share groups, or nothing."""
    seen = set(groups.take(parts["train"]).present())
    shared = [name for part in parts if part != "train" for name in groups.take(parts[part]).present() if name in seen]
    if not shared:
        return []
    shown = ", ".join(sorted(set(shared))[:3]) + (", …" if len(set(shared)) > 3 else "")
    return [f"The given parts share groups ({shown}): the figures say little of groups that were never learned from."]


def join(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Ids ``(n,)`` of the finest groups that contain whole groups of both: copies may lie in two people's folders."""
    parents = np.arange(len(first))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = int(parents[index])
        return index

    for ids in (first, second):
        _, leaders, group_of = np.unique(ids, return_index=True, return_inverse=True)
        for index, leader in enumerate(leaders[group_of].tolist()):
            one, other = root(index), root(leader)
            parents[max(one, other)] = min(one, other)
    return np.asarray([root(index) for index in range(len(first))], np.int64)


def whole_groups(
    labels: np.ndarray, shares: Sequence[float], groups: np.ndarray, seed: int, *, classes: bool
) -> tuple[np.ndarray, ...]:
    """Split examples by whole groups, sizes and classes as near to the wanted shares as the groups allow.

    Groups are dealt out one by one, the largest first and equal ones in random order, each to the part where it makes
    χ² = Σ (count − wanted)² / wanted over parts and classes smallest. Every part has a group, as far as there are any;
    earlier parts come first.

    Args:
        labels: class indices or names ``(n,)``, 0/1 ``(n, labels)``, or values where ``classes`` is False.
        shares: the wanted share of each part.
        groups: ids ``(n,)``.
        seed: >= 0.

    Returns:
        One sorted int64 index array per share; together they hold every index once.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    count = int(group_of.max()) + 1
    if not classes:
        members = np.ones((len(labels), 1))
    elif np.ndim(labels) > 1:
        members = np.concatenate([np.asarray(labels, np.float64), np.ones((len(labels), 1))], axis=1)
    else:
        names, places = np.unique(labels, return_inverse=True)
        members = np.eye(len(names))[places]
    counts = np.zeros((count, members.shape[1]))
    np.add.at(counts, group_of, members)
    wanted = np.maximum(np.outer(shares, counts.sum(axis=0)), 1e-9)
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    held = np.zeros_like(wanted)
    part_of = np.zeros(count, np.int64)
    for group in order.tolist():
        added = (((held + counts[group] - wanted) ** 2 - (held - wanted) ** 2) / wanted).sum(axis=1)
        part_of[group] = int(added.argmin())
        held[part_of[group]] += counts[group]
    for part in range(min(len(shares), count)):
        if not np.any(part_of == part):
            fullest = np.bincount(part_of, minlength=len(shares)).argmax()
            candidates = np.flatnonzero(part_of == fullest)
            part_of[candidates[counts[candidates].sum(axis=1).argmin()]] = part
    parts = part_of[group_of]
    return tuple(np.flatnonzero(parts == index) for index in range(len(shares)))
