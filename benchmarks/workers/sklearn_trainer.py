"""scikit-learn's MLPClassifier: one partial_fit over all the batches of a turn, which is its own loop of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from data_and_weights import first_weights
from networks import Dense, Network
from sklearn.neural_network import MLPClassifier

from workers.base import Trainer

__all__ = ["SklearnTrainer"]


class SklearnTrainer(Trainer):
    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        self.network, self.seed = network, seed
        units = [layer.units for layer in network.layers if isinstance(layer, Dense)]
        self.model = MLPClassifier(
            units[:-1], alpha=0.0, batch_size=network.batch_size, learning_rate_init=rate, shuffle=False
        )
        classes = np.arange(network.classes)
        x = np.zeros((network.batch_size, *network.input_shape), np.float32)
        self.model.partial_fit(x, np.zeros(network.batch_size, np.int32), classes=classes)
        # Of two classes it makes one logistic output; here both have their own, as everywhere else.
        self.model._label_binarizer = _OneHot(network.classes)
        self.model.out_activation_ = "softmax"
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def reset(self) -> None:
        weights = first_weights(self.network, self.seed).values()
        self.model.coefs_ = [own["kernel"] for own in weights]
        self.model.intercepts_ = [own["bias"] for own in weights]
        vars(self.model).pop("_optimizer", None)

    def train(self, rows: np.ndarray) -> None:
        picked = rows.reshape(-1)
        self.model.partial_fit(self.x[picked], self.y[picked])

    def logits(self, x: np.ndarray, *, training: bool = False) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(np.asarray(self.model._forward_pass_fast(x, check_input=False), np.float64))


class _OneHot:
    """A label binarizer that makes a column for each class, of two classes too."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def transform(self, y: np.ndarray) -> np.ndarray:
        return np.arange(self.classes) == y[:, None]
