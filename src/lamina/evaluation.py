"""Networks made faster for evaluation: what is constant then is multiplied into the weights beforehand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina.kernels.conv_with_bias import Packed, conv_with_bias, pack
from lamina.layers import (
    Autoencoder,
    BatchNorm,
    Conv,
    Dense,
    Layer,
    Masked,
    Parallel,
    Relu,
    Relu6,
    Residual,
    Sequential,
    memory,
)
from lamina.layers.base import Context, Params, Spec, State, Tape, part_spec, spec
from lamina.layers.memory import Carries

__all__ = ["Predictor", "fold", "packed"]


_LAYOUTS = 2  # shapes of a batch whose weights are kept: one by one, and many at once
_LARGEST = 32 << 20  # bytes of an activation, above which a batch is computed in slices


class Predictor:
    """A trained network as a function of encoded inputs, compiled for each shape of a batch.

    Weights are folded once, and brought into the layout that convolutions want once for each shape. On a CPU a large
    batch is computed in slices, one after the other: their activations take the same memory again, still warm, where
    those of the whole batch would each time be new pages of the system's (SqueezeNet at 224×224, batch 32: 1.7 times
    faster).
    """

    def __init__(self, network: Layer, params: Params, state: State, transform: Callable[[Any], Any]) -> None:
        self._network, self._params, self._state = fold(network, params, state)
        self._transform = transform
        self._packed: dict[Any, tuple[int, Params]] = {}
        self._compiled = jax.jit(self._forward, static_argnums=0)
        self._going_on = jax.jit(self._advance)

    def __call__(self, x: Any) -> jax.Array:
        """Raw outputs ``(batch, units)`` in float32 for a batch as the preprocessing encodes it."""
        leaves, structure = jax.tree.flatten(x)
        key = structure, *((leaf.shape, jnp.dtype(leaf.dtype)) for leaf in leaves)
        if key not in self._packed:
            inputs = jax.eval_shape(self._transform, x)
            in_spec = jax.tree.map(lambda leaf: spec(leaf.shape[1:], leaf.dtype), inputs)
            size = self._slice(inputs, leaves[0].shape[0])
            made = size, packed(self._network, self._params, in_spec, size)
            self._packed = dict([*self._packed.items(), (key, made)][-_LAYOUTS:])
        size, params = self._packed[key]
        outputs: jax.Array = self._compiled(size, params, self._state, x)
        return outputs

    def advance(self, carried: Carries | None, x: Any) -> tuple[jax.Array, Carries]:
        """The outputs of a batch that goes on where ``carried`` left off (None: at the beginning), and what comes next.

        Raises:
            ConfigError: where the network reads sequences backwards.
        """
        if carried is None:
            carried = memory.start(self._network, self._params, self._state, jax.eval_shape(self._transform, x))
        return self._going_on(self._params, self._state, carried, x)  # type: ignore[no-any-return]

    def _advance(self, params: Params, state: State, carried: Carries, x: Any) -> tuple[jax.Array, Carries]:
        outputs, carried = memory.run(self._network, params, state, self._transform(x), carried)
        return jnp.asarray(outputs, jnp.float32), carried

    def programs(self) -> int:
        """How many shapes have been compiled."""
        return int(self._compiled._cache_size())  # type: ignore[attr-defined]

    def _slice(self, inputs: Any, batch: int) -> int:
        """Examples that are computed together."""
        if jax.default_backend() != "cpu":
            return batch

        def activations(x: Any) -> dict[str, Any]:
            tape = Tape(tap_all=True)
            self._network.apply(self._params, self._state, x, tape=tape)
            return tape.taps

        largest = max(
            (leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(activations, inputs))),
            default=0,
        )
        slices = min(max(-(-largest // _LARGEST), 1), batch)
        return -(-batch // slices)

    def _forward(self, size: int, params: Params, state: State, x: Any) -> jax.Array:
        def forward(x: Any) -> jax.Array:
            outputs, _ = self._network.apply(params, state, self._transform(x))
            return jnp.asarray(outputs, jnp.float32)

        batch = jax.tree.leaves(x)[0].shape[0]
        if size >= batch:
            return forward(x)
        missing = -batch % size

        def cut(leaf: jax.Array) -> jax.Array:
            filled = jnp.pad(leaf, [(0, missing), *[(0, 0)] * (leaf.ndim - 1)])
            return filled.reshape(-1, size, *leaf.shape[1:])

        outputs: jax.Array = lax.map(forward, jax.tree.map(cut, x))
        return outputs.reshape(-1, *outputs.shape[2:])[:batch]


def fold(network: Layer, params: Params, state: State) -> tuple[Layer, Params, State]:
    """The same function in evaluation, with fewer passes over its activations.

    A BatchNorm that follows a Conv or Dense layer in a chain is folded into its weights (its running statistics are
    constants), and a ReLU or ReLU6 that follows a Conv is applied where the convolution stores its sums. Chains inside
    chains, residual blocks and branches are gone through; other containers stay as they are.

    Returns:
        A network for evaluation alone, its params and its state. Its results differ from the network's by rounding.
    """
    if isinstance(network, Autoencoder):
        return fold(*network.for_evaluation(params, state))
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
        elif isinstance(part, Relu | Relu6) and isinstance(before, Conv) and before.use_bias:
            parts[last] = _ConvWithBias(before, part.bound)
        else:
            parts[name], own_params[name], own_state[name] = part, part_params, part_state
            last = name
    parts = {
        name: _ConvWithBias(part, bound=None) if isinstance(part, Conv) and part.use_bias else part
        for name, part in parts.items()
    }
    if isinstance(network, Residual):
        return Residual(**parts), own_params, own_state
    if isinstance(network, Parallel):
        return Parallel(**parts, merge=network.merge), own_params, own_state
    return Sequential(**parts), own_params, own_state


def packed(network: Layer, params: Params, in_spec: Spec, batch: int) -> Params:
    """The params of a folded network, its kernels brought beforehand into the layout that convolutions want.

    Args:
        in_spec: of an example as it goes into the network.
        batch: examples in a batch; another number is another layout.
    """
    if isinstance(network, _ConvWithBias):
        x = jax.ShapeDtypeStruct((batch, *in_spec.shape), in_spec.dtype)
        return params | {"kernel": pack(x, params["kernel"], **network.options(network.conv.pads(in_spec)))}
    if not isinstance(network, Sequential | Residual | Parallel):
        return params
    own: Params = {}
    for name, part in network.parts():
        own[name] = packed(part, params.get(name, {}), in_spec, batch)
        if isinstance(network, Sequential):
            in_spec = part_spec(name, part, in_spec)
    return own


def _absorbed(params: Params, norm: BatchNorm, norm_params: Params, norm_state: State) -> Params:
    """The weights of one layer that does what a layer and the norm after it did: both are affine in each output."""
    gain = norm_params["scale"] * lax.rsqrt(norm_state["var"] + norm.epsilon)
    bias = params.get("bias", jnp.zeros_like(gain))
    return {"kernel": params["kernel"] * gain, "bias": (bias - norm_state["mean"]) * gain + norm_params["bias"]}


@dataclass(frozen=True, repr=False)
class _ConvWithBias(Layer):
    """A Conv that adds its bias, and takes ReLU or ReLU6, where it stores its sums."""

    on_masked = "own"

    conv: Conv
    bound: float | None

    def out_spec(self, in_spec: Spec) -> Spec:
        return self.conv.out_spec(in_spec)

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        def convolve(x: jax.Array, pads: Any) -> jax.Array:
            kernel = params["kernel"]
            kernel = kernel if isinstance(kernel, Packed) else kernel.astype(x.dtype)
            return conv_with_bias(x, kernel, params["bias"], **self.options(pads))

        if isinstance(x, Masked):
            return self.conv.over_masked(x, convolve), state
        return convolve(x, self.conv.pads(spec(x.shape[1:], x.dtype))), state

    def options(self, pads: Any) -> dict[str, Any]:
        """Of `conv_with_bias`, for padding (low, high) of each axis."""
        names = ("strides", "dilation", "groups")
        return {name: getattr(self.conv, name) for name in names} | {"padding": pads, "bound": self.bound}
