"""Texts as numbers: words or characters, and the vocabulary of a training split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from lamina.config import Config

__all__ = ["TOKENS", "Unit", "Vocabulary", "choose_unit", "fit_vocabulary", "normal"]

Unit: TypeAlias = Literal["words", "characters"]
TOKENS = ("auto", "words", "characters")

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_FEW_WORDS = 3.0  # words a text on average: names and codes have fewer
_LONG_WORD = 9.0  # characters a word on average: scripts without spaces have more
_MOST = {"words": 50_000, "characters": 5_000}
_LEAST = {"words": 2, "characters": 2}  # occurrences in the training split


@dataclass(frozen=True, repr=False)
class Vocabulary(Config):
    """The tokens that have a code of their own. Codes: 0 for every other token, 1 for every other number, then these.

    Attributes:
        unit: "words" (runs of letters and digits, and each other mark by itself) or "characters".
        tokens: in order of their codes.
        lower: whether upper and lower case are one.
    """

    unit: Unit
    tokens: tuple[str, ...]
    lower: bool = False

    def __len__(self) -> int:
        return len(self.tokens) + 2

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {token: code for code, token in enumerate(self.tokens, 2)}

    def split(self, text: str) -> list[str]:
        """The tokens of a text, known or not."""
        text = text.lower() if self.lower else text
        return _WORD.findall(text) if self.unit == "words" else list(text.strip())

    def encode(self, text: str) -> list[int]:
        """The codes of a text's tokens."""
        known = self._codes
        return [known[token] if token in known else int(_is_number(token)) for token in self.split(text)]

    def decode(self, codes: Sequence[int]) -> str:
        """The text as far as the codes tell it: what has no code of its own is shown as "…", numbers as "#"."""
        shown = [self.tokens[code - 2] if code >= 2 else "#" if code else "…" for code in codes]
        return (" " if self.unit == "words" else "").join(shown)


def choose_unit(texts: Sequence[str]) -> tuple[Unit, str]:
    """Words or characters, told from what the texts look like, and a sentence on why."""
    words = np.asarray([len(text.split()) for text in texts])
    letters = np.asarray([len(text) for text in texts])
    mean = float(words.mean()) if len(words) else 0.0
    if mean < _FEW_WORDS:
        return "characters", f"The texts have {mean:.1f} words on average, so they are read by their characters."
    if letters.sum() > _LONG_WORD * words.sum():
        return "characters", "The texts are written without spaces, so they are read by their characters."
    return "words", f"The texts have {mean:.1f} words on average, so they are read by their words."


def fit_vocabulary(texts: Sequence[str], unit: Unit) -> Vocabulary:
    """The tokens that occur at least twice in the texts, the most frequent first.

    Args:
        texts: of the training split alone.
        unit: what a token is. Words are taken in lower case, characters as they stand.
    """
    empty = Vocabulary(unit, (), lower=unit == "words")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(empty.split(text))
    ordered = sorted((-number, token) for token, number in counts.items() if number >= _LEAST[unit])
    return Vocabulary(unit, tuple(token for _, token in ordered[: _MOST[unit]]), empty.lower)


def normal(text: str) -> str:
    """A text without its differences in case and white space: what is the same text is the same."""
    return " ".join(text.casefold().split())


def _is_number(token: str) -> bool:
    return any(character.isdigit() for character in token)
