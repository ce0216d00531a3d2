"""What weights are worth: the validation split after every epoch, and outputs for whole splits."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import numpy as np

from lamina import heads
from lamina.data.base import Data, Split
from lamina.data.continuing import continues, run_streams
from lamina.layers.base import Params, State
from lamina.metrics import main_metric, standard
from lamina.model import PIECES, run_batches
from lamina.train.step import Program

__all__ = ["InterruptedPassError", "Scorer"]

_BATCH = 256


class InterruptedPassError(Exception):
    """Ctrl-C during a pass over a split."""


class Scorer:
    """Loss and main metric of weights on the validation split.

    Args:
        interrupted: asked before every batch whether to end the pass.
    """

    def __init__(self, program: Program, data: Data, interrupted: Callable[[], bool]) -> None:
        self._data, self._interrupted = data, interrupted
        self._predict = jax.jit(program.predict)
        self._advance = jax.jit(program.advance)
        self._loss = jax.jit(program.loss)  # one by one, its small operations take longer to compile

    @functools.cached_property
    def _truth(self) -> np.ndarray:
        # An auto-encoder's is the whole split, and a training without validation never asks for it.
        return heads.truth(self._data.target, self._data.preprocessing, self._data.validation)

    def validate(self, params: Params, state: State) -> tuple[float, float | None]:
        """Loss and score; NaN and None where the outputs are not finite.

        Raises:
            InterruptedPassError: where the pass was interrupted.
        """
        outputs = self.outputs(self._data.validation, params, state)
        if not np.isfinite(outputs).all():  # the weights are, but too large to compute with
            return float("nan"), None
        if self._data.target.answer == "next":  # the outputs are scores already
            return float(outputs[:, 0].mean()), self._score(outputs)
        return float(self._loss(outputs, self._truth)), self._score(outputs)

    def outputs(self, split: Split, params: Params, state: State) -> np.ndarray:
        """Raw outputs in evaluation for a whole split.

        Raises:
            InterruptedPassError: where the pass was interrupted.
        """

        def check() -> None:
            if self._interrupted():
                raise InterruptedPassError

        size = PIECES if self._data.target.answer == "next" else _BATCH
        if continues(split):
            return run_streams(functools.partial(self._advance, params, state), split, size, check)
        return run_batches(functools.partial(self._predict, params, state), split, size, check)

    def _score(self, outputs: np.ndarray) -> float | None:
        target = self._data.target
        name = main_metric(target.task)
        metric = standard(target.task)[name]
        metric.update(heads.answers(target, outputs), target.decode(self._truth))
        value = metric.result()
        return None if value is None or not np.isfinite(value) else float(value)
