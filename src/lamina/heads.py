"""The end of a network: logits for the loss, probabilities for people."""

from __future__ import annotations

import numpy as np

from lamina.data.base import Target
from lamina.errors import ShapeError
from lamina.layers import Layer, Sequential, Sigmoid, Softmax
from lamina.layers.base import Spec
from lamina.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, SquaredError

__all__ = ["answers", "check_head", "default_loss", "logits_network"]


def logits_network(network: Layer, target: Target) -> Layer:
    """The network without a closing softmax or sigmoid, which the losses from logits contain (for values: as it is)."""
    if target.task == "regress":
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
    allowed = {target.units, 1} if target.task == "classify" and target.units == 2 else {target.units}
    if len(shape) != 1 or shape[0] not in allowed:
        wanted = {"classify": "classes", "multilabel": "labels", "regress": "values"}[target.task]
        raise ShapeError(
            f"The network's output has shape {shape}, but the data has {target.units} {wanted}.",
            f"End the network in Dense({target.units}) on a flat input (see Flatten and GlobalAvgPool).",
        )


def default_loss(target: Target, outputs: int) -> Loss:
    """The loss that fits the task: cross-entropy from logits, or squared error."""
    if target.task == "regress":
        return SquaredError()
    if target.task == "multilabel" or outputs == 1:
        return BinaryCrossEntropy()
    return SoftmaxCrossEntropy()


def answers(target: Target, outputs: np.ndarray) -> np.ndarray:
    """Logits → probabilities ``(n, classes)`` (two columns also for one logit) or values ``(n, values)``."""
    if target.task == "regress":
        return target.decode(outputs)
    logits = outputs.astype(np.float64)
    if target.task == "multilabel" or outputs.shape[-1] == 1:
        positive = np.where(logits >= 0, 1 / (1 + np.exp(-np.abs(logits))), 1 - 1 / (1 + np.exp(-np.abs(logits))))
        return positive if target.task == "multilabel" else np.concatenate([1 - positive, positive], axis=-1)
    exponentials: np.ndarray = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities
