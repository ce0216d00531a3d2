"""Normalisation: signals brought to mean 0 and variance 1."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from lamina.errors import ConfigError, ShapeError
from lamina.kernels.batch_norm import batch_norm
from lamina.kernels.precision import widened
from lamina.layers._checks import check_floating, check_number, check_whole
from lamina.layers.base import Context, Layer, Params, Spec, State

__all__ = ["BatchNorm", "LayerNorm", "LocalResponseNorm"]


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """y = scale · (x - mean) / √(var + epsilon) + bias for each channel of the last axis.

    In training mean and var are the batch's, over all axes but the last, and the running statistics follow them:
    running = momentum · running + (1 - momentum) · batch. In evaluation they are the running ones. An empty batch is
    passed through, and a batch of one value for each channel is turned into ``bias``: neither can be normalised.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    Departures: var is the biased one (sum of squares / count) both in normalising and in the running statistics, as in
    Keras; PyTorch (and the paper) keep a running var larger by count / (count - 1). PyTorch's momentum is 1 - ours.

    Args:
        momentum: weight kept on the old running statistics, 0 <= momentum <= 1.
        epsilon: added to var.

    State: ``{"mean", "var"}`` of shape ``(channels,)``, float32. Statistics are computed in float32 (float64 for
    float64 inputs).

    Shapes: ``(batch, ..., channels)`` → the same.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_number("BatchNorm", "momentum", self.momentum, 0, 1)
        _check_epsilon(self)

    def out_spec(self, in_spec: Spec) -> Spec:
        return _check_channels("BatchNorm", in_spec)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        channels = in_spec.shape[-1:]
        params = {"scale": jnp.ones(channels, jnp.float32), "bias": jnp.zeros(channels, jnp.float32)}
        return params, {"mean": jnp.zeros(channels, jnp.float32), "var": jnp.ones(channels, jnp.float32)}

    def fuses_relu(self) -> bool:
        return True

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        _check_input("BatchNorm", params["scale"], x)
        dtype = jnp.float64 if x.dtype == jnp.float64 else jnp.float32
        scale, bias = params["scale"].astype(dtype), params["bias"].astype(dtype)
        if not ctx.train or ctx.frozen_statistics or x.size == 0:
            mean, var = state["mean"].astype(dtype), state["var"].astype(dtype)
            return ((widened(x) - mean) * (scale * lax.rsqrt(var + self.epsilon)) + bias).astype(x.dtype), state
        then = ctx.then
        after = {} if then is None else {"bound": then.bound, "added": then.added}
        y, mean, var = batch_norm(x, scale, bias, self.epsilon, **after)
        running = {
            name: self.momentum * state[name] + (1 - self.momentum) * lax.stop_gradient(value).astype(jnp.float32)
            for name, value in (("mean", mean), ("var", var))
        }
        return y, running


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """y = scale · (x - mean) / √(var + epsilon) + bias, mean and (biased) var over the last axis of each example.

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.

    Args:
        epsilon: added to var.

    Shapes: ``(batch, ..., features)`` → the same. Statistics are computed in float32 (float64 for float64 inputs).
    """

    on_masked = "each"

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _check_epsilon(self)

    def out_spec(self, in_spec: Spec) -> Spec:
        return _check_channels("LayerNorm", in_spec)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        features = in_spec.shape[-1:]
        return {"scale": jnp.ones(features, jnp.float32), "bias": jnp.zeros(features, jnp.float32)}, {}

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        _check_input("LayerNorm", params["scale"], x)
        wide = widened(x)
        centred = wide - jnp.mean(wide, -1, keepdims=True)
        unit = centred * lax.rsqrt(jnp.mean(jnp.square(centred), -1, keepdims=True) + self.epsilon)
        y = unit * params["scale"].astype(wide.dtype) + params["bias"].astype(wide.dtype)
        return y.astype(x.dtype), state


@dataclass(frozen=True, repr=False)
class LocalResponseNorm(Layer):
    """y = x / (k + alpha / size · Σ x²)^beta, the sum over ``size`` neighbouring channels, with x's own in the middle.

    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", NeurIPS.
    Departure: alpha is divided by ``size``, as in PyTorch; the paper's alpha is ours over size.

    Args:
        size: channels in the sum: ``size // 2`` before x's own, the rest after it.
        alpha, beta, k: above; beta and k above 0.

    Shapes: ``(batch, ..., channels)`` → the same. The sum is computed in float32 (float64 for float64 inputs).
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        check_whole("LocalResponseNorm", "size", self.size, 1)
        for name in ("alpha", "beta", "k"):
            check_number("LocalResponseNorm", name, getattr(self, name), low=0)
        if self.k == 0:
            raise ConfigError("LocalResponseNorm needs a k above 0: with 0 it divides by nothing. Received: k=0.")

    def out_spec(self, in_spec: Spec) -> Spec:
        return _check_channels("LocalResponseNorm", in_spec)

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        wide = widened(x)
        before = self.size // 2
        sides = [(0, 0)] * (x.ndim - 1) + [(before, self.size - 1 - before)]
        squares = jnp.pad(jnp.square(wide), sides)
        channels = x.shape[-1]
        total = sum(squares[..., offset : offset + channels] for offset in range(self.size))
        return (wide / (self.k + self.alpha / self.size * total) ** self.beta).astype(x.dtype), state


def _check_epsilon(layer: BatchNorm | LayerNorm) -> None:
    check_number(type(layer).__name__, "epsilon", layer.epsilon, low=0)
    if layer.epsilon == 0:
        raise ConfigError(f"{type(layer).__name__} needs a positive epsilon. Received: epsilon=0.")


def _check_channels(who: str, in_spec: Spec) -> Spec:
    if not in_spec.shape:
        raise ShapeError(f"{who} expects at least one feature axis after the batch axis, got none.")
    check_floating(who, in_spec.dtype)
    return in_spec


def _check_input(who: str, scale: jax.Array, x: jax.Array) -> None:
    check_floating(who, x.dtype)
    if x.shape[-1:] != scale.shape:
        raise ShapeError(
            f"{who} was made for {scale.shape[0]} channels in the last axis, got shape {tuple(x.shape)}.",
            "Feed it the shape that the network was initialised with.",
        )
