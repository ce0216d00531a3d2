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
_BLANK = " "
_FEW_WORDS = 3.0  # words a text on average: names and codes have fewer
_LONG_WORD = 9.0  # characters a word on average: scripts without spaces have more
_MOST = {"words": 50_000, "characters": 5_000}


@dataclass(frozen=True, repr=False)
class Vocabulary(Config):
    """The tokens that have a code of their own. Codes: 0 for every other token, 1 for every other number, then these.

    Attributes:
        unit: "words" (runs of letters and digits, and each other mark by itself) or "characters" (with a blank before
            the first and after the last: what names begin and end with tells much, and a bag of n-grams then sees it).
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
        """The tokens of a text, known or not; none of an empty one."""
        text = text.lower() if self.lower else text
        if self.unit == "words":
            return _WORD.findall(text)
        text = text.strip()
        return [_BLANK, *text, _BLANK] if text else []

    def encode(self, text: str) -> list[int]:
        """The codes of a text's tokens."""
        known = self._codes
        return [known[token] if token in known else int(_is_number(token)) for token in self.split(text)]

    def knows(self, codes: Sequence[int]) -> bool:
        """Whether any of these stands for a token of its own, blanks apart."""
        blank = self._codes.get(_BLANK)
        return any(code >= 2 and code != blank for code in codes)

    def decode(self, codes: Sequence[int]) -> str:
        """The text as far as the codes tell it: what has no code of its own is shown as "…", numbers as "#"."""
        shown = [self.tokens[code - 2] if code >= 2 else "#" if code else "…" for code in codes]
        return (" " if self.unit == "words" else "").join(shown).strip()


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
    """The tokens that the texts hold, the most frequent first.

    Numbers and characters that occur only once have no code of their own: the codes for what is not known are learned
    from them. Words that occur once have one, since on small sets they tell the most.

    Args:
        texts: of the training split alone.
        unit: what a token is. Words are taken in lower case, characters as they stand.
    """
    empty = Vocabulary(unit, (), lower=unit == "words")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(empty.split(text))
    ordered = sorted(
        (-number, token)
        for token, number in counts.items()
        if number > 1 or (unit == "words" and not _is_number(token))
    )
    return Vocabulary(unit, tuple(token for _, token in ordered[: _MOST[unit]]), empty.lower)


def normal(text: str) -> str:
    """A text without its differences in case and white space: what is the same text is the same."""
    return " ".join(text.casefold().split())


def _is_number(token: str) -> bool:
    return any(character.isdigit() for character in token)
