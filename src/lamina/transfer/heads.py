"""Simple classifiers on descriptors: scikit-learn finds them, and they are kept as layers of the network."""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from lamina import cache
from lamina.config import to_json
from lamina.data import load
from lamina.data.base import ClassTarget, Data
from lamina.errors import ConfigError, nearest
from lamina.layers import Dense, Layer, Sequential
from lamina.layers.base import Params, State
from lamina.layers.neighbors import NearestNeighbors
from lamina.model import Model
from lamina.run import Run
from lamina.train.conclusion import conclude, surroundings
from lamina.train.folder import Record, prepare_folder
from lamina.transfer.descriptors import Describer, descriptor_network, free_name
from lamina.transfer.encoders import body_of

__all__ = ["HEADS", "fit_head"]


@dataclass(frozen=True)
class _Fitted:
    """A head with its numbers, and the setting that it was fitted with."""

    setting: str
    layer: Layer
    params: Params
    state: State

    def scores(self, x: np.ndarray) -> np.ndarray:
        """The logits of descriptors, ``(n, units)``."""
        return np.asarray(self.layer.apply(self.params, self.state, x)[0])


def fit_head(
    model: Model,
    data: Any,
    kind: str,
    *,
    layer: str | None = None,
    seed: int = 0,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    command: str = "",
    origin: str = "",
) -> Run:
    """Keep a trained network's body as it is, and learn only a simple classifier of its descriptors.

    Descriptors are computed once and kept on disk. Settings of the classifier (the number of neighbours, the strength
    of its penalty) are chosen by the accuracy on the validation part; the test part is scored once, at the end. The
    result is an ordinary model: the body followed by a layer with the classifier's numbers.

    Source: Razavian et al. 2014, "CNN features off-the-shelf", arXiv:1403.6382.

    Args:
        model: whose body is used.
        data: a `lamina.data.Data` made with the model's preprocessing, or what `lamina.data.load` reads.
        kind: "knn", "svm" (linear), "logistic" or "linear" (least squares with an L2 penalty).
        layer: path of the layer whose output is the descriptor; default: all before the last Dense or Conv layer.
        seed: of the split.
        out: folder of the run's record; default: none is kept.
        force: replace an earlier run in ``out``.
        command, origin: how the run was started and where the model comes from, for its record.

    Raises:
        BadInputError: for data or a network that cannot be used, or where scikit-learn is not installed.
    """
    began = time.perf_counter()
    if kind not in HEADS:
        raise ConfigError(f"Unknown head {kind!r}.", nearest(kind, HEADS))
    if importlib.util.find_spec("sklearn") is None:
        raise ConfigError(f"The head {kind!r} needs scikit-learn.", "Install it: pip install 'lamina[pretrained]'")
    cache.enable()
    model = body_of(model)
    folder = prepare_folder(out, force=force) if out is not None else None
    if not isinstance(data, Data):
        data = load(data, seed=seed, preprocessing=model.preprocessing)
    if not isinstance(data.target, ClassTarget):
        raise ConfigError(f"The head {kind!r} tells classes apart; the data's task is {data.target.task!r}.")
    describer = Describer(model, descriptor_network(model, layer))
    train = describer.cached(data.train), data.train.targets
    validation = describer.cached(data.validation), data.validation.targets
    head = _calibrated(_best(HEADS[kind](*train, data.target.units), *validation), *validation)
    name = free_name(describer.network, "head")
    network = Sequential(**dict(describer.network.layers), **{name: head.layer})
    config = {
        "command": command,
        "data": data.card.source,
        "task": data.target.task,
        "classes": list(data.target.names),
        "network": to_json(network),
        "preprocessing": to_json(data.preprocessing),
        "head": kind,
        "chosen": head.setting,
        "layer": layer,
        "seed": seed,
        "from": origin,
        "why": [],
        **surroundings(),
    }
    if folder is not None:
        Record(folder, config, force=force, resume=False).open()
    fitted = Model(
        network,
        describer.params | ({name: head.params} if head.params else {}),
        describer.state | ({name: head.state} if head.state else {}),
        data.preprocessing,
        data.target,
    )
    return conclude(
        fitted,
        data,
        measure=lambda split: head.scores(validation[0] if split is data.validation else describer.cached(split)),
        status="finished",
        history=[],
        best_epoch=0,
        seconds=lambda: time.perf_counter() - began,
        config=config,
        folder=folder,
    )


