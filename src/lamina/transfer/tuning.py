"""Fine-tuning: a trained network goes on learning on other data."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lamina import cache, trees
from lamina.data import load
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ArraySplit, Data, DataCard, Split
from lamina.initializers import Zeros
from lamina.layers import Dense, Layer, Pretrained, Sequential
from lamina.layers.base import Params
from lamina.layers.surgery import head_path, onward, stages, upto, with_outputs
from lamina.model import Model
from lamina.optim import AdamW, OneCycle
from lamina.optim.groups import Groups
from lamina.run import Run
from lamina.train import fit
from lamina.train.recipe import Recipe
from lamina.train.recipes import choose
from lamina.transfer.descriptors import Describer
from lamina.transfer.encoders import body_of

__all__ = ["fine_tune", "tuning_recipe"]

_SLOWEST = 0.1  # the first layer's learning rate over the head's
_EPOCHS = 150  # over the root of the number of examples
_HEAD_EXAMPLES = 60_000  # that the head alone learns from, repeated ones counted
_HEAD_BYTES = 1 << 29  # of the body's outputs, from which the new head learns first


def fine_tune(model: Model, data: Any, *, seed: int = 0, origin: str = "", **options: Any) -> Run:
    """Train a model further, on data of other classes or on more of the same.

    A new head takes the place of the last Dense or Conv layer (unless the classes are the same) and learns first, on
    the outputs of the body as it is; then all layers learn, the earlier the slower. BatchNorm keeps its statistics.

    Source: Yosinski et al. 2014, arXiv:1411.1792; Howard & Ruder 2018, arXiv:1801.06146 (smaller rates below); Kumar
    et al. 2022, arXiv:2202.10054 (why the head learns first).

    Args:
        model: its network is a chain (`Sequential`) that ends in a Dense or Conv layer, or an auto-encoder, whose
            encoder then gets a head.
        data: a `lamina.data.Data` made with the model's preprocessing, or what `lamina.data.load` reads.
        seed: fixes the split, the new head, shuffling and augmentation.
        origin: where the model comes from, for the record.
        options: as for `lamina.fit`, which they override the recipe of.

    Raises:
        BadInputError, TrainingError: as `lamina.fit`; ConfigError for a network that cannot be given a new head.
    """
    cache.enable()
    if not isinstance(data, Data):
        data = load(data, seed=seed, preprocessing=model.preprocessing)
    return fit(tuning_recipe(model, data, seed=seed, origin=origin), data, seed=seed, **options)


def tuning_recipe(model: Model, data: Data, *, seed: int = 0, origin: str = "") -> Recipe:
    """The network with its new head, which has learned already, and how to fine-tune all of it."""
    began = time.perf_counter()
    model = body_of(model)
    same = model.target.task == data.target.task and model.target.names == data.target.names
    network = model.network if same else with_outputs(model.network, data.target.units)
    head = head_path(network)
    assert isinstance(network, Sequential)
    params = model.params if same else trees.without(model.params, head)
    start = Pretrained(network, params, model.state)
    reasons = [f"All layers of {origin or 'the trained network'} learn, the first at {_SLOWEST:g} of the head's rate."]
    if not same:
        seen, learned = _learned_head(model, start, head, data, seed)
        start = Pretrained(network, learned, model.state)
        reasons.insert(
            0, f"A new last layer for {data.target.units} outputs, which learned first, from {seen:,} examples."
        )
    reasons.append("BatchNorm keeps the statistics it was trained with.")
    usual = choose(data)
    count = len(data.train)
    epochs = min(max(round(_EPOCHS / math.sqrt(count)), 4), 30)
    return Recipe(
        network=start,
        optimizer=AdamW(3e-4, schedule=OneCycle(), weight_decay=0.02, groups=_slower_below(start, head)),
        loss=usual.loss,
        epochs=epochs,
        batch_size=32 if count >= 500 else 8,
        augmentation=usual.augmentation,
        freeze_statistics=True,
        origin=origin,
        seconds=time.perf_counter() - began,
        reasons=tuple(reasons),
    )


def _learned_head(model: Model, start: Pretrained, head: str, data: Data, seed: int) -> tuple[int, Params]:
    """All params of the network, the head's learned on the outputs of the body as it is; from how many examples."""
    body, tail = upto(start, head, included=False), _from_zero(onward(start, head))
    shape = body.out_spec(data.preprocessing.input_spec()).shape
    most = max(_HEAD_BYTES // (4 * math.prod(shape)), 1)
    rng = np.random.default_rng(seed)
    describer = Describer(model, body)
    parts = [_Part.of(split, most, rng) for split in (data.train, data.validation)]
    outputs = [describer.cached(part) for part in parts]
    std = np.maximum(outputs[0].reshape(-1, shape[-1]).std(axis=0), 1e-6)
    train, validation = (ArraySplit(out / std, part.targets) for out, part in zip(outputs, parts, strict=True))
    run = fit(
        tail,
        Data(train, validation, None, ArrayPreprocessing(shape), data.target, DataCard("descriptors", "array")),
        optimizer=AdamW(1e-2, schedule=OneCycle(), weight_decay=0.1),
        epochs=min(max(_HEAD_EXAMPLES // len(train), 5), 50),
        batch_size=32,
        seed=seed,
        progress=False,
    )
    table = trees.flatten(run.model.params)
    table[f"{head}.kernel"] = table[f"{head}.kernel"] / std[:, None]  # the scaling, multiplied into the weights
    return len(train), trees.merge(start.params, trees.nested(table))


def _from_zero(tail: Layer) -> Layer:
    """The chain with a closing Dense layer that begins at zero.

    Its problem is convex: nothing has to be told apart at random, and what is drawn in the many directions that few
    examples say nothing of would stay in its answers.
    """
    if isinstance(tail, Sequential) and len(tail.layers) == 1:
        name, last = tail.layers[0]
        if isinstance(last, Dense):
            return Sequential(**{name: replace(last, kernel_init=Zeros())})
        return Sequential(**{name: _from_zero(last)})
    return tail


@dataclass(frozen=True)
class _Part:
    """Some examples of a split."""

    split: Split
    indices: np.ndarray
    names: Sequence[str] = ()

    @classmethod
    def of(cls, split: Split, most: int, rng: np.random.Generator) -> _Part:
        """At most so many, drawn at random."""
        return cls(split, np.sort(rng.permutation(len(split))[:most]))

    @property
    def targets(self) -> np.ndarray:
        return np.asarray(self.split.targets[self.indices])

    @property
    def in_memory(self) -> bool:
        return self.split.in_memory

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: np.ndarray) -> Any:
        return self.split.read(self.indices[indices])


def _slower_below(network: Pretrained, head: str) -> Groups:
    """A factor for the learning rate of each stage, from `_SLOWEST` at the input to 1 at the head."""
    paths = [f"{path}." for path in trees.paths(network.params)]
    names = [name for name in stages(network) if any(path.startswith(f"{name}.") for path in paths)]
    last = next(index for index, name in enumerate(names) if f"{head}.".startswith(f"{name}."))
    return tuple((name, round(_SLOWEST ** (1 - index / last), 4)) for index, name in enumerate(names[:last]))
