"""The end of a network: logits for the loss, probabilities for people."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from lamina.data.base import Preprocessing, Split, Target
from lamina.errors import ConfigError, ShapeError
from lamina.layers import Autoencoder, Flatten, Layer, Reshape, Sequential, Sigmoid, Softmax
from lamina.layers.base import Spec
from lamina.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, SquaredError

__all__ = ["answers", "check_head", "default_loss", "fitting_loss", "logits_network", "next_scores", "truth"]

_NOUNS = {"class": "classes", "labels": "labels", "values": "values"}
_BATCH = 1024  # examples whose inputs are computed together
_LOOKED_AT = 256  # training examples whose range is looked at
_ROUNDING = 1e-6


def logits_network(network: Layer, target: Target) -> Layer:
    """The network without a closing softmax or sigmoid, which the losses from logits contain.

    What gives values or its own input is left as it is.
    """
    if target.answer in ("values", "input"):
        return network
    if isinstance(network, Sequential) and network.layers:
        name, last = network.layers[-1]
        if isinstance(last, Softmax | Sigmoid):
            return Sequential(**dict(network.layers[:-1]))
        if isinstance(last, Sequential):
            return Sequential(**dict(network.layers[:-1]), **{name: logits_network(last, target)})
    return network


def check_head(network: Layer, in_spec: Spec, target: Target) -> None:
    """Refuse a network whose outputs do not fit the target.

    Raises:
        ShapeError: naming both numbers.
    """
    out = network.out_spec(in_spec)
    shape = tuple(getattr(out, "shape", ()))
    if target.answer == "input":
        wanted = tuple(getattr(in_spec, "shape", ()))
        if shape != wanted:
            raise ShapeError(
                f"An auto-encoder gives its input back: its output has shape {shape}, the input {wanted}.",
                "End the decoder in a layer of the input's size (and Reshape, for pictures).",
            )
        return
    if target.answer == "next":
        if len(shape) != 2 or shape[-1] != target.units:
            raise ShapeError(
                f"The network's output has shape {shape}; expected (steps, {target.units}): what comes next, after "
                "every step.",
                f"Let recurrent layers return sequences, and end the network in Dense({target.units}).",
            )
        return
    allowed = {target.units, 1} if target.answer == "class" and target.units == 2 else {target.units}
    if len(shape) != 1 or shape[0] not in allowed:
        raise ShapeError(
            f"The network's output has shape {shape}, but the data has {target.units} {_NOUNS[target.answer]}.",
            f"End the network in Dense({target.units}) on a flat input (see Flatten and GlobalAvgPool).",
        )


def default_loss(target: Target, outputs: int) -> Loss:
    """The loss that fits the task: cross-entropy from logits, or squared error."""
    if target.answer in ("values", "input"):
        return SquaredError()
    if target.answer == "labels" or outputs == 1:
        return BinaryCrossEntropy()
    return SoftmaxCrossEntropy()


def fitting_loss(loss: Loss, network: Layer, target: Target, preprocessing: Preprocessing, split: Split) -> Loss:
    """The loss as it is meant for the network's outputs: an auto-encoder gives values, which are no logits.

    Args:
        split: of the training examples, a few of which are looked at.

    Raises:
        ConfigError: for binary cross-entropy of what does not lie between 0 and 1.
    """
    if target.answer != "input" or not isinstance(loss, BinaryCrossEntropy):
        return loss
    if not isinstance(_last(network), Sigmoid):
        raise ConfigError(
            "Binary cross-entropy asks for outputs between 0 and 1.",
            "End the decoder in lm.sigmoid, or use another loss.",
        )
    x = np.asarray(preprocessing.transform(split.read(np.arange(min(len(split), _LOOKED_AT)))))
    if x.min() < -_ROUNDING or x.max() > 1 + _ROUNDING:
        raise ConfigError(
            f"Binary cross-entropy asks for inputs between 0 and 1; these are {x.min():.3g} to {x.max():.3g}.",
            "Scale them with --scale minmax, or use another loss.",
        )
    return replace(loss, logits=False)


def _last(network: Layer) -> Layer:
    """The last layer of a chain, or of an auto-encoder's decoder, that does more than change the shape."""
    while True:
        if isinstance(network, Autoencoder):
            network = network.decoder
        elif isinstance(network, Sequential):
            computing = [layer for _, layer in network.layers if not isinstance(layer, Reshape | Flatten)]
            if not computing:
                return network
            network = computing[-1]
        else:
            return network


def answers(target: Target, outputs: np.ndarray) -> np.ndarray:
    """Logits → probabilities ``(n, classes)`` (two columns also for one logit); values and inputs as they are given.

    Of what comes next there are scores instead of outputs (see `next_scores`), and they stay as they are.
    """
    if target.answer == "next":
        return outputs
    if target.answer in ("values", "input"):
        return target.decode(outputs)
    logits = outputs.astype(np.float64)
    if target.answer == "labels" or outputs.shape[-1] == 1:
        positive = np.where(logits >= 0, 1 / (1 + np.exp(-np.abs(logits))), 1 - 1 / (1 + np.exp(-np.abs(logits))))
        return positive if target.answer == "labels" else np.concatenate([1 - positive, positive], axis=-1)
    exponentials: np.ndarray = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def next_scores(outputs: jax.Array, pieces: jax.Array) -> jax.Array:
    """How well each piece of a sequence was foretold: what is kept of outputs too many to keep.

    Args:
        outputs: logits ``(batch, steps, symbols)`` after all steps but the last.
        pieces: symbols ``(batch, steps + 1)``.

    Returns:
        float32 ``(batch, 2)``: the mean of −log p(what came next), in nats, and the share that was most probable.
    """
    wide = outputs.astype(jnp.float32)
    following = pieces[:, 1:].astype(jnp.int32)
    told = jnp.take_along_axis(wide, following[..., None], axis=-1)[..., 0]
    surprise = jax.nn.logsumexp(wide, axis=-1) - told
    right = (jnp.argmax(wide, axis=-1).astype(jnp.int32) == following).astype(jnp.float32)
    return jnp.stack([surprise.mean(axis=1), right.mean(axis=1)], axis=1)


def truth(target: Target, preprocessing: Preprocessing, split: Split) -> np.ndarray:
    """What a split's outputs are compared with: its encoded targets, or an auto-encoder's own inputs."""
    if target.answer != "input":
        return split.targets
    parts = [
        np.asarray(preprocessing.transform(split.read(np.arange(start, min(start + _BATCH, len(split))))), np.float32)
        for start in range(0, len(split), _BATCH)
    ]
    return np.concatenate(parts)
