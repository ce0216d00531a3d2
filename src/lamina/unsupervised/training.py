"""Epochs of contrastive divergence, in compiled chunks of about half a second."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina import cache
from lamina.data.base import ArraySplit
from lamina.errors import ConfigError, TrainingError
from lamina.layers._checks import check_whole, is_whole
from lamina.layers.base import Params
from lamina.train.feed import Block, Feed
from lamina.train.progress import clock
from lamina.unsupervised import contrastive
from lamina.unsupervised.examples import rows
from lamina.unsupervised.measures import MEASURES, measure
from lamina.unsupervised.randoms import root_key

if TYPE_CHECKING:
    from lamina.unsupervised.rbm import RBM

__all__ = ["Training", "first_params", "train"]

_CHUNK_SECONDS = 0.5
_EARLY_EPOCHS, _EARLY_MOMENTUM = 5, 0.5  # Hinton 2010, section 9
_FIRST_WEIGHT = 0.01  # standard deviation; Hinton 2010, section 8
_RAREST = 0.01  # mean that a first bias may stand for
_MEASURED = 1000  # examples whose errors are shown after each epoch
_SAID_SECONDS = 0.5  # between lines on the screen


class Training:
    """One machine's training, an epoch at a time.

    Args:
        x: checked rows ``(n, visible)``.
        epochs: that the schedule is stretched over.

    Attributes:
        carry: parameters and all else that a step changes.
        epoch: number of the last epoch, from 1.
    """

    def __init__(self, rbm: RBM, x: np.ndarray, *, epochs: int, batch_size: int, seed: int) -> None:
        cache.enable()
        self.rbm, self.epochs = rbm, epochs
        self.feed = Feed(ArraySplit(x, np.zeros(len(x), np.int8)), batch_size, seed)
        self.key = root_key(seed)
        first, chains = jax.random.split(jax.random.fold_in(self.key, 1))
        params = first_params(rbm, x, first)
        self.carry = contrastive.start(rbm, params, self.feed.batch_size, chains)
        self.epoch = 0
        self._chunk_steps = 1

    def run_epoch(self) -> None:
        """One pass over the examples.

        Raises:
            TrainingError: where a weight is no longer finite.
        """
        self.epoch += 1
        for block in self.feed.blocks(self.epoch):
            self._run_block(block)
        if not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(self.carry.params)):
            raise TrainingError(
                f"The training of the RBM diverged in epoch {self.epoch}: its weights are not finite.",
                f"Try a learning rate ten times smaller: learning_rate={self.rbm.learning_rate / 10:g}.",  # type: ignore[operator]
            )

    def _run_block(self, block: Block) -> None:
        rbm, total = self.rbm, self.feed.steps * self.epochs
        start = (self.epoch - 1) * self.feed.steps + block.first
        rates = rbm.schedule(np.arange(start, start + len(block.indices)), total) * np.float32(rbm.learning_rate)  # type: ignore[operator]
        momentum = min(rbm.momentum, _EARLY_MOMENTUM) if self.epoch <= _EARLY_EPOCHS else rbm.momentum
        done = 0
        while done < block.steps:
            count = min(self._chunk_steps, block.steps - done)
            began = time.perf_counter()
            self.carry = jax.block_until_ready(
                contrastive.chunk(
                    rbm,
                    self.carry,
                    block.inputs,
                    block.indices,
                    jnp.asarray(rates),
                    jnp.float32(momentum),
                    jnp.int32(done),
                    jnp.int32(count),
                    self.key,
                )
            )
            fitting = int(_CHUNK_SECONDS / (time.perf_counter() - began) * count)
            self._chunk_steps = max(1, min(fitting, 8 * self._chunk_steps))
            done += count


def first_params(rbm: RBM, x: np.ndarray, key: jax.Array) -> Params:
    """Small random weights and biases of 0, but for Gaussian visible units and sparse machines; see `RBM`."""
    visible, hidden = np.zeros(x.shape[1]), np.zeros(rbm.hidden)
    if rbm.visible == "gaussian":
        visible = x.mean(axis=0, dtype=np.float64)
    elif rbm.sparsity_target is not None:
        visible = _log_odds(x.mean(axis=0, dtype=np.float64))
    if rbm.sparsity_target is not None:
        hidden += _log_odds(rbm.sparsity_target)
    return {
        "kernel": _FIRST_WEIGHT * jax.random.normal(key, (x.shape[1], rbm.hidden), jnp.float32),
        "visible_bias": jnp.asarray(visible, jnp.float32),
        "hidden_bias": jnp.asarray(hidden, jnp.float32),
    }


def _log_odds(mean: Any) -> Any:
    # From those of a unit that is hardly ever on, training would take epochs to come back.
    kept = np.clip(mean, _RAREST, 1 - _RAREST)
    return np.log(kept) - np.log1p(-kept)


def train(
    rbm: RBM, x: Any, *, epochs: int, batch_size: int, seed: int, validation: Any, progress: bool
) -> tuple[Params, tuple[int, ...], list[dict[str, Any]]]:
    """The parameters, the shape of an example, and a row of measurements for each epoch; see `RBM.fit`."""
    check_whole("fit", "epochs", epochs)
    check_whole("fit", "batch_size", batch_size)
    if not is_whole(seed, -(2**63)):
        raise ConfigError(f"seed is a whole number. Received: seed={seed!r}.")
    examples = rows(x, rbm.visible)
    measured = {"": _some(examples, seed)}
    if validation is not None:
        measured["val_"] = _some(rows(validation, rbm.visible, examples.shape[1], "validation"), seed)
    training = Training(rbm, examples, epochs=int(epochs), batch_size=int(batch_size), seed=int(seed))
    began, said = time.perf_counter(), 0.0
    history: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        training.run_epoch()
        row: dict[str, Any] = {"epoch": epoch}
        for prefix, some in measured.items():
            found = measure(rbm, training.carry.params, some, jax.random.fold_in(training.key, 2))
            row |= {f"{prefix}{name}": float(found[name]) for name in MEASURES if name in found}
        seconds = time.perf_counter() - began
        history.append(row | {"seconds": round(seconds, 3)})
        if progress and (seconds - said > _SAID_SECONDS or epoch in (1, epochs)):
            said = seconds
            left = clock(seconds / epoch * (epochs - epoch))
            sys.stderr.write(f"{_line(examples.shape[1], rbm, epochs, row)}  left {left}\n")
            sys.stderr.flush()
    return training.carry.params, np.shape(x)[1:], history


def _some(x: np.ndarray, seed: int) -> jax.Array:
    """A thousand examples, the same after every epoch."""
    chosen = np.random.default_rng(abs(seed)).permutation(len(x))[:_MEASURED]
    return jnp.asarray(x[np.sort(chosen)])


def _line(visible: int, rbm: RBM, epochs: int, row: dict[str, Any]) -> str:
    numbers = "  ".join(f"{name} {value:.2f}" for name, value in row.items() if name != "epoch")
    return f"RBM {visible}-{rbm.hidden}  epoch {row['epoch']}/{epochs}  {numbers}"
