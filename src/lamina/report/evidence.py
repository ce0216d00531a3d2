"""What the report's measurements are made of: one split, what the model says of it, what is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lamina import heads
from lamina.data.base import Split, Target
from lamina.run import Run

__all__ = ["Evidence", "gather"]


@dataclass(frozen=True)
class Evidence:
    """One split, measured.

    Attributes:
        part: "test", or "validation" where there is no test split.
        split: its examples.
        target: classes, labels or values.
        answers: probabilities ``(n, classes)``, values ``(n, values)`` or reconstructions in the inputs' shape.
        truth: class indices ``(n,)``, 0/1 ``(n, labels)``, values ``(n, values)`` or the inputs.
    """

    part: str
    split: Split
    target: Target
    answers: np.ndarray
    truth: np.ndarray

    @property
    def several(self) -> bool:
        """Whether an example can have several labels."""
        return self.target.answer == "labels"

    @cached_property
    def predicted(self) -> np.ndarray:
        """Class indices ``(n,)``, or 0/1 ``(n, labels)``."""
        return (self.answers >= 0.5).astype(np.int64) if self.several else self.answers.argmax(axis=1)

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the predicted class, ``(n,)``."""
        highest: np.ndarray = self.answers.max(axis=1)
        return highest

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each example is answered wholly right, ``(n,)``."""
        same = self.predicted == self.truth
        return np.asarray(same.all(axis=1)) if self.several else same

    @cached_property
    def error(self) -> np.ndarray:
        """How wrong each answer is, ``(n,)``: examples are shown in this order.

        Classes: the probability of the predicted class where that is wrong, else 0; labels: the largest
        |probability − truth|, where an example has a wrong one; values: the largest |error|, in standard deviations;
        reconstructions: the squared error, summed over the input's numbers.
        """
        if self.target.answer == "input":
            squares = np.square(np.subtract(self.answers, self.truth, dtype=np.float64))
            return np.asarray(squares.reshape(len(squares), -1).sum(axis=1))
        if self.target.answer == "values":
            spread = np.maximum(self.truth.std(axis=0), np.finfo(np.float64).tiny)
            off: np.ndarray = (np.abs(self.answers - self.truth) / spread).max(axis=1)
            return off
        sure = np.abs(self.answers - self.truth).max(axis=1) if self.several else self.confidence
        return np.where(self.right, 0.0, sure)

    def name(self, index: int) -> str:
        """The example's file name or row."""
        return str(self.split.names[index]) if len(self.split.names) else f"example {index}"


def gather(run: Run, outputs: Mapping[str, np.ndarray] | None) -> Evidence | None:
    """The test split, or the validation split where there is none; None for a run that ended before it was measured.

    Args:
        run: the run.
        outputs: the network's raw outputs by split, where they are known; they are not computed again then.
    """
    part = "validation" if run.data.test is None else "test"
    split = run.data.validation if run.data.test is None else run.data.test
    raw = None if outputs is None else outputs.get(part)
    if raw is None:
        if run.status == "interrupted":  # the person who stopped it does not want to wait
            return None
        raw = run.model.outputs(split)
    target = run.model.target
    truth = target.decode(run.model.truth(split))
    return Evidence(part, split, target, heads.answers(target, raw), truth)
