"""The `.ts` files of time-series classification (UCR and UEA archives, aeon, sktime)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lamina.errors import DataError

__all__ = ["SeriesFile", "read_ts", "sibling"]

_SPARSE = 0.5  # of a series' values, of which more may not be missing
_FLAGS = ("timestamps", "missing", "univariate", "equallength", "classlabel", "targetlabel")


@dataclass
class SeriesFile:
    """What a `.ts` file holds.

    Attributes:
        source: its path.
        series: ``(steps, channels)`` float32 each; what was missing lies on a straight line between its neighbours.
        labels: one a series; empty where the file has none.
        classes: the labels that its head names, in that order.
        lines: of each series, from 1.
        missing: values that were missing.
    """

    source: str
    series: list[np.ndarray] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    lines: list[int] = field(default_factory=list)
    missing: int = 0

    @property
    def warnings(self) -> list[str]:
        """Sentences for the person."""
        if not self.missing:
            return []
        return [f"{self.missing:,} values of {self.source} are missing: filled by straight lines."]


def read_ts(path: str | Path) -> SeriesFile:
    """Read a `.ts` file: a head of ``@`` lines, then a line a series: its channels apart by ``:``, the label last.

    Raises:
        DataError: naming the line, for a file that is no `.ts` file, is cut off, or holds what is no number.
    """
    found = SeriesFile(str(path))
    head: dict[str, list[str]] = {}
    started = False
    for number, line in enumerate(_text(Path(path)).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if started:
            _read_series(found, line, number, head)
        elif line.startswith("@"):
            words = line[1:].split()
            started = bool(words) and words[0].lower() == "data"
            head[words[0].lower() if words else ""] = words[1:]
            if words and words[0].lower() == "classlabel" and _flag(head, "classlabel"):
                found.classes = tuple(words[2:])
            _check_head(found.source, head)
        else:
            raise DataError(f"{path}, line {number}: expected a line that begins with @ or #, before @data.")
    if not started:
        raise DataError(f"{path} has no line @data: it is cut off in its head, or no .ts file.")
    if not found.series:
        raise DataError(f"{path} has no series after its line @data: it is cut off.")
    return found


def sibling(path: Path) -> Path | None:
    """The file with the test part of the one that holds the training part: X_TEST.ts for X_TRAIN.ts."""
    if not path.stem.lower().endswith("_train"):
        return None
    wanted = f"{path.stem[: -len('train')]}test{path.suffix}".lower()
    return next((other for other in sorted(path.parent.iterdir()) if other.name.lower() == wanted), None)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if b"\0" in content:
        raise DataError(f"{path} is not text: it holds zero bytes.", "Expected a .ts file.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # in comments and labels, as the archive's older files have it


def _flag(head: dict[str, list[str]], name: str) -> bool:
    return bool(head.get(name)) and head[name][0].lower() == "true"


def _check_head(source: str, head: dict[str, list[str]]) -> None:
    for name in _FLAGS:
        if name in head and (not head[name] or head[name][0].lower() not in ("true", "false")):
            raise DataError(f"{source}: @{name} is to be followed by true or false.")
    if _flag(head, "timestamps"):
        raise DataError(
            f"{source} gives every value with its time (@timeStamps true), which is not read.",
            "Write the values alone, at even steps.",
        )
    if _flag(head, "targetlabel"):
        raise DataError(f"{source} gives a number for each series (@targetLabel true); expected classes (@classLabel).")


def _read_series(found: SeriesFile, line: str, number: int, head: dict[str, list[str]]) -> None:
    where = f"{found.source}, line {number}"
    *parts, last = line.split(":")
    if not found.classes:
        parts = [*parts, last]
    elif not parts or "," in last:
        raise DataError(f"{where}: the series has no label after its last colon.", "The file may be cut off there.")
    elif last.strip() not in found.classes:
        raise DataError(
            f"{where}: the label {last.strip()!r} is none of the classes {', '.join(found.classes[:10])}.",
            "The file may be cut off there.",
        )
    channels = [_numbers(part, f"{where}, channel {place}" if len(parts) > 1 else where, found)
                for place, part in enumerate(parts, 1)]  # fmt: skip
    lengths = {len(channel) for channel in channels}
    if len(lengths) > 1:
        raise DataError(f"{where}: its channels have {min(lengths)} to {max(lengths)} values; expected equally many.")
    series = np.stack(channels, axis=1)
    if found.series and series.shape[1] != found.series[0].shape[1]:
        raise DataError(
            f"{where}: the series has {series.shape[1]} channels; those above have {found.series[0].shape[1]}."
        )
    wanted = _length(found, head)
    if wanted is not None and len(series) != wanted:
        raise DataError(
            f"{where}: the series has {len(series)} values; expected {wanted}.",
            "Where lengths differ, the head says @equalLength false.",
        )
    found.series.append(series)
    found.lines.append(number)
    if found.classes:
        found.labels.append(last.strip())


def _length(found: SeriesFile, head: dict[str, list[str]]) -> int | None:
    """The length that every series has to have; None where they may differ."""
    if "equallength" in head and not _flag(head, "equallength"):
        return None
    stated = head.get("serieslength") or [""]
    if stated[0].isdigit() and int(stated[0]) > 0:
        return int(stated[0])
    return len(found.series[0]) if found.series and _flag(head, "equallength") else None


def _numbers(text: str, where: str, found: SeriesFile) -> np.ndarray:
    cells = text.split(",")
    try:
        values = np.array(cells, np.float64)
    except ValueError:
        values = np.array([_number(cell, place, where) for place, cell in enumerate(cells, 1)])
    known = np.flatnonzero(np.isfinite(values))
    missing = len(values) - len(known)
    if missing > _SPARSE * len(values):
        raise DataError(f"{where}: {missing} of {len(values)} values are missing.", "Leave the series out.")
    if missing:
        found.missing += missing
        values = np.interp(np.arange(len(values)), known, values[known])
    return values.astype(np.float32)


def _number(cell: str, place: int, where: str) -> float:
    cell = cell.strip()
    if cell.lower() in ("?", "nan", ""):
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"{where}: value {place} is {cell!r}, which is no number.") from None
