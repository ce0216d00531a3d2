"""What the layers see: feature maps, and those that matter for a class (Grad-CAM)."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina.errors import ConfigError, nearest
from lamina.explain.subject import check_model, examine
from lamina.layers import Conv, ConvTranspose, Layer, Tape
from lamina.layers.base import Params, State
from lamina.model import Model

__all__ = ["check_layer", "feature_maps", "grad_cam", "layers_with_maps"]


def feature_maps(model: Model, x: Any, layer: str) -> np.ndarray:
    """The output of a layer for one picture: where each of its channels responds, and how strongly.

    Args:
        model: trained on pictures.
        x: one raw picture: a path, the bytes of a file, a Pillow image or an array.
        layer: dotted path of the layer, as in `lamina.summary`.

    Returns:
        ``(height, width, channels)`` float32.

    Raises:
        ConfigError: for a model that does not look at pictures, an unknown layer, or one whose output is not maps.
        DataError: for what cannot be read as one picture.
    """
    check_layer(model, layer)
    subject = examine(model, x)
    maps = _maps(model.network, layer, model.params, model.state, subject.x[None])
    return np.asarray(maps[0])


def grad_cam(model: Model, x: Any, class_: str | int | None = None, layer: str | None = None) -> np.ndarray:
    """Where a layer sees what speaks for the class: ReLU(Σₖ αₖ Aᵏ), αₖ = the mean over space of ∂score/∂Aᵏ.

    Source: Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", arXiv:1610.02391.

    Args:
        model: a convolutional network trained on pictures.
        x: one raw picture: a path, the bytes of a file, a Pillow image or an array.
        class_: name of a class, label or value; default: what the model predicts. The score is its logit, before the
            softmax or sigmoid, or the standardised value.
        layer: dotted path of the layer whose maps Aᵏ are weighed; default: the last one whose output has a height
            and a width.

    Returns:
        ``(height, width)`` float32 of the network's input: the map, bilinearly enlarged and divided by its highest
        value. It is zero everywhere if nothing that the layer sees speaks for the class.

    Raises:
        ConfigError: for a model that does not look at pictures, one without convolutions, an unknown class or layer,
            or a layer whose output is not maps.
        DataError: for what cannot be read as one picture.
    """
    path = layers_with_maps(model)[-1] if layer is None else layer
    check_layer(model, path)
    subject = examine(model, x, class_)
    weighed = _weighed(subject.network, path, model.params, model.state, subject.x, subject.direction)
    return np.asarray(weighed)


def layers_with_maps(model: Model) -> list[str]:
    """Paths of the layers whose output has a height and a width, in order of computation, from the first convolution.

    Raises:
        ConfigError: for a model that does not look at pictures, or a network without convolutions.
    """
    return [path for path, (_, mapped) in _outputs(model).items() if mapped]


def _outputs(model: Model) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Each layer's path with its output's shape, and whether that is maps: after a convolution, with an extent."""
    check_model(model)
    tape = Tape(tap_all=True, record_calls=True)

    def trace(params: Params, state: State) -> Any:
        spec = model.preprocessing.input_spec()
        y, _ = model.network.apply(params, state, jnp.zeros((1, *spec.shape), spec.dtype), tape=tape)
        return y

    jax.eval_shape(trace, model.params, model.state)
    convolutions = [call.path for call in tape.calls if isinstance(call.layer, Conv | ConvTranspose)]
    if not convolutions:
        raise ConfigError(
            "The network has no convolution, and so no feature maps.",
            "Saliency, integrated gradients and occlusion explain it too.",
        )
    found: dict[str, tuple[tuple[int, ...], bool]] = {}
    seen = False
    for path, output in tape.taps.items():
        seen = seen or path == convolutions[0]
        shape = tuple(getattr(output, "shape", ()))[1:]
        found[path] = shape, seen and len(shape) == 3 and shape[0] * shape[1] > 1
    return found


def check_layer(model: Model, layer: str) -> None:
    """Refuse a layer that has no maps.

    Raises:
        ConfigError: for a model that does not look at pictures, one without convolutions, an unknown layer, or one
            whose output is not maps.
    """
    outputs = _outputs(model)
    mapped = [path for path, (_, good) in outputs.items() if good]
    if layer not in outputs:
        raise ConfigError(f"The network has no layer {layer!r}.", nearest(layer, mapped))
    if not outputs[layer][1]:
        raise ConfigError(
            f"The output of layer {layer!r} has the shape {outputs[layer][0]} and is no feature maps.",
            f"Layers with maps: {', '.join(mapped)}.",
        )


@partial(jax.jit, static_argnums=(0, 1))
def _maps(network: Layer, path: str, params: Params, state: State, x: jax.Array) -> jax.Array:
    tape = Tape(wanted=frozenset({path}))
    network.apply(params, state, x, tape=tape)
    maps: jax.Array = tape.taps[path]
    return maps


@partial(jax.jit, static_argnums=(0, 1))
def _weighed(network: Layer, path: str, params: Params, state: State, x: jax.Array, direction: jax.Array) -> jax.Array:
    def score(added: jax.Array) -> tuple[jax.Array, jax.Array]:
        tape = Tape(wanted=frozenset({path}), perturbations={path: added})
        outputs, _ = network.apply(params, state, x[None], tape=tape)
        return (outputs @ direction).sum(), tape.taps[path]

    shape = jax.eval_shape(lambda x: _maps(network, path, params, state, x), x[None])
    gradient, maps = jax.grad(score, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
    summed = jax.nn.relu((maps * gradient.mean(axis=(1, 2), keepdims=True)).sum(axis=-1)[0])
    heat = jax.image.resize(summed, x.shape[:2], "bilinear")
    highest = heat.max()
    scaled: jax.Array = heat / jnp.where(highest > 0, highest, 1.0)
    return scaled
