"""Restricted Boltzmann machines, an epoch at a time: Lamina's and scikit-learn's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Learner"]


class Learner:
    """Bernoulli units, persistent contrastive divergence with one step, no momentum and no weight decay.

    scikit-learn has no other. An epoch is what its `fit` does: the batches one after the other, in float32.
    """

    def __init__(self, library: str) -> None:
        self.library = library
        if library == "sklearn":
            import sklearn  # noqa: F401, to say at once that it is missing
        else:
            import lamina  # noqa: F401

    def hello(self) -> dict[str, Any]:
        return {}

    def prepare(self, data: str, hidden: int, batch_size: int, rate: float, seed: int) -> dict[str, Any]:
        """A machine with its first weights, warm: a first epoch is run and forgotten."""
        self.x = np.load(data)
        self.given = {"hidden": hidden, "batch_size": batch_size, "rate": rate, "seed": seed}
        self._begin()
        self.turn()
        self._begin()
        return {}

    def turn(self) -> dict[str, Any]:
        """Seconds for the next epoch."""
        began = time.perf_counter()
        if self.library == "lamina":
            self.machine.run_epoch()
        else:
            for batch in self.batches:
                self.machine._fit(self.x[batch], self.random)
        return {"seconds": time.perf_counter() - began}

    def keep(self, path: str) -> dict[str, Any]:
        """Write the weights, for the driver to judge all by the same measure."""
        if self.library == "lamina":
            params = {name: np.asarray(value) for name, value in self.machine.carry.params.items()}
        else:
            own = self.machine
            params = {
                "kernel": own.components_.T,
                "visible_bias": own.intercept_visible_,
                "hidden_bias": own.intercept_hidden_,
            }
        np.savez(Path(path), **params)
        return {}

    def _begin(self) -> None:
        hidden, batch_size = self.given["hidden"], self.given["batch_size"]
        if self.library == "lamina":
            from lamina.unsupervised import RBM
            from lamina.unsupervised.training import Training

            rbm = RBM(hidden, persistent=True, learning_rate=self.given["rate"], momentum=0.0, weight_decay=0.0)
            self.machine: Any = Training(rbm, self.x, epochs=1, batch_size=batch_size, seed=self.given["seed"])
            return
        from sklearn.neural_network import BernoulliRBM
        from sklearn.utils import gen_even_slices

        self.machine = BernoulliRBM(hidden, learning_rate=self.given["rate"], batch_size=batch_size)
        self.random = np.random.RandomState(self.given["seed"])
        # What `fit` makes before its first epoch.
        self.machine.components_ = np.asarray(
            self.random.normal(0, 0.01, (hidden, self.x.shape[1])), order="F", dtype=self.x.dtype
        )
        self.machine.intercept_hidden_ = np.zeros(hidden, self.x.dtype)
        self.machine.intercept_visible_ = np.zeros(self.x.shape[1], self.x.dtype)
        self.machine.h_samples_ = np.zeros((batch_size, hidden), self.x.dtype)
        count = -(-len(self.x) // batch_size)
        self.batches = list(gen_even_slices(count * batch_size, count, n_samples=len(self.x)))
