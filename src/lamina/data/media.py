"""A folder with one sub-folder of sounds, or of videos, for each class → splits, preprocessing, data card."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from lamina.data.base import ArraySplit, ClassTarget, Data, DataCard, Inputs, Preprocessing, Split, Target
from lamina.data.decode import parallel
from lamina.data.file_split import FileSplit
from lamina.data.groups import across_warning, named_groups
from lamina.data.image_files import TEST, TRAIN, VALIDATION, Files, Listing, file_groups, free_memory, walk
from lamina.data.splits import divide, fill_card
from lamina.errors import DataError, nearest

__all__ = ["ClipPreprocessing", "Medium", "UnreadableClipError", "load_clips", "load_clips_split"]

_PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
_MEASURED = 1_000  # training examples from which mean and standard deviation are taken
_SHOWN = 3
Header = TypeVar("Header")


class UnreadableClipError(DataError):
    """A sound or video that cannot be read. ``reason`` says why in a few words, such as "the file is empty"."""

    def __init__(self, what: str, name: str, reason: str) -> None:
        super().__init__(f"Cannot read the {what} {name}: {reason}.")
        self.reason = reason


class ClipPreprocessing(Preprocessing):
    """What sounds and videos have in common: one file or folder an example, encoded to one array of a fixed shape."""

    one: ClassVar[str]  # "sound"
    many: ClassVar[str]

    def encode_one(self, raw: Any) -> np.ndarray:
        """One raw example → its array. Raises `UnreadableClipError`."""
        raise NotImplementedError

    def empty(self) -> np.ndarray:
        """The array of an example in which there is nothing."""
        raise NotImplementedError

    def as_sequence(self, raw: Any) -> Sequence[Any]:
        """Raw examples as a sequence of what `encode_one` takes."""
        raise NotImplementedError

    def is_clip(self, path: str) -> bool:
        """Whether a path found in a folder to predict is an example, by its name."""
        raise NotImplementedError

    def encode(self, raw: Any) -> np.ndarray:
        items = self.as_sequence(raw)
        arrays, reasons = self.encode_many(items)
        for index, reason in reasons.items():
            more = f" {len(reasons)} of {len(items)} {self.many} cannot be read." if len(reasons) > 1 else ""
            raise DataError(f"Cannot read the {self.one} {_name(items[index], index)}: {reason}.{more}")
        return arrays

    def encode_many(self, items: Sequence[Any]) -> tuple[np.ndarray, dict[int, str]]:
        """All examples (zeros where one cannot be read), in parallel, and the reasons of those by index."""
        blank = self.empty()
        arrays = np.zeros((len(items), *blank.shape), blank.dtype)

        def one(index: int) -> str | None:
            try:
                arrays[index] = self.encode_one(items[index])
            except UnreadableClipError as error:
                return error.reason
            return None

        reasons = parallel(one, range(len(items)))
        return arrays, {index: reason for index, reason in enumerate(reasons) if reason is not None}

    def batches(self, raw: Any, size: int, skip: Callable[[int, str], object] | None = None) -> Iterator[np.ndarray]:
        items = self.as_sequence(raw)
        for start in range(0, len(items), size):
            part = items[start : start + size]
            if skip is None:
                yield self.encode(part)
                continue
            arrays, reasons = self.encode_many(part)
            for place, reason in reasons.items():
                skip(start + place, reason)
            if len(reasons) < len(part):
                yield np.delete(arrays, list(reasons), axis=0) if reasons else arrays

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """Files and folders of them (searched to any depth). Nothing is decoded here: ``raw`` is the list of paths.

        Raises:
            DataError: for a path that does not exist, or a folder without examples.
        """
        names: list[str] = []
        skipped: list[tuple[str, str]] = []
        for argument in arguments:
            if not os.path.lexists(argument):
                raise DataError(f"There is no {argument}.", f"Expected a {self.one}, or a folder of {self.many}.")
            if not os.path.isdir(argument) or self.is_clip(argument):
                names.append(argument)
                continue
            found = self._below(argument, skipped)
            if not found:
                raise DataError(f"The folder {argument} has no {self.many} in it.")
            names += found
        return Inputs(tuple(names), names, tuple(skipped))

    def _below(self, folder: str, skipped: list[tuple[str, str]]) -> list[str]:
        names = walk(folder, lambda name, reason: skipped.append((os.path.join(folder, name), reason)))
        return [path for path in (os.path.join(folder, name) for name, _ in names) if self.is_clip(path)]


class Medium(Generic[Header]):
    """What differs between sounds and videos when a folder of them is read."""

    kind: ClassVar[str]
    one: ClassVar[str]
    many: ClassVar[str]

    def listing(self, folder: str | os.PathLike[str]) -> Listing:
        """The examples of a folder; what is something else has been left out, with a warning."""
        raise NotImplementedError

    def look(self, path: str) -> Header:
        """What an example says of itself. Raises `UnreadableClipError`."""
        raise NotImplementedError

    def facts(self, headers: Sequence[Header]) -> dict[str, Any]:
        """Of all examples, for the data card."""
        raise NotImplementedError

    def differences(self, headers: Sequence[Header], preprocessing: ClipPreprocessing) -> list[str]:
        """Sentences on what is converted, cut or filled up."""
        raise NotImplementedError

    def plan(self, headers: Sequence[Header]) -> ClipPreprocessing:
        """The preprocessing that suits the training examples, before it is fitted."""
        raise NotImplementedError

    def fitted(self, preprocessing: ClipPreprocessing, encoded: np.ndarray) -> ClipPreprocessing:
        """The preprocessing with what is measured on encoded training examples."""
        raise NotImplementedError

    def remarks(self, encoded: np.ndarray, names: Sequence[str]) -> list[str]:
        """Warnings on encoded examples, such as silent ones."""
        return []

    def groups(self, files: Files) -> np.ndarray:
        """Ids of exact duplicates."""
        return file_groups(files)


class _ClipSplit(FileSplit):
    """Sounds or videos that stay on disk."""

    def __init__(self, files: Files, targets: np.ndarray, preprocessing: ClipPreprocessing) -> None:
        super().__init__(files, targets)
        self.empty = f"an empty {preprocessing.one}"
        self._preprocessing = preprocessing

    def decode(self, files: Files) -> tuple[np.ndarray, dict[int, str]]:
        return self._preprocessing.encode_many(files.paths())


def load_clips(
    medium: Medium[Any],
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    group: str | None = None,
    memory: int | None = None,
    preprocessing: ClipPreprocessing | None = None,
) -> Data:
    """Data from a folder with one sub-folder of sounds or videos for each class.

    ``train/``, ``val/`` and ``test/`` folders of classes are taken as given. What is missing of them is cut from the
    training examples: seeded, stratified, 10 % each, files of equal content on one side. Unreadable ones are left out
    and told of in ``card.skipped`` and ``card.warnings``.

    Args:
        medium: sounds or videos.
        folder: its path.
        seed: of the splits and samples.
        group: examples whose names agree in this pattern stay on one side of the split; see `named_groups`.
        memory: bytes that encoded examples may take; above it they are decoded while training. By default a quarter of
            the free memory.
        preprocessing: a trained model's, in place of one fitted here.

    Raises:
        DataError: no such folder, an empty one, no examples, one class only, a class with one example, more than half
            of the examples unreadable, a class in ``test/`` that ``train/`` lacks.
    """
    listing = medium.listing(folder)
    if TRAIN not in listing.parts:
        raise DataError(f"{listing.source} has no training part.", "Expected train/ beside the other parts.")
    headers = _inspect(medium, listing)
    _check_classes(medium, listing)
    whole = None if group is None else named_groups(listing.files, group)
    copies = medium.groups(listing.files)
    members = {name: np.flatnonzero(listing.parts == part) for name, part in _PARTS.items()}
    given = {name: listing.labels[indices] for name, indices in members.items() if name == "train" or len(indices)}
    training = members["train"]
    own = None if whole is None else whole.take(training)
    chosen, rule = divide(given, copies[training], seed, stratify=True, repeats=False, whole=own)
    parts = {name: members[origin][indices] for name, (origin, indices) in chosen.items()}
    if whole is not None:
        listing.warnings += across_warning(whole, parts)
    planned = preprocessing or medium.plan([headers[index] for index in parts["train"]])
    facts = medium.facts(headers)
    notes = medium.differences(headers, planned)
    encoded = _encode_all(medium, listing, planned, memory, parts)
    kept = {name: np.arange(len(indices)) for name, indices in parts.items()}
    if encoded is not None:
        kept = {name: _readable(medium, listing, parts[name], encoded[name]) for name in parts}
    final = planned
    if preprocessing is None:
        final = medium.fitted(planned, _sample(medium, listing, planned, parts["train"], kept, encoded, seed))
    splits: dict[str, Split] = {}
    for name, indices in parts.items():
        files, labels = listing.files.take(indices[kept[name]]), listing.labels[indices[kept[name]]]
        if encoded is None:
            splits[name] = _ClipSplit(files, labels, final)
            continue
        arrays = encoded[name][0][kept[name]]
        listing.warnings += medium.remarks(arrays, files)
        splits[name] = ArraySplit(arrays, labels, files)
    card = _card(medium, listing, rule, facts, notes, final, encoded is not None)
    ids = {name: copies[indices[kept[name]]] for name, indices in parts.items()}
    fill_card(card, splits, ids, listing.names)
    return Data(splits["train"], splits["validation"], splits.get("test"), final, ClassTarget(listing.names), card)


def load_clips_split(
    medium: Medium[Any],
    folder: str | os.PathLike[str],
    preprocessing: ClipPreprocessing,
    target: Target,
    *,
    memory: int | None = None,
) -> tuple[Split, DataCard]:
    """Labelled examples to evaluate a model on: the ``test/`` part where there is one, otherwise everything.

    Raises:
        DataError: as `load_clips`, and for classes that the model does not know.
    """
    if not isinstance(target, ClassTarget):
        raise DataError(f"{folder} has {medium.many} by class; the model was trained for another task ({target.task}).")
    listing = medium.listing(folder)
    for name in listing.names:
        if name not in target.names:
            raise DataError(f"The model knows no class {name!r} of {listing.source}.", nearest(name, target.names))
    places = np.asarray([target.names.index(name) for name in listing.names], np.int32)
    listing.labels, listing.names = places[listing.labels], target.names
    tested = TEST in listing.given
    if tested:
        listing.keep(np.flatnonzero(listing.parts == TEST))
    headers = _inspect(medium, listing)
    facts, notes = medium.facts(headers), medium.differences(headers, preprocessing)
    everything = {"test": np.arange(len(listing.files))}
    encoded = _encode_all(medium, listing, preprocessing, memory, everything)
    kept = everything["test"]
    if encoded is not None:
        kept = _readable(medium, listing, kept, encoded["test"])
        listing.warnings += medium.remarks(encoded["test"][0][kept], listing.files.take(kept))
    files, labels = listing.files.take(kept), listing.labels[kept]
    split: Split = (
        _ClipSplit(files, labels, preprocessing)
        if encoded is None
        else ArraySplit(encoded["test"][0][kept], labels, files)
    )
    rule = "The test part of the folder." if tested else f"All {medium.many}."
    card = _card(medium, listing, rule, facts, notes, preprocessing, encoded is not None)
    fill_card(card, {"test": split}, {"test": medium.groups(files)}, listing.names)
    return split, card


def _inspect(medium: Medium[Header], listing: Listing) -> list[Header]:
    """The headers of the examples that have one; the others are dropped from the listing."""
    count = len(listing.files)

    def look(index: int) -> Header | UnreadableClipError:
        try:
            return medium.look(listing.files.path(index))
        except UnreadableClipError as error:
            return error

    found = parallel(look, range(count))
    reasons = {index: header.reason for index, header in enumerate(found) if isinstance(header, UnreadableClipError)}
    _refuse_most(medium, listing, [(listing.files[index], reason) for index, reason in reasons.items()], count)
    listing.skipped += [(listing.files[index], reason) for index, reason in reasons.items()]
    listing.keep(np.setdiff1d(np.arange(count), list(reasons)))
    return [header for header in found if not isinstance(header, UnreadableClipError)]


def _refuse_most(medium: Medium[Any], listing: Listing, reasons: list[tuple[str, str]], count: int) -> None:
    if 2 * len(reasons) <= count:
        return
    name, reason = reasons[0]
    first = name if len(reasons) == 1 else f"the first is {name}"
    which = (
        f"None of the {count} {medium.many}"
        if len(reasons) == count
        else f"{len(reasons)} of the {count} {medium.many}"
    )
    verb = "can" if len(reasons) == count else "cannot"
    raise DataError(f"{which} in {listing.source} {verb} be read; {first}: {reason}.")


def _check_classes(medium: Medium[Any], listing: Listing) -> None:
    counts = np.bincount(listing.labels[listing.parts == TRAIN], minlength=len(listing.names))
    if len(listing.names) < 2:
        raise DataError(
            f"{listing.source} has one class only, {listing.names[0]!r}: there is nothing to tell apart.",
            _nested(medium, listing),
        )
    for name, number in zip(listing.names, counts.tolist(), strict=True):
        if number < 2:
            raise DataError(
                f"The class {name!r} of {listing.source} has {f'one {medium.one}' if number else 'nothing readable'}; "
                "at least two are needed, one to learn from and one to check with.",
                f"Add {medium.many}, or take the class out.",
            )


def _nested(medium: Medium[Any], listing: Listing) -> str:
    inner = Path(listing.files.root, listing.names[0])
    deeper = {Path(name).parts[1] for name in listing.files if len(Path(name).parts) > 2}
    if inner.is_dir() and len(deeper) > 1:
        return f"Did you mean {inner}?"
    return f"Expected a sub-folder of {medium.many} for each of at least two classes."


def _encode_all(
    medium: Medium[Any],
    listing: Listing,
    preprocessing: ClipPreprocessing,
    memory: int | None,
    parts: dict[str, np.ndarray],
) -> dict[str, tuple[np.ndarray, dict[int, str]]] | None:
    """Every part's examples with the reasons of the unreadable; None where they do not fit into memory."""
    if len(listing.files) * preprocessing.empty().nbytes > (free_memory() // 4 if memory is None else memory):
        return None
    encoded = {name: preprocessing.encode_many(listing.files.take(indices).paths()) for name, indices in parts.items()}
    failed = [
        (listing.files[parts[name][i]], why) for name, (_, reasons) in encoded.items() for i, why in reasons.items()
    ]
    _refuse_most(medium, listing, failed, len(listing.files))
    return encoded


def _readable(
    medium: Medium[Any], listing: Listing, indices: np.ndarray, encoded: tuple[np.ndarray, dict[int, str]]
) -> np.ndarray:
    """Places within a part of what could be decoded; the rest is noted as skipped."""
    _, reasons = encoded
    listing.skipped += [(listing.files[indices[place]], reason) for place, reason in reasons.items()]
    kept = np.setdiff1d(np.arange(len(indices)), list(reasons))
    if not len(kept):
        raise DataError(f"Nothing readable is left of a part of {listing.source}: {next(iter(reasons.values()))}.")
    return kept


def _sample(
    medium: Medium[Any],
    listing: Listing,
    preprocessing: ClipPreprocessing,
    training: np.ndarray,
    kept: dict[str, np.ndarray],
    encoded: dict[str, tuple[np.ndarray, dict[int, str]]] | None,
    seed: int,
) -> np.ndarray:
    """Some encoded training examples, from which mean and standard deviation are taken."""
    places = np.sort(np.random.default_rng(seed).permutation(kept["train"])[:_MEASURED])
    if encoded is not None:
        sample: np.ndarray = encoded["train"][0][places]
        return sample
    arrays, reasons = preprocessing.encode_many(listing.files.take(training[places]).paths())
    failed = [(listing.files[training[places[place]]], reason) for place, reason in reasons.items()]
    _refuse_most(medium, listing, failed, len(places))
    kept_arrays: np.ndarray = np.delete(arrays, list(reasons), axis=0)
    return kept_arrays


def _card(
    medium: Medium[Any],
    listing: Listing,
    rule: str,
    facts: dict[str, Any],
    notes: list[str],
    preprocessing: ClipPreprocessing,
    in_memory: bool,
) -> DataCard:
    warnings = list(listing.warnings)
    if listing.skipped:
        count = len(listing.skipped)
        shown = ", ".join(f"{name} ({reason})" for name, reason in listing.skipped[:_SHOWN])
        shown += ", …" if count > _SHOWN else ""
        warnings.append(f"{count} {f'{medium.one} was' if count == 1 else f'{medium.many} were'} left out: {shown}.")
    shape = list(preprocessing.input_spec().shape)
    all_facts = {**facts, "input": shape, "in_memory": in_memory, **({"notes": notes} if notes else {})}
    return DataCard(listing.source, medium.kind, {}, rule, all_facts, {}, listing.skipped, warnings)


def _name(item: Any, index: int) -> str:
    return os.fspath(item) if isinstance(item, str | os.PathLike) else f"number {index + 1}"
