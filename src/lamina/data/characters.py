"""One long text as data: what character comes next, after every character."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from lamina.data.base import Answer, ArraySplit, Data, DataCard, Inputs, Preprocessing, Target, Task
from lamina.data.text_files import read_utf8
from lamina.errors import ConfigError, DataError
from lamina.layers.base import Spec, spec

__all__ = [
    "UNKNOWN",
    "CharacterPreprocessing",
    "SymbolTarget",
    "load_character_split",
    "load_characters",
]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # stands for every character that has no code of its own

_STEPS = 64  # characters of a training example; what recurrent layers remember is carried from one to the next
_CUTS = (0.1, 0.9)  # where the training part begins and ends
_LEAST = 1_000  # characters of a text to learn from
_RARE = 3  # occurrences in the training part; rarer characters share one code
_MOST = 5_000  # characters with a code of their own
_SHOWN = 20


@dataclass(frozen=True, repr=False)
class SymbolTarget(Target):
    """What comes next after every step: one of several symbols. Encoded: int32 ``(n, steps)``.

    Attributes:
        names: the symbols, in the order of their codes; the first stands for all unknown ones.
    """

    task: ClassVar[Task] = "generate"
    answer: ClassVar[Answer] = "next"
    names: tuple[str, ...]

    @property
    def units(self) -> int:
        return len(self.names)

    def encode(self, values: Any) -> np.ndarray:
        known = {name: index for index, name in enumerate(self.names)}
        return np.asarray([[known.get(symbol, 0) for symbol in text] for text in values], np.int32)


@dataclass(frozen=True, repr=False)
class CharacterPreprocessing(Preprocessing):
    """A text as the codes of its characters, in pieces.

    Encoded pieces are one character longer than what the network reads: its input is all but the last character, and
    what it has to say all but the first.

    Attributes:
        characters: in the order of their codes; the first stands for all others.
        steps: characters that the network reads of a piece in training.
    """

    kind: ClassVar[str] = "characters"
    characters: tuple[str, ...]
    steps: int

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        """The known characters' code points in rising order, and their codes."""
        points = np.asarray([ord(character) for character in self.characters], np.uint32)
        order = np.argsort(points)
        return points[order], order.astype(np.int32)

    def codes(self, text: str) -> np.ndarray:
        """int32 codes ``(characters,)``, 0 for what is not known."""
        points, codes = self._points
        given = _points(text)
        places = np.minimum(np.searchsorted(points, given), len(points) - 1)
        return np.where(points[places] == given, codes[places], 0).astype(np.int32)

    def text(self, codes: Any) -> str:
        """The characters of codes."""
        return "".join(self.characters[code] for code in np.asarray(codes).tolist())

    def unknown(self, text: str) -> list[str]:
        """The characters of a text that have no code of their own, sorted."""
        return sorted(set(text) - set(self.characters[1:]))

    def pieces(self, text: str) -> np.ndarray:
        """A text cut into pieces, int32 ``(n, steps + 1)``, each beginning with the last character of the one before.

        What is left at the end and fills no piece is left out.
        """
        codes = self.codes(text)
        count = max(len(codes) - 1, 0) // self.steps
        if not count:
            raise DataError(f"The text has {len(codes)} characters; expected more than {self.steps}.")
        pieces: np.ndarray = codes[np.arange(count)[:, None] * self.steps + np.arange(self.steps + 1)]
        return pieces

    def encode(self, raw: Any) -> np.ndarray:
        """Texts → the pieces of each, one after the other, int32 ``(n, steps + 1)``."""
        texts = [raw] if isinstance(raw, str) else list(raw)
        return np.concatenate([self.pieces(text) for text in texts])

    def transform(self, x: Any) -> Any:
        """Pieces ``(n, steps + 1)`` → what the network reads, ``(n, steps)``."""
        return x[:, :-1]

    def input_spec(self) -> Spec:
        return spec((self.steps,), "int32")

    def gather(self, arguments: Sequence[str]) -> Inputs:
        raise DataError(
            "This model does not answer questions about a text; it goes on with one.",
            'Try: lamina sample MODEL --prompt "…".',
        )


