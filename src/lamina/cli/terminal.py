"""What a person sees: sentences and tables, safe to print whatever names the data has."""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import typer

__all__ = ["Reporter", "aligned", "clean", "emit_json", "metric_number", "note", "percent", "styled"]


def styled(text: str, colour: str = "", bold: bool = True) -> str:
    """Text in colour; `note` takes the colour out where there is no terminal."""
    return typer.style(text, fg=colour or None, bold=bold)


def note(text: str) -> None:
    """A line on stderr."""
    typer.echo(text, err=True)


def emit_json(value: Mapping[str, Any]) -> None:
    """The one JSON object on stdout. Numbers that are not finite have no JSON form and become null."""
    print(json.dumps(_finite(value), allow_nan=False))  # noqa: T201


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def clean(text: str) -> str:
    """A name from data, such as a file's, without what could confuse a terminal: control characters, broken UTF-8."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Rows of cells as lines with aligned columns, two spaces apart.

    Args:
        rows: all of one length.
        right: numbers of the columns that are aligned to the right.
    """
    from rich.cells import cell_len

    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def pad(column: int, cell: str) -> str:
        space = " " * (widths[column] - cell_len(cell))
        return space + cell if column in right else cell + space

    return ["  ".join(pad(column, cell) for column, cell in enumerate(row)).rstrip() for row in rows]


def metric_number(value: float | None) -> str:
    """A metric with as many digits as a person can use."""
    if value is None:
        return "–"
    if value == 0 or 0.0005 <= abs(value) < 1000:
        return f"{value:.4f}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.2g}"


def percent(probability: float) -> str:
    """A probability as a person reads it; certainty is never claimed by rounding."""
    text = f"{probability:.1%}"
    if text == "100.0%" and probability < 1:
        return ">99.9%"
    return "<0.1%" if text == "0.0%" and probability > 0 else text


class Reporter:
    """Says things on stderr, and keeps the warnings for ``--json``.

    Args:
        quiet: only warnings are said.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.warnings: list[str] = []

    def say(self, text: str = "") -> None:
        """A line on progress or results."""
        if not self.quiet:
            note(text)

    def field(self, name: str, text: str) -> None:
        """A named line, such as ``model    runs/digits/model.lamina``; what follows its first line stands below it."""
        lines = text.split("\n")
        if sys.stderr.isatty():
            width = max(20, min(shutil.get_terminal_size().columns, 120) - 9)
            lines = [part for line in lines for part in textwrap.wrap(line, width, break_on_hyphens=False) or [""]]
        self.say("\n".join([styled(f"{name:<9}") + lines[0], *(" " * 9 + line for line in lines[1:])]))

    def skipped(self, inputs: Sequence[tuple[str, str]]) -> None:
        """Warn of inputs that could not be read, pairs of name and reason."""
        for name, reason in inputs[:5]:
            self.warn(f"{name} was skipped: {reason}")
        if len(inputs) > 5:
            self.warn(f"{len(inputs) - 5} more were skipped.")

    def warn(self, text: str) -> None:
        """A line that is said also when quiet."""
        self.warnings.append(text)
        note(f"{styled('warning:', 'yellow')} {clean(text)}")
