"""fit: from a network and data to a trained, measured model."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal

import jax
import numpy as np

from lamina import cache, heads, losses, optim
from lamina.config import Config, to_json
from lamina.data import load
from lamina.data.augment import Augmentation
from lamina.data.base import Data, Split
from lamina.errors import BadInputError, ConfigError, TrainingError
from lamina.layers import Layer, Pretrained
from lamina.layers.base import Params, State
from lamina.layers.pretrained import holds_weights
from lamina.losses import Loss, MaxNorm, Penalty
from lamina.model import Model
from lamina.optim import Optimizer
from lamina.run import Run
from lamina.train.callbacks import Callback
from lamina.train.checkpoint import Checkpoints, restore
from lamina.train.conclusion import conclude, surroundings
from lamina.train.folder import Record, prepare_folder
from lamina.train.loop import Plan, Training
from lamina.train.progress import progress_for
from lamina.train.recipe import Recipe
from lamina.train.recipes import choose, recipe_for
from lamina.train.refit import first_share, train_again
from lamina.train.step import Program

__all__ = ["fit", "prepare"]

_PRECISIONS = {"f32": "float32", "bf16": "bfloat16"}


def fit(
    network: Layer | Recipe | Literal["auto"],
    data: Any,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer | Any | None = None,
    learning_rates: Sequence[float] = (),
    epochs: int | None = None,
    batch_size: int | Literal["full"] | None = None,
    seed: int = 0,
    precision: Literal["f32", "bf16"] | None = None,
    remat: bool = False,
    augmentation: Augmentation | Literal["auto"] | None = None,
    penalties: Sequence[Penalty] = (),
    constraint: MaxNorm | None = None,
    patience: int | None = None,
    freeze_statistics: bool | None = None,
    time_limit: float | None = None,
    refit: bool = False,
    callbacks: Sequence[Callback] = (),
    out: str | PathLike[str] | None = None,
    force: bool = False,
    resume: bool = False,
    progress: bool = True,
    command: str = "",
) -> Run:
    """Train a network and measure it.

    The run is one compiled program that takes about a second's worth of steps at a time. After each epoch the
    validation split is scored; the model gets the best epoch's weights. The test split, where there is one, is scored
    once, at the end. The same arguments give the same weights, bit for bit, on the same machine (unless
    ``time_limit`` cuts a run short).

    Args:
        network: a layer, or "auto" to have network and recipe chosen for the data, or a recipe.
        data: a `lamina.data.Data`, or what `lamina.data.load` reads: ``(x, y)`` arrays, a folder of pictures, a
            table, a built-in name.
        loss: a name or a `Loss`; default: cross-entropy for classes, squared error for values.
        optimizer: a name, an `Optimizer` or an optax transformation; default: the recipe's, or Adam.
        learning_rates: several rates, trained side by side in one program; the best by validation wins.
        epochs: at most; default: the recipe's, or 10.
        batch_size: examples a step, or "full"; default: the recipe's, or 32.
        seed: fixes initialisation, shuffling, dropout and augmentation.
        precision: "f32", or "bf16" to compute in bfloat16 with float32 weights, statistics and losses. Default: the
            recipe's, or "f32".
        remat: keep only what enters each block (a residual block, a set of branches, layers up to a pooling) for the
            backward pass and compute the activations inside it again: less memory, more time.
        augmentation: applied to the training batches inside the compiled step; "auto": what suits the data. Default:
            the recipe's where the network is chosen, none for a network of your own.
        penalties: `L1`, `L2` terms on the weights.
        constraint: `MaxNorm` on the weights, after each step.
        patience: stop after this many epochs without a better validation score.
        freeze_statistics: BatchNorm layers use their running statistics in training too, and keep them: for networks
            that begin with trained weights. Default: the recipe's, or False.
        time_limit: seconds after which to stop, compilation included; schedules are fitted to it.
        refit: once validation has chosen the number of epochs (and the learning rate), train again from the beginning
            for as many, on the training and the validation split together. The model has those weights; its validation
            scores stay those of the first training, which had not seen that split. Twice the time (under a time limit
            the first training takes half of it).
        callbacks: hooks into the run, its first training where there are two.
        out: folder of the run's record (config, metrics, checkpoints, model); default: none is kept.
        force: replace an earlier run in ``out``.
        resume: go on from the last checkpoint in ``out``.
        progress: show progress on stderr.
        command: how the run was started, for its record.

    Raises:
        BadInputError: for data, options or a network that cannot be used; nothing has been written then.
        TrainingError: when the loss or a gradient is not finite (epoch, step and layer are named), or the disk is
            full.
    """
    cache.enable()
    _check_options(precision or "f32", seed, time_limit, patience)
    seed = int(seed)
    if resume and out is None:
        raise ConfigError("resume goes on with the run in out; there is no out.", "Name its folder: out=...")
    folder = prepare_folder(out, force=force, resume=resume) if out is not None else None
    if not isinstance(data, Data):
        data = load(data, seed=seed)
    recipe = recipe_for(network, data)
    net, precision = recipe.network, precision or recipe.precision
    if folder is not None:
        to_json(net)  # a network that cannot be saved is refused now, not after the training
    if augmentation == "auto":
        augmentation = choose(data).augmentation
    elif augmentation is None:
        augmentation = recipe.augmentation
    optimizer = optim.resolve(optimizer if optimizer is not None else recipe.optimizer)
    if learning_rates:
        # One program serves all: the optimiser's own rate becomes 1 and each rate multiplies the schedule.
        optimizer = replace(optimizer, learning_rate=1.0)
    program = prepare(
        net,
        data,
        loss=loss if loss is not None else recipe.loss,
        optimizer=optimizer,
        augmentation=augmentation,
        penalties=tuple(penalties),
        constraint=constraint,
        precision=precision,
        freeze_statistics=recipe.freeze_statistics if freeze_statistics is None else freeze_statistics,
        remat=remat,
        rates=len(learning_rates),
    )
    plan = Plan(
        epochs=_positive("epochs", epochs if epochs is not None else recipe.epochs),
        batch_size=len(data.train)
        if batch_size == "full"
        else _positive("batch_size", batch_size if batch_size is not None else recipe.batch_size),
        seed=seed,
        patience=patience if patience is not None else recipe.patience,
        time_limit=time_limit * first_share(data) if time_limit is not None and refit else time_limit,
        rates=tuple(_rate(rate) for rate in learning_rates),
        keep="best" if patience is not None else recipe.keep,
    )
    config = _describe(net, data, program, plan, precision, command, recipe) | {"refit": refit}
    fingerprint = _fingerprint(config, data)
    hooks = [*progress_for(progress), *callbacks]
    record = Record(folder, config, force=force, resume=resume) if folder is not None else None
    if folder is not None and record is not None:
        hooks = [record, *hooks, Checkpoints(folder / "checkpoints", fingerprint)]

    training = _begin(net, hooks, program, data, plan)
    training.spent(recipe.seconds)
    if resume and folder is not None:
        restore(training, folder / "checkpoints", fingerprint)
    if record is not None:
        record.open()
    try:
        training.run()
    except (OSError, BadInputError) as error:  # the latter where a file of the record cannot be written
        reason = error.message if isinstance(error, BadInputError) else f"{error.strerror or error}."
        raise TrainingError(f"The run failed: {reason}", "The last checkpoint is intact.") from error
    chosen, again = training.best, None
    if refit and training.status != "interrupted":
        display = progress_for(progress, "Training again, on training and validation part together")
        again = train_again(training, functools.partial(_begin, net, display))
    best = chosen if again is None else again.best
    if isinstance(net, Pretrained):  # its first weights are of no more use
        net = net.as_data()

    def measure(split: Split) -> np.ndarray:
        of = chosen if split is data.validation else best
        return training.scorer.outputs(split, of.params, of.state)

    return conclude(
        Model(net, best.params, best.state, data.preprocessing, data.target),
        data,
        measure=measure,
        status=training.status,
        history=training.chosen_history(),
        best_epoch=chosen.epoch,
        refitted=0 if again is None else len(again.data.train),
        seconds=lambda: training.seconds,
        config=config,
        folder=folder,
    )


def _begin(net: Layer, hooks: Sequence[Callback], program: Program, data: Data, plan: Plan) -> Training:
    """A training with its first weights made and its program compiled."""
    in_spec = data.preprocessing.input_spec()

    def initial() -> tuple[Params, State]:
        return net.init(jax.random.fold_in(jax.random.key(plan.seed), 1), in_spec)

    if holds_weights(net):  # they are handed in: compiled into a program they would be copied again and again
        training = Training(program, data, plan, lambda *weights: weights, hooks, initial())
    else:
        training = Training(program, data, plan, initial, hooks)
    training.compile()
    return training


def prepare(
    network: Layer,
    data: Data,
    *,
    loss: str | Loss | None,
    optimizer: Optimizer,
    augmentation: Augmentation | None = None,
    penalties: tuple[Penalty, ...] = (),
    constraint: MaxNorm | None = None,
    precision: str = "f32",
    freeze_statistics: bool = False,
    remat: bool = False,
    rates: int = 0,
) -> Program:
    """The step's program for a network and data, checked to fit each other.

    Raises:
        ShapeError: naming the layer whose input does not fit, or an output that does not fit the data's target.
    """
    in_spec = data.preprocessing.input_spec()
    heads.check_head(network, in_spec, data.target)
    if loss is None:
        loss = heads.default_loss(data.target, network.out_spec(in_spec).shape[-1])
    loss = heads.fitting_loss(losses.resolve(loss), network, data.target, data.preprocessing, data.train)
    return Program(
        network=heads.logits_network(network, data.target),
        preprocessing=data.preprocessing,
        target=data.target,
        loss=loss,
        optimizer=optimizer,
        augmentation=augmentation,
        penalties=penalties,
        constraint=constraint,
        dtype=_PRECISIONS[precision],
        freeze_statistics=freeze_statistics,
        remat=remat,
        rates=rates,
    )


def _describe(
    network: Layer,
    data: Data,
    program: Program,
    plan: Plan,
    precision: str,
    command: str,
    recipe: Recipe,
) -> dict[str, Any]:
    """Everything that made the run, as JSON data."""
    return {
        "command": command,
        "data": data.card.source,
        "task": data.target.task,
        "classes": list(getattr(data.target, "names", ())),
        "network": _as_data(network),
        "preprocessing": to_json(data.preprocessing),
        "loss": _as_data(program.loss),
        "optimizer": _as_data(program.optimizer),
        "augmentation": None if program.augmentation is None else _as_data(program.augmentation),
        "penalties": [_as_data(penalty) for penalty in program.penalties],
        "constraint": None if program.constraint is None else _as_data(program.constraint),
        "precision": precision,
        "remat": program.remat,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "learning_rates": list(plan.rates),
        "patience": plan.patience,
        "time_limit": plan.time_limit,
        "keep": plan.keep,
        "seed": plan.seed,
        "freeze_statistics": program.freeze_statistics,
        "from": recipe.origin,
        "why": list(recipe.reasons),
        **surroundings(),
    }


def _as_data(value: Config) -> Any:
    """A configuration as JSON data, or its text where it holds a function."""
    try:
        return to_json(value)
    except ConfigError:
        return repr(value)


def _fingerprint(config: dict[str, Any], data: Data) -> dict[str, Any]:
    """What must be equal for a run to be resumed."""
    names = ("network", "preprocessing", "loss", "optimizer", "augmentation", "penalties", "constraint", "precision")
    kept = {name: config[name] for name in (*names, "batch_size", "learning_rates", "seed", "epochs")}
    digest = hashlib.sha256(np.ascontiguousarray(data.train.targets).tobytes()).hexdigest()[:16]
    kept["data"] = f"{len(data.train)} examples, labels {digest}"
    return json.loads(json.dumps(kept))  # type: ignore[no-any-return]


def _check_options(precision: str, seed: int, time_limit: float | None, patience: int | None) -> None:
    if precision not in _PRECISIONS:
        raise ConfigError(f"Precision is 'f32' or 'bf16'. Received: precision={precision!r}.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise ConfigError(f"seed is a whole number. Received: seed={seed!r}.")
    if time_limit is not None and not time_limit > 0:
        raise ConfigError(f"time_limit is a number of seconds above 0. Received: time_limit={time_limit!r}.")
    if patience is not None:
        _positive("patience", patience)


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name} is a whole number of at least 1. Received: {name}={value!r}.")
    return int(value)


def _rate(value: float) -> float:
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise BadInputError(f"A learning rate is a number above 0. Received: {value!r}.")
    return float(value)