def load_characters(
    source: str | os.PathLike[str], *, task: str = "auto", preprocessing: Any = None, steps: int = _STEPS
) -> Data:
    """Data from one text file, cut by place: the first 10 % for validation, the last 10 % as test.

    What lies between is learned from: it borders on the test part, which goes on from it as what the model writes will.

    Args:
        source: path of a UTF-8 file.
        task: "generate" (which "auto" means).
        preprocessing: a trained model's, in place of one fitted here.
        steps: characters of a training example.

    Raises:
        DataError: for a file that is not UTF-8 (its first wrong byte is named), or too short.
        ConfigError: for another task.
    """
    if task not in ("auto", "generate"):
        raise ConfigError(
            f"From one text Lamina learns to generate; it has no labels to {task}.",
            "To tell texts apart, give a folder with a sub-folder of .txt a class, or a table with --text.",
        )
    text = read_utf8(source)
    if len(text) < _LEAST:
        raise DataError(
            f"{source} has {len(text):,} characters; at least {_LEAST:,} are needed." if text.strip()
            else f"{source} is empty."
        )  # fmt: skip
    first, last = (round(share * len(text)) for share in _CUTS)
    places = {"train": (first, last), "validation": (0, first), "test": (last, len(text))}
    parts = {name: text[start:end] for name, (start, end) in places.items()}
    if preprocessing is None:
        steps = min(steps, len(parts["validation"]) // 8)
        preprocessing = CharacterPreprocessing(fit_characters(parts["train"]), steps)
    splits: dict[str, ArraySplit] = {}
    for name, part in parts.items():
        splits[name] = _split(preprocessing, part, places[name][0])
    card = DataCard(os.fspath(source), "characters")
    card.split_rule = (
        "The text is cut by place: the first 10 % for validation, 80 % to learn from, the last 10 % as the test part."
    )
    card.splits = {name: {"examples": len(split), "characters": len(parts[name])} for name, split in splits.items()}
    card.facts = _facts(preprocessing, parts)
    unknown = preprocessing.unknown(parts["validation"] + parts["test"])
    if unknown:
        card.warnings.append(
            f"{_plural(len(unknown), 'character')} of the other parts hardly occur in the training part, and count as "
            f"unknown: {listed(unknown)}."
        )
    target = SymbolTarget(preprocessing.characters)
    return Data(splits["train"], splits["validation"], splits["test"], preprocessing, target, card)


def load_character_split(
    source: str | os.PathLike[str], preprocessing: CharacterPreprocessing, target: Target
) -> tuple[ArraySplit, DataCard]:
    """The whole of a text file, as a trained model takes it."""
    text = read_utf8(source)
    split = _split(preprocessing, text, 0)
    card = DataCard(os.fspath(source), "characters", split_rule=f"All {len(text):,} characters.")
    card.splits = {"test": {"examples": len(split), "characters": len(text)}}
    unknown = preprocessing.unknown(text)
    if unknown:
        card.warnings.append(f"{_plural(len(unknown), 'character')} not known to the model: {listed(unknown)}.")
    return split, card


def fit_characters(text: str) -> tuple[str, ...]:
    """`UNKNOWN`, then the characters that occur at least three times in the text, in the order of their code points."""
    points, counts = np.unique(_points(text), return_counts=True)
    frequent = np.sort(np.argsort(-counts, kind="stable")[:_MOST])
    kept = [chr(points[index]) for index in frequent if counts[index] >= _RARE]
    return (UNKNOWN, *(character for character in kept if character != UNKNOWN))


def listed(characters: Sequence[str]) -> str:
    """Characters as a person can read them."""
    return ", ".join(repr(one) for one in characters[:_SHOWN]) + (", …" if len(characters) > _SHOWN else "")


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _split(preprocessing: CharacterPreprocessing, text: str, start: int) -> ArraySplit:
    steps, pieces = preprocessing.steps, preprocessing.pieces(text)
    names = [f"characters {start + place * steps:,} to {start + (place + 1) * steps:,}" for place in range(len(pieces))]
    return ArraySplit(pieces, pieces[:, 1:], names, continues=True)


def _facts(preprocessing: CharacterPreprocessing, parts: dict[str, str]) -> dict[str, Any]:
    strange = sum(parts["validation"].count(one) for one in preprocessing.unknown(parts["validation"]))
    lines = parts["train"].split("\n")
    return {
        "characters": sum(map(len, parts.values())),
        "alphabet": len(preprocessing.characters),
        "known": "".join(preprocessing.characters[1:]).replace("\n", "⏎").replace("\t", "⇥")[:400],
        "lines": f"{len(lines):,} to learn from, of {len(parts['train']) / len(lines):.0f} characters on average",
        "read": f"pieces of {preprocessing.steps} characters",
        "unknown": f"{strange / max(1, len(parts['validation'])):.2%} of the validation part's characters",
        "beginning": parts["train"][:300],
    }


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
