"""Restricted Boltzmann machines."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from lamina.config import Config
from lamina.errors import ConfigError
from lamina.layers._checks import check_number, check_whole
from lamina.layers.base import Params
from lamina.optim.schedules import ConstantRate, Schedule, resolve_schedule
from lamina.unsupervised.trained import TrainedRBM
from lamina.unsupervised.training import train
from lamina.unsupervised.units import units

__all__ = ["RBM"]

UnitKind = Literal["bernoulli", "gaussian", "relu"]


@dataclass(frozen=True, repr=False)
class RBM(Config):
    """A restricted Boltzmann machine: a layer of visible and a layer of hidden units, with weights between them alone.

    p(v, h) ∝ exp(vᵀ W h + w(b, v) + w(c, h)), where w is b·v for Bernoulli units and −|v − b|²/2 for Gaussian ones.
    It learns by contrastive divergence: down the gradient of the free energy of the data, up that of what a few steps
    of Gibbs sampling make of it.

    Sources: Smolensky 1986; Hinton 2002, "Training products of experts by minimizing contrastive divergence", Neural
    Computation 14:1771-1800; Tieleman 2008 (persistent chains), ICML; Hinton 2010, "A practical guide to training
    restricted Boltzmann machines", UTML TR 2010-003, from which the defaults are; Nair & Hinton 2010 (rectified units).
    First biases: 0, and the data's means for Gaussian visible units; with a sparsity target the log-odds of the target
    and, for Bernoulli visible units, of the data's means (Hinton 2010, section 8). Departure: Hinton has the latter
    always; without a target the pseudo-likelihood after ten epochs of MNIST was as high from 0 by contrastive
    divergence, and higher by persistent chains.

    Args:
        hidden: number of hidden units.
        visible: "bernoulli" for data from 0 to 1 (probabilities of a 1), "gaussian" for standardised real data
            (variance 1).
        hidden_units: "bernoulli"; "gaussian", linear units with noise of variance 1, as in the code layer of Hinton &
            Salakhutdinov 2006 (only above Bernoulli visible units); "relu", noisy rectified linear ones.
        learning_rate: of the mean gradient over a batch; default 0.1, with persistent chains 0.01, and 0.001 with
            Gaussian or rectified units on either side.
        schedule: a multiplier of the rate over the run, or its name, such as "cosine".
        momentum: weight kept on the last update, 0 <= momentum < 1; at most 0.5 in the first five epochs.
        weight_decay: λ of a penalty λ/2·|W|².
        steps: of Gibbs sampling in an update, the k of CD-k.
        persistent: the chains go on where they were after the last update, instead of beginning at the data.
        sparsity_target: the mean probability that hidden units are drawn to, between 0 and 1; None: to none. Only for
            Bernoulli hidden units.
        sparsity_cost: weight of that.
        sample_visible: False uses the visible units' means in their place, as the program of the 2006 paper does: less
            noise, and no longer an estimate of the likelihood's gradient even with many steps.

    Raises:
        ConfigError: for a value out of its range, or units that do not go together.
    """

    hidden: int
    visible: UnitKind = "bernoulli"
    hidden_units: UnitKind = "bernoulli"
    learning_rate: float | None = None
    schedule: Schedule | str = ConstantRate()
    momentum: float = 0.9
    weight_decay: float = 0.0002
    steps: int = 1
    persistent: bool = False
    sparsity_target: float | None = None
    sparsity_cost: float = 0.1
    sample_visible: bool = True

    def __post_init__(self) -> None:
        check_whole("RBM", "hidden", self.hidden)
        check_whole("RBM", "steps", self.steps)
        units(self.visible), units(self.hidden_units)
        if self.visible == "relu":
            raise ConfigError("Visible units are 'bernoulli' or 'gaussian'; rectified ones are hidden.")
        if self.hidden_units == "gaussian" and self.visible == "gaussian":
            raise ConfigError(
                "Gaussian hidden units stand above Bernoulli visible ones only: between two Gaussian layers the "
                "probability cannot be normalised once a weight grows too large.",
                "Use visible='bernoulli' with data from 0 to 1, or hidden_units='bernoulli' or 'relu'.",
            )
        if self.learning_rate is None:
            real = {self.visible, self.hidden_units} != {"bernoulli"}
            object.__setattr__(self, "learning_rate", 0.001 if real else 0.01 if self.persistent else 0.1)
        check_number("RBM", "learning_rate", self.learning_rate, 0)
        check_number("RBM", "momentum", self.momentum, 0, math.nextafter(1, 0))
        check_number("RBM", "weight_decay", self.weight_decay, 0)
        check_number("RBM", "sparsity_cost", self.sparsity_cost, 0)
        object.__setattr__(self, "schedule", resolve_schedule(self.schedule))
        if self.sparsity_target is not None:
            check_number("RBM", "sparsity_target", self.sparsity_target, 0, 1)
            if self.hidden_units != "bernoulli":
                raise ConfigError(
                    f"A sparsity target is a probability of Bernoulli hidden units; these are {self.hidden_units}."
                )

    def fit(
        self,
        x: Any,
        *,
        epochs: int = 10,
        batch_size: int = 100,
        seed: int = 0,
        validation: Any = None,
        progress: bool = True,
    ) -> TrainedRBM:
        """Learn examples without labels. The same arguments give the same weights on the same machine.

        Args:
            x: ``(n, ...)``: n examples of equal shape, such as ``(n, 784)`` or ``(n, 28, 28)``; from 0 to 1 for
                Bernoulli visible units, standardised for Gaussian ones.
            epochs: passes over the examples.
            batch_size: examples an update.
            seed: fixes first weights, order and samples.
            validation: examples that are not learned; what is measured of x is measured of these, too.
            progress: tell of epochs on stderr.

        Raises:
            DataError: for examples that cannot be learned, such as numbers outside [0, 1].
            TrainingError: where a weight is no longer finite.
        """
        params, shape, history = train(
            self, x, epochs=epochs, batch_size=batch_size, seed=seed, validation=validation, progress=progress
        )
        return TrainedRBM(self, params, shape, tuple(history))

    def one_step(self) -> RBM:
        """The same machine with one whole Gibbs step at a time, in which everything is sampled."""
        return replace(self, steps=1, sample_visible=True)

    def with_params(
        self, params: Params, shape: tuple[int, ...], history: tuple[dict[str, Any], ...] = ()
    ) -> TrainedRBM:
        """The machine with weights that are given: kernel, visible_bias and hidden_bias.

        Raises:
            ConfigError: where they do not fit the machine or the shape of an example.
        """
        visible = math.prod(shape)
        wanted = {"kernel": (visible, self.hidden), "visible_bias": (visible,), "hidden_bias": (self.hidden,)}
        given = {name: tuple(np.shape(value)) for name, value in params.items()}
        if given != wanted:
            raise ConfigError(f"The weights of the machine have the shapes {wanted}. Received: {given}.")
        return TrainedRBM(self, {name: jnp.asarray(params[name], jnp.float32) for name in wanted}, shape, history)
