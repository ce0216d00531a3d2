"""Training once more, on training and validation part together, once validation has chosen how long.

The validation part has done its work when it has chosen an epoch and a learning rate. What it holds may be just what
the training part lacks: the latest months of a series, one more speaker. scikit-learn's searches end like this
(``refit=True``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lamina.data.base import Data
from lamina.data.joined import JoinedSplit
from lamina.errors import ConfigError, TrainingError
from lamina.train.loop import Plan, Training
from lamina.train.step import Program

__all__ = ["first_share", "train_again"]


def first_share(data: Data) -> float:
    """How much of the time for both trainings the first one may take."""
    return len(data.train) / (2 * len(data.train) + len(data.validation))


def train_again(first: Training, start: Callable[[Program, Data, Plan], Training]) -> Training | None:
    """From the beginning, for as many epochs as were best in the first training, with the schedule fitted to them.

    Weights that were best in the middle of a schedule, at a high learning rate, were so by chance; as many epochs with
    a whole schedule are not.

    Args:
        first: the training that has ended; it is released.
        start: makes and compiles a training.

    Returns:
        The training with its weights in ``best``, or None where it could not be finished.
    """
    first.release()
    program, plan = first.program, first.plan
    if plan.rates:
        optimizer = replace(program.optimizer, learning_rate=plan.rates[first.best.rate])
        program = replace(program, optimizer=optimizer, rates=0)
    plan = Plan(first.best.epoch, plan.batch_size, plan.seed, validated=False)
    whole = JoinedSplit(first.data.validation, first.data.train)  # a book goes on from the one into the other
    try:
        again = start(program, replace(first.data, train=whole), plan)
        again.run()
    except (ConfigError, TrainingError):  # too little memory is left, or it diverged: there is a trained model already
        return None
    return again if again.status == "finished" else None
