"""Hooks into a running training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina.train.loop import Training

__all__ = ["Callback"]


class Callback:
    """Base of callbacks: override what you need. ``training.stop(reason)`` ends the run after the current chunk."""

    def on_start(self, training: Training) -> None:
        """Everything is compiled; the first step is about to run."""

    def on_chunk(self, training: Training) -> None:
        """About a second's worth of steps is done."""

    def on_epoch(self, training: Training, row: dict[str, Any]) -> None:
        """An epoch is done and validated; ``row`` is its line of ``metrics.jsonl``."""

    def on_end(self, training: Training) -> None:
        """The run is over, in whatever way."""
