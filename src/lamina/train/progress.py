"""What a person sees while a network trains: a live bar on a terminal, plain lines elsewhere. All on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from lamina.train.callbacks import Callback

if TYPE_CHECKING:
    from rich.progress import Progress

    from lamina.train.loop import Training

__all__ = ["LiveProgress", "PlainProgress", "progress_for"]


def progress_for(wanted: bool, heading: str = "") -> list[Callback]:
    """The progress display that suits stderr, under a heading, or none."""
    if not wanted:
        return []
    display = LiveProgress() if sys.stderr.isatty() else PlainProgress()
    return [Heading(heading), display] if heading else [display]


def clock(seconds: float | None) -> str:
    """Seconds as a person reads them: ``4.2 s``, ``3:05``, ``1:02:03``."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def epoch_line(training: Training, row: dict[str, Any]) -> str:
    """One epoch in words."""
    name = training.metric
    parts = [
        f"epoch {row['epoch']}/{training.epochs_planned}",
        f"loss {_number(row['loss'])}",
        f"{name} {_number(row[name])}",
    ]
    if training.plan.validated:
        parts.append(f"val_loss {_number(row['val_loss'])}")
        parts.append(f"val_{name} {_number(row[f'val_{name}'])}" + (" *" if row["best"] else ""))
    return "  ".join([*parts, f"{row['examples_per_second']:,.0f}/s"])


class Heading(Callback):
    """A line before the training begins."""

    def __init__(self, text: str) -> None:
        self._text = text

    def on_start(self, training: Training) -> None:
        _say(self._text)


class PlainProgress(Callback):
    """A line an epoch, but not more than two a second; the first and the last always."""

    def __init__(self) -> None:
        self._printed = -1.0
        self._held = ""

    def on_epoch(self, training: Training, row: dict[str, Any]) -> None:
        line = f"{epoch_line(training, row)}  left {clock(training.seconds_left())}"
        if time.perf_counter() - self._printed < 0.5:
            self._held = line
            return
        self._held = ""
        _say(line)
        self._printed = time.perf_counter()

    def on_end(self, training: Training) -> None:
        if self._held:
            _say(self._held)


class LiveProgress(Callback):
    """A bar for the run, with the running loss and metric, speed and time left."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def on_start(self, training: Training) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None if console.width >= 100 else 8),
            TextColumn("{task.fields[numbers]}"),
            TextColumn("[dim]{task.fields[speed]} · left {task.fields[left]}"),
            console=console,
            expand=True,
        )
        self._validated = ""
        self._task = self._progress.add_task(
            "train", total=1.0, epoch=f"1/{training.epochs_planned}", numbers="starting", speed="–", left="–"
        )
        self._progress.start()

    def on_chunk(self, training: Training) -> None:
        self._show(training, training.running_loss, training.running_score)

    def on_epoch(self, training: Training, row: dict[str, Any]) -> None:
        name = training.metric
        if training.plan.validated:
            self._validated = f" val {_short(row[f'val_{name}'])}"
        self._show(training, row["loss"], row[name])

    def _show(self, training: Training, loss: float | None, score: float | None) -> None:
        if self._progress is None:
            return
        done = training.epoch - 1 + training.steps_done / training.steps_per_epoch
        self._progress.update(
            self._task,
            completed=done / max(training.epochs_planned, 1),
            epoch=f"{training.epoch}/{training.epochs_planned}",
            numbers=f"loss {_short(loss)} {training.metric} {_short(score)}{self._validated}",
            speed=f"{training.examples_per_second:,.0f}/s",
            left=clock(training.seconds_left()),
        )

    def on_end(self, training: Training) -> None:
        if self._progress is not None:
            self._progress.stop()
            if training.history:
                _say(epoch_line(training, training.history[-1]))