def _best(candidates: Iterator[_Fitted], x: np.ndarray, y: np.ndarray) -> _Fitted:
    """The candidate with the best validation accuracy; of equal ones the first."""
    return max(candidates, key=lambda found: float(np.mean(found.scores(x).argmax(axis=1) == y)))


def _calibrated(found: _Fitted, x: np.ndarray, y: np.ndarray) -> _Fitted:
    """The head with its logits scaled so that its probabilities fit the validation part.

    Source: Platt 1999, "Probabilistic outputs for support vector machines", whose smoothed targets keep a part without
    a mistake from asking for certainty; one scale for all classes, as in Guo et al. 2017, arXiv:1706.04599.
    """
    if not found.params:  # the shares of neighbours are what they are
        return found
    logits = found.scores(x).astype(np.float64)
    units = logits.shape[1]
    doubt = 1.0 / (len(y) / units + 2.0)
    targets = np.full(logits.shape, doubt / max(units - 1, 1))
    targets[np.arange(len(y)), y] = 1.0 - doubt

    def loss(scale: float) -> float:
        shifted = scale * (logits - logits.max(axis=1, keepdims=True))
        return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - (targets * shifted).sum(axis=1)))

    scale = np.float32(min(np.geomspace(0.05, 50.0, 121), key=loss))
    return replace(found, params={name: value * scale for name, value in found.params.items()})


def _neighbors(x: np.ndarray, y: np.ndarray, units: int) -> Iterator[_Fitted]:
    unit = np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), np.float32)
    for count in (9, 5, 3, 1, 15):
        if count <= len(x):
            layer = NearestNeighbors(units, count, len(x))
            yield _Fitted(
                f"{count} neighbours", layer, {}, {"examples": unit, "labels": np.eye(units, dtype=np.float32)[y]}
            )


def _linear(x: np.ndarray, y: np.ndarray, units: int, kind: str) -> Iterator[_Fitted]:
    """Classifiers that are a Dense layer, from strong penalties to weak ones."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.svm import LinearSVC

    mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    std = np.where(std > 0, std, 1.0)
    scaled = (x - mean) / std
    for power in range(-5, 1):
        strength = 10.0**power
        if kind == "logistic":
            estimator: Any = LogisticRegression(C=strength, max_iter=1000)
        elif kind == "svm":
            estimator = LinearSVC(C=strength, random_state=0)
        else:
            estimator = RidgeClassifier(alpha=1 / strength)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of weak penalties; stronger ones are tried too
            estimator.fit(scaled, y)
        weights, bias = np.atleast_2d(estimator.coef_), np.atleast_1d(estimator.intercept_)
        if len(weights) == 1:  # two classes: one number says it, half of it against the other
            weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        # The scaling is multiplied into the weights. A class without a training example is never the answer.
        kernel, offset = np.zeros((x.shape[1], units)), np.full(units, -1e4)
        kernel[:, estimator.classes_] = (weights / std).T
        offset[estimator.classes_] = bias - (weights / std) @ mean
        params = {"kernel": kernel.astype(np.float32), "bias": offset.astype(np.float32)}
        yield _Fitted(f"C = {strength:g}", Dense(units), params, {})


HEADS: dict[str, Callable[[np.ndarray, np.ndarray, int], Iterator[_Fitted]]] = {
    "knn": _neighbors,
    "svm": lambda x, y, units: _linear(x, y, units, "svm"),
    "logistic": lambda x, y, units: _linear(x, y, units, "logistic"),
    "linear": lambda x, y, units: _linear(x, y, units, "linear"),
}
