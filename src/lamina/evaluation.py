"""Networks made faster for evaluation: what is constant then is multiplied into the weights beforehand."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from lamina.kernels.conv_with_bias import conv_with_bias
from lamina.layers import BatchNorm, Conv, Dense, Layer, Parallel, Relu, Residual, Sequential
from lamina.layers.base import Context, Params, Spec, State

__all__ = ["fold"]


def fold(network: Layer, params: Params, state: State) -> tuple[Layer, Params, State]:
    """The same function in evaluation, with fewer passes over its activations.

    A BatchNorm that follows a Conv or Dense layer in a chain is folded into its weights (its running statistics are
    constants), and a ReLU that follows a Conv is applied where the convolution stores its sums. Chains inside chains,
    residual blocks and branches are gone through; other containers stay as they are.

    Returns:
        A network for evaluation alone, its params and its state. Its results differ from the network's by rounding.
    """
    if not isinstance(network, Sequential | Residual | Parallel):
        return network, params, state
    parts: dict[str, Layer] = {}
    own_params: Params = {}
    own_state: State = {}
    last = ""
    for name, part in network.parts():
        part, part_params, part_state = fold(part, params.get(name, {}), state.get(name, {}))
        before = parts.get(last) if isinstance(network, Sequential) else None
        if isinstance(part, BatchNorm) and isinstance(before, Conv | Dense):
            own_params[last] = _absorbed(own_params[last], part, part_params, part_state)
            parts[last] = dataclasses.replace(before, use_bias=True)
        elif isinstance(part, Relu) and isinstance(before, Conv) and before.use_bias:
            parts[last] = _ConvWithBias(before, relu=True)
        else:
            parts[name], own_params[name], own_state[name] = part, part_params, part_state
            last = name
    parts = {
        name: _ConvWithBias(part, relu=False) if isinstance(part, Conv) and part.use_bias else part
        for name, part in parts.items()
    }
    if isinstance(network, Residual):
        return Residual(**parts), own_params, own_state
    if isinstance(network, Parallel):
        return Parallel(**parts, merge=network.merge), own_params, own_state
    return Sequential(**parts), own_params, own_state


def _absorbed(params: Params, norm: BatchNorm, norm_params: Params, norm_state: State) -> Params:
    """The weights of one layer that does what a layer and the norm after it did: both are affine in each output."""
    gain = norm_params["scale"] * lax.rsqrt(norm_state["var"] + norm.epsilon)
    bias = params.get("bias", jnp.zeros_like(gain))
    return {"kernel": params["kernel"] * gain, "bias": (bias - norm_state["mean"]) * gain + norm_params["bias"]}


@dataclass(frozen=True, repr=False)
class _ConvWithBias(Layer):
    """A Conv that adds its bias, and takes the maximum with 0, where it stores its sums."""

    conv: Conv
    relu: bool

    def out_spec(self, in_spec: Spec) -> Spec:
        return self.conv.out_spec(in_spec)

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        conv = self.conv
        y = conv_with_bias(
            x,
            params["kernel"].astype(x.dtype),
            params["bias"],
            relu=self.relu,
            strides=conv.strides,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
        )
        return y, state
