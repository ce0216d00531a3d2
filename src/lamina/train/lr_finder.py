"""The learning-rate range test: one short run in which the rate grows until the loss explodes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina import cache, optim
from lamina.data import load
from lamina.data.base import Data
from lamina.errors import BadInputError, ConfigError, TrainingError
from lamina.layers import Layer
from lamina.losses import Loss
from lamina.optim import Optimizer
from lamina.train.feed import Feed
from lamina.train.fitting import prepare
from lamina.train.recipe import Recipe
from lamina.train.recipes import recipe_for
from lamina.train.step import Carry, Program

__all__ = ["LearningRates", "find_learning_rate"]

_EXPLODED = 4.0  # times the loss at the start
_SMOOTHING = 0.03  # standard deviation of the smoothing, as a share of all steps


@dataclass(frozen=True)
class LearningRates:
    """What `find_learning_rate` measured, up to where the loss exploded.

    Attributes:
        rates: the learning rate of each step, rising.
        losses: the training loss at it, smoothed.
        raw: the training loss of each batch.
        suggestion: a tenth of the rate at which ``losses`` is lowest: there the loss still falls fast, and a batch that
            is worse than most does not throw the run out.
    """

    rates: np.ndarray
    losses: np.ndarray
    raw: np.ndarray
    suggestion: float

    def __repr__(self) -> str:
        first, last = self.rates[0], self.rates[-1]
        return (
            f"LearningRates({len(self.rates)} rates from {first:.2g} to {last:.2g}, suggestion={self.suggestion:.2g})"
        )

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw the curve with the suggestion marked; the ending of ``path`` chooses the format (.png, .svg, .pdf).

        Raises:
            BadInputError: where the picture cannot be written there.
        """
        from lamina.report import plots

        figure = plots.lr_range(self.rates.tolist(), self.losses.tolist(), self.suggestion)
        try:
            figure.savefig(path, dpi=150)
        except (OSError, ValueError) as error:
            raise BadInputError(f"The plot cannot be written to {path}: {error}.") from error


def find_learning_rate(
    network: Layer | Recipe | Literal["auto"],
    data: Any,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer | Any | None = None,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
    seed: int = 0,
) -> LearningRates:
    """Train for a few steps with a learning rate that rises exponentially, and suggest one from the loss.

    rate_i = low · (high / low)^(i / (steps - 1)). The curve ends where the loss exceeds four times its starting level
    or is not finite.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", WACV, arXiv:1506.01186.
    Departure: the rate rises exponentially, not linearly, so that one test spans many orders of magnitude.

    Args:
        network, data, loss, optimizer: as for `lamina.fit`. The optimiser's own rate and schedule play no part (those
            inside an optax transformation do: the rates here multiply its own).
        low, high: the first and the last rate.
        steps: how many, at least 10. An epoch that ends before is followed by another.
        batch_size: examples a step; default: the recipe's, or 32.
        seed: fixes initialisation, shuffling and dropout.

    Raises:
        BadInputError: for data, options or a network that cannot be used.
        TrainingError: when no rate makes the loss fall, or the very first loss is not finite.
    """
    cache.enable()
    if not 0 < low < high < math.inf:
        raise ConfigError(f"Rates rise from low to high, both above 0. Received: low={low!r}, high={high!r}.")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 10:
        raise ConfigError(f"steps is a whole number of at least 10. Received: steps={steps!r}.")
    if not isinstance(data, Data):
        data = load(data, seed=seed)
    recipe = recipe_for(network, data)
    batch_size = recipe.batch_size if batch_size is None else batch_size
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size is a whole number of at least 1. Received: batch_size={batch_size!r}.")
    program = prepare(
        recipe.network,
        data,
        loss=loss if loss is not None else recipe.loss,
        optimizer=optim.resolve(optimizer if optimizer is not None else recipe.optimizer),
        augmentation=recipe.augmentation,
        freeze_statistics=recipe.freeze_statistics,
    )
    rates = np.geomspace(low, high, steps)
    feed = Feed(data.train, batch_size, seed)
    raw = _losses(recipe.network, replace(program, streams=feed.streams), data, feed, rates, seed)
    return _read(rates, raw)


