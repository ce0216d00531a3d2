"""The exceptions that Lamina raises: one small tree, each with a built-in parent.

A message is a sentence to a person: what was wrong, what was expected, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BadInputError",
    "ConfigError",
    "DataError",
    "LaminaError",
    "ModelFileError",
    "ShapeError",
    "TrainingError",
    "nearest",
]


class LaminaError(Exception):
    """Base of all of Lamina's errors.

    ``hint`` is a second sentence, on what to do; the command line prints it on its own line.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class BadInputError(LaminaError, ValueError):
    """Something the user gave cannot be used; nothing was written (exit code 2)."""


class ConfigError(BadInputError):
    """A layer, loss, optimiser or option was described with values it does not take."""


class ShapeError(BadInputError):
    """A layer got an input whose shape or dtype it cannot work with.

    ``path`` is the dotted path of the layer inside the network ("" until a container adds it).
    """

    def __init__(self, message: str, hint: str = "", path: str = "") -> None:
        super().__init__(message, hint)
        self.path = path

    def at(self, path: str) -> ShapeError:
        """The same error, told of the layer at ``path``."""
        return ShapeError(self.message, self.hint, path)

    def __str__(self) -> str:
        where = f"layer '{self.path}': " if self.path else ""
        return where + super().__str__()


class DataError(BadInputError):
    """Data that cannot be read or learned from."""


class ModelFileError(BadInputError):
    """A file that is not a whole, readable Lamina model."""


class TrainingError(LaminaError, RuntimeError):
    """A run that had begun has failed: it diverged, or the disk is full (exit code 1)."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that offers the names in ``known`` nearest to ``word``, or lists them all."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(name) for name in close)}?"
    return f"Known: {', '.join(names)}."
