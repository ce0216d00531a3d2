"""From a text to the codes that a network takes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lamina.data.base import Inputs, Preprocessing
from lamina.data.text_files import TEXT_FILES, read_utf8
from lamina.data.text_vocabulary import Vocabulary
from lamina.errors import DataError
from lamina.layers import Masked
from lamina.layers.base import Spec, spec

__all__ = ["TextPreprocessing"]

_SHOWN = 60  # characters of a text that stand for it
_TABLES = (".csv", ".tsv", ".parquet", ".pq")
_EMPTY = "it is empty"


@dataclass(frozen=True, repr=False)
class TextPreprocessing(Preprocessing):
    """A text as the codes of its tokens, at most ``length`` of them: what is longer loses its end.

    Attributes:
        vocabulary: of the training split.
        length: tokens that are read of a text.
        column: of a table, that holds the texts; empty where training had no table.
        target: the column that the model predicts; empty likewise.
    """

    kind: ClassVar[str] = "text"
    vocabulary: Vocabulary
    length: int
    column: str = ""
    target: str = ""

    def encode(self, raw: Any) -> Masked:
        """Texts (a sequence of str, or a frame with the column) → codes int32 ``(n, length)`` and lengths ``(n,)``."""
        texts = self.texts(raw)
        for index, text in enumerate(texts):
            if not self.vocabulary.split(text):
                raise DataError(f"Text number {index + 1} is empty: there is nothing to read.", "Leave it out.")
        return self.encoded([self.vocabulary.encode(text) for text in texts])

    def encoded(self, rows: Sequence[Sequence[int]]) -> Masked:
        """Codes of unequal length in one array, cut at ``length``."""
        values = np.zeros((len(rows), self.length), np.int32)
        for index, row in enumerate(rows):
            kept = row[: self.length]
            values[index, : len(kept)] = kept
        lengths = np.asarray([min(len(row), self.length) for row in rows], np.int32)
        return Masked(values, lengths)

    def batches(self, raw: Any, size: int, skip: Callable[[int, str], object] | None = None) -> Iterator[Masked]:
        texts = self.texts(raw)
        for start in range(0, len(texts), size):
            kept = texts[start : start + size]
            if skip is not None:
                for index, text in enumerate(kept, start):
                    if not self.vocabulary.split(text):
                        skip(index, _EMPTY)
                kept = [text for text in kept if self.vocabulary.split(text)]
            if kept:
                yield self.encode(kept)

    def transform(self, x: Masked) -> Masked:
        return x

    def input_spec(self) -> Spec:
        return Masked(spec((self.length,), "int32"), spec((), "int32"))

    def texts(self, raw: Any) -> list[str]:
        """Raw input as a list of texts.

        Raises:
            DataError: for what is none.
        """
        if isinstance(raw, str):
            raise DataError("Expected several texts, got one.", f"Give a list: [{raw[:20]!r}].")
        if hasattr(raw, "columns"):
            return self._column(raw)
        if not isinstance(raw, Sequence | np.ndarray):
            raise DataError(f"Expected a list of texts. Received: {type(raw).__name__}.")
        texts = list(raw)
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"Expected texts; number {index + 1} is a {type(text).__name__}.")
        return texts

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """`.txt` files and folders of them, tables with the column of texts, "-" for a text a line, or texts as typed.

        What names no file, and does not look like a file's name, is a text itself.
        """
        named = [pair for argument in arguments for pair in self._found(argument)]
        if not named:
            raise DataError(f"There is no text in {', '.join(arguments)}.")
        texts = tuple(text for _, text in named)
        return Inputs(tuple(name for name, _ in named), texts, warnings=tuple(self.remarks(texts)))

    def remarks(self, texts: Sequence[str]) -> list[str]:
        """Sentences on what the model will not see of these texts: the ends of long ones, all of unknown ones."""
        rows = [self.vocabulary.encode(text) for text in texts]
        cut = sum(len(row) > self.length for row in rows)
        strange = sum(bool(row) and not self.vocabulary.knows(row[: self.length]) for row in rows)
        unit = self.vocabulary.unit
        remarks = []
        if cut:
            plural = "text is" if cut == 1 else "texts are"
            remarks.append(f"{cut} {plural} longer than {self.length} {unit}; the rest is not read.")
        if strange:
            plural = "text holds" if strange == 1 else "texts hold"
            remarks.append(f"{strange} {plural} none of the {unit} seen in training: the answer is a guess.")
        return remarks

    def _found(self, argument: str) -> Iterator[tuple[str, str]]:
        path = Path(argument).expanduser()
        ending = path.suffix.lower()
        if argument == "-":
            yield from ((_shown(line), line) for line in read_utf8("-").split("\n") if line.strip())
        elif ending in _TABLES:
            texts = self._column(argument)
            yield from ((f"{argument} row {row}", text) for row, text in enumerate(texts, 1))
        elif _exists(path) and path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in TEXT_FILES)
            yield from itertools.chain.from_iterable(self._found(os.fspath(file)) for file in files)
        elif ending in TEXT_FILES or (_exists(path) and path.is_file()):
            yield argument, read_utf8(argument)
        else:
            yield _shown(argument), argument

    def _column(self, source: Any) -> list[str]:
        from lamina.data.table_read import read_table
        from lamina.data.text_read import column_of

        if not self.column:
            raise DataError(
                "The model was not trained on a table, and knows no column to read.", "Give a list of texts, or .txt."
            )
        if isinstance(source, str) and Path(source).suffix.lower() in (".csv", ".tsv"):
            read_utf8(source)
        table = read_table(source, names=[self.column], text=self.column)
        return [text or "" for text in column_of(table, self.column).to_list()]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a text too long, or too strange, for a file's name
        return False


def _shown(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else flat[: _SHOWN - 1] + "…"
