"""Deep belief nets: restricted Boltzmann machines, one on top of another."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from lamina.config import Config
from lamina.errors import ConfigError
from lamina.layers import Autoencoder, Dense, Pretrained, Reshape, Sequential
from lamina.layers._checks import check_whole
from lamina.layers.base import Params
from lamina.layers.tied import released
from lamina.unsupervised.examples import rows
from lamina.unsupervised.measures import visible_means
from lamina.unsupervised.rbm import RBM, UnitKind
from lamina.unsupervised.trained import TrainedRBM, chain

__all__ = ["DBN", "TrainedDBN"]

_EXAMPLES = 10_000  # that are computed together


@dataclass(frozen=True, init=False, repr=False)
class DBN(Config):
    """A stack of restricted Boltzmann machines, each trained on the hidden means of the one below it.

    The two upper layers are one machine; those below give the way down from it. Unrolled, the stack holds the first
    weights of an auto-encoder or a classifier.

    Sources: Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets", Neural Computation
    18:1527-1554; Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science
    313:504-507. Departures: the machines learn without labels; the weights are not tuned by the wake-sleep algorithm.

    Args:
        sizes: units of each layer above the data, from below, such as ``[1000, 500, 250, 30]``.
        visible: units of the lowest layer: "bernoulli" for data from 0 to 1, "gaussian" for standardised data.
        top: units of the highest layer: "bernoulli", "gaussian" for a linear code, or "relu". Those between are
            Bernoulli units.
        **options: of every `RBM`. A learning rate that is not given is each machine's own default; ``sample_visible``
            is False by default, as in the 2006 paper's program: layers above noisy ones learn little else than noise.

    Raises:
        ConfigError: for options that an `RBM` does not take.

    Example:
        >>> import lamina as lm
        >>> lm.unsupervised.DBN([1000, 500, 250, 30], top="gaussian")
        DBN(1000, 500, 250, 30)
    """

    rbms: tuple[RBM, ...]

    def __init__(
        self, sizes: Sequence[int], *, visible: UnitKind = "bernoulli", top: UnitKind = "bernoulli", **options: Any
    ) -> None:
        if not isinstance(sizes, Sequence) or isinstance(sizes, str) or not sizes:
            raise ConfigError(
                f"A DBN needs the sizes of its layers, such as DBN([500, 500, 2000]). Received: sizes={sizes!r}."
            )
        unknown = set(options) - set(RBM.__dataclass_fields__) | {"hidden", "hidden_units"} & set(options)
        if unknown:
            raise ConfigError(f"A DBN has no option {min(unknown)!r}.", "It takes visible, top, and RBM's options.")
        options = {"sample_visible": False} | options
        highest = len(sizes) - 1
        rbms = tuple(
            RBM(
                size,
                visible=visible if index == 0 else "bernoulli",
                hidden_units=top if index == highest else "bernoulli",
                **options,
            )
            for index, size in enumerate(sizes)
        )
        object.__setattr__(self, "rbms", rbms)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        made = cls.__new__(cls)
        object.__setattr__(made, "rbms", tuple(fields["rbms"]))
        return made

    def __repr__(self) -> str:
        return f"DBN({', '.join(str(rbm.hidden) for rbm in self.rbms)})"

    def fit(
        self,
        x: Any,
        *,
        epochs: int | Sequence[int] = 10,
        batch_size: int = 100,
        seed: int = 0,
        progress: bool = True,
    ) -> TrainedDBN:
        """Train the machines one after the other, from below.

        Args:
            x: ``(n, ...)`` examples, as for `RBM.fit`.
            epochs: of each machine, or a number for each.
            batch_size: examples an update.
            seed: fixes first weights, orders and samples.
            progress: tell of epochs on stderr.

        Raises:
            DataError: for examples that cannot be learned.
            TrainingError: where a weight is no longer finite.
        """
        each = tuple(epochs) if isinstance(epochs, Sequence) else (epochs,) * len(self.rbms)
        if len(each) != len(self.rbms):
            raise ConfigError(f"The net has {len(self.rbms)} machines; epochs are given for {len(each)}.")
        for number in each:
            check_whole("fit", "epochs", number)
        data: Any = rows(x, self.rbms[0].visible)
        shape = np.shape(x)[1:]
        trained: list[TrainedRBM] = []
        for index, (rbm, number) in enumerate(zip(self.rbms, each, strict=True)):
            if progress:
                sys.stderr.write(f"machine {index + 1} of {len(self.rbms)}\n")
            found = rbm.fit(data, epochs=number, batch_size=batch_size, seed=seed + index, progress=progress)
            trained.append(found if index else rbm.with_params(found.params, shape, found.history))
            if index + 1 < len(self.rbms):
                data = found.transform(data)
        return TrainedDBN(tuple(trained))


@dataclass(frozen=True, eq=False)
class TrainedDBN:
    """What `DBN.fit` returns.

    Attributes:
        machines: the trained machines, from below.
    """

    machines: tuple[TrainedRBM, ...] = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return self.machines[0].shape

    def transform(self, x: Any) -> np.ndarray:
        """The highest layer's means ``(n, units)``, each layer at the means of the one below."""
        for machine in self.machines:
            x = machine.transform(x)
        return np.asarray(x)

    def reconstruct(self, x: Any) -> np.ndarray:
        """All the way up and down again at the means, in the examples' shape."""
        return self._down(self.transform(x))

    def sample(self, n: int = 100, *, steps: int = 1000, seed: int = 0) -> np.ndarray:
        """What the net dreams of: Gibbs chains in its highest machine, then the way down at the means.

        Args:
            n: number of chains.
            steps: of Gibbs sampling in each.

        Returns:
            ``(n, ...)`` visible means in the examples' shape.
        """
        top = self.machines[-1].sample(n, steps=steps, seed=seed)
        return self._down(top, self.machines[:-1]) if len(self.machines) > 1 else top

    def _down(self, hidden: np.ndarray, machines: Sequence[TrainedRBM] | None = None) -> np.ndarray:
        for machine in reversed(self.machines if machines is None else machines):
            hidden = np.asarray(visible_means(machine.rbm, machine.params, jnp.asarray(hidden)))
        return hidden.reshape(-1, *self.shape)

    def unroll(self, *, tied: bool = False) -> Pretrained:
        """The net as an auto-encoder that begins with its weights, ready for `lamina.fit`.

        The encoder is the way up; the decoder is the way down, with the same weights transposed and the visible biases.

        Source: Hinton & Salakhutdinov 2006, where nothing ties the two afterwards.

        Args:
            tied: the decoder's kernels stay the encoder's, and are trained as one.

        Returns:
            An `Autoencoder` with its weights, from an example's shape to the same.
        """
        (encoder, up), (decoder, down) = self.halves()
        network = Autoencoder(encoder, decoder, tied=tied)
        params = released({"encoder": up, "decoder": down}, network.ties)
        return Pretrained(Sequential(network), {"0": params}, {})

    def halves(self) -> tuple[tuple[Sequential, Params], tuple[Sequential, Params]]:
        """Encoder and decoder of `unroll`, each with its parameters."""
        flat = len(self.shape) == 1
        upwards = [pair for machine in self.machines for pair in machine.upwards()]
        downwards = [pair for machine in reversed(self.machines) for pair in machine.downwards()]
        if not flat:
            downwards.append((Reshape(self.shape), {}))
        return chain(upwards, flatten=not flat), chain(downwards)

    def classifier(self, classes: int) -> Pretrained:
        """The way up with a new layer of outputs, as a network that begins with its weights, ready for `lamina.fit`.

        Args:
            classes: number of outputs, logits; their weights are drawn.
        """
        check_whole("classifier", "classes", classes)
        pairs = [pair for machine in self.machines for pair in machine.upwards()]
        return Pretrained(*chain([*pairs, (Dense(classes), {})], flatten=len(self.shape) != 1), {})

    def save(self, path: str | PathLike[str]) -> None:
        """Write description and weights as a safetensors file; `lamina.unsupervised.load` reads it."""
        from lamina.unsupervised.files import save

        save(path, "DBN", self.machines)