def _losses(network: Layer, program: Program, data: Data, feed: Feed, rates: np.ndarray, seed: int) -> np.ndarray:
    """The loss of each step; NaN from the first one on that is not finite."""

    @jax.jit
    def run(
        carry: Carry, inputs: Any, targets: jax.Array, indices: jax.Array, rates: jax.Array, count: Any, key: jax.Array
    ) -> tuple[Carry, jax.Array]:
        nothing = jax.tree.map(jnp.zeros_like, carry.sums)

        def body(i: Any, loop: tuple[Carry, jax.Array]) -> tuple[Carry, jax.Array]:
            carry, losses = loop
            x = jax.tree.map(lambda a: a[indices[i]], inputs)
            carry = program.step(carry._replace(sums=nothing), x, targets[indices[i]], rates[i], key)
            return carry, losses.at[i].set(jnp.where(carry.bad < 0, carry.sums.loss, jnp.nan))

        done: tuple[Carry, jax.Array] = lax.fori_loop(0, count, body, (carry, jnp.zeros(rates.shape)))
        return done

    params, state = network.init(jax.random.fold_in(jax.random.key(seed), 1), data.preprocessing.input_spec())
    carry = program.start(params, state)
    losses: list[np.ndarray] = []
    done, epoch = 0, 0
    while done < len(rates):
        epoch += 1
        carry = program.forget(carry)
        for block in feed.blocks(epoch):
            count = min(block.steps, len(rates) - done)
            if count <= 0:
                break
            # Filled up to the block's length, so that one executable serves all blocks.
            these = np.zeros(len(block.indices), np.float32)
            these[:count] = rates[done : done + count]
            carry, found = run(
                carry, block.inputs, block.targets, block.indices, jnp.asarray(these), count, jax.random.key(seed)
            )
            losses.append(np.asarray(found, np.float64)[:count])
            done += count
    return np.concatenate(losses)


def _read(rates: np.ndarray, raw: np.ndarray) -> LearningRates:
    """Cut the curve where it explodes, smooth it, and find the suggestion."""
    start = float(np.mean(raw[: max(3, len(raw) // 20)]))
    if not np.isfinite(start):
        raise TrainingError(
            "The loss is not finite at the lowest learning rate already.",
            "Look for extreme values in the data (--scale standard helps), or start lower.",
        )
    width = max(1.0, _SMOOTHING * len(raw))
    running, end = start, len(raw)
    for step, value in enumerate(raw):
        running += (value - running) / width
        if not running <= start + (_EXPLODED - 1) * abs(start):
            end = step
            break
    rates, raw = rates[:end], raw[:end]
    steps = np.arange(end)
    weights = np.exp(-0.5 * np.square((steps[:, None] - steps) / width))
    # One that explodes must not be seen many steps before.
    clipped = np.minimum(raw, start + (_EXPLODED - 1) * abs(start))
    losses = weights @ clipped / weights.sum(axis=1)
    best = int(np.argmin(losses))
    # From one batch to the next, which tells the noise from the fall.
    noise = float(np.median(np.abs(np.diff(clipped[: best + 2])))) / math.sqrt(3 * width)
    if start - losses[best] <= max(4 * noise, 0.01 * abs(start)):
        raise TrainingError(
            f"No learning rate from {rates[0]:.2g} to {rates[-1]:.2g} makes the loss fall: it begins at {start:.4g}, "
            f"and its lowest is {losses[best]:.4g}.",
            "Check the labels, widen the range of rates, take more steps, or make the network larger.",
        )
    return LearningRates(rates, losses, raw, float(rates[best]) / 10)
