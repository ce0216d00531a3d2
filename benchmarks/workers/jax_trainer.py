"""JAX alone, as one writes it with care but without a library for networks: no operation or gradient is Lamina's.

Convolutions are `lax.conv_general_dilated`, recurrent layers are `lax.scan`, all gradients are JAX's own, and all
steps of a call are one jitted `lax.scan`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from data_and_weights import first_weights
from jax import lax
from networks import (
    EPSILON,
    MOMENTUM,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Embedding,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Network,
    Recurrent,
    Relu,
    Relu6,
    Residual,
)

from workers.base import EVALUATION_BATCH, Trainer

__all__ = ["JaxTrainer"]

_STATISTICS = ("mean", "var")


class JaxTrainer(Trainer):
    def build(self, network: Network, seed: int, rate: float, **variant: Any) -> None:
        self.network = network
        self.optimizer = optax.adam(rate)
        self.weights = first_weights(network, seed)
        self._steps = jax.jit(self._scan, donate_argnums=0)
        self._apply = jax.jit(self.apply, static_argnames="training")
        self.reset()

    def feed(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)

    def reset(self) -> None:
        # Copies: what is donated is overwritten.
        params, state = (
            {
                path: {name: jnp.array(value) for name, value in own.items() if (name in _STATISTICS) == statistics}
                for path, own in self.weights.items()
            }
            for statistics in (False, True)
        )
        self.carry = params, state, self.optimizer.init(params)

    def train(self, rows: np.ndarray) -> None:
        self.carry = jax.block_until_ready(self._steps(self.carry, self.x, self.y, jnp.asarray(rows)))

    def lowered(self, rows: np.ndarray) -> str:
        """The program of `train`, as it is given to XLA."""
        return self._steps.lower(self.carry, self.x, self.y, jnp.asarray(rows)).as_text()

    def logits(self, x: np.ndarray, *, training: bool = False) -> np.ndarray:
        size = self.network.batch_size if training else EVALUATION_BATCH
        batches = [jnp.asarray(x[start : start + size]) for start in range(0, len(x), size)]
        outputs = [self._apply(*self.carry[:2], batch, training=training)[0] for batch in batches]
        return np.concatenate([np.asarray(output) for output in outputs])

    def apply(self, params: Any, state: Any, x: jax.Array, *, training: bool) -> tuple[jax.Array, Any]:
        """Float32 logits, and the new running statistics."""
        state, dtype = dict(state), {"f32": jnp.float32, "bf16": jnp.bfloat16}[self.precision]
        if self.network.reads_symbols:
            params = params | {"0": {"table": params["0"]["table"].astype(dtype)}}
        else:
            x = x.astype(dtype)
        return _chain(self.network.layers, "", params, state, x, training).astype(jnp.float32), state

    def _objective(self, params: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:
        logits, state = self.apply(params, state, x, training=True)
        if self.network.reconstructs:
            return jnp.mean(jnp.square(logits - x)), state
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, y).mean(), state

    def _scan(self, carry: Any, x: jax.Array, y: jax.Array, rows: jax.Array) -> Any:
        def step(carry: Any, row: jax.Array) -> tuple[Any, None]:
            params, state, memory = carry
            grads, state = jax.grad(self._objective, has_aux=True)(params, state, x[row], y[row])
            updates, memory = self.optimizer.update(grads, memory)
            return (optax.apply_updates(params, updates), state, memory), None

        return lax.scan(step, carry, rows)[0]


def _chain(layers: tuple[Any, ...], prefix: str, params: Any, state: Any, x: jax.Array, training: bool) -> jax.Array:
    """The layers one after the other; new running statistics are put into ``state``."""
    for index, layer in enumerate(layers):
        path = f"{prefix}{index}"
        if isinstance(layer, Residual | Concat):
            parts = layer.parts().items()
            outputs = [_chain(part, f"{path}.{name}.", params, state, x, training) for name, part in parts]
            if isinstance(layer, Concat):
                x = jnp.concatenate(outputs, -1)
            else:
                x = outputs[0] + (outputs[1] if layer.shortcut else x)
        elif isinstance(layer, Embedding):
            x = params[path]["table"][x]
        elif isinstance(layer, BatchNorm):
            x, state[path] = _batch_norm(params[path], state[path], x, training)
        else:
            own = {name: value.astype(x.dtype) for name, value in params.get(path, {}).items()}
            x = _layer(layer, own, x)
    return x


def _layer(layer: Any, own: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    match layer:
        case Dense():
            return x @ own["kernel"] + own["bias"]
        case Conv(_, _, stride):
            y = lax.conv_general_dilated(
                x,
                own["kernel"],
                (stride, stride),
                ((layer.padding, layer.padding),) * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=x.shape[-1] if layer.depthwise else 1,
            )
            return y + own["bias"] if layer.bias else y
        case Relu():
            return jax.nn.relu(x)
        case Relu6():
            return jax.nn.relu6(x)
        case MaxPool(window, stride, padding, ceil):
            beyond = padding + (stride - 1 if ceil else 0)
            pads = ((0, 0), (padding, beyond), (padding, beyond), (0, 0))
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), pads)
        case GlobalAvgPool():
            return jnp.mean(x, (1, 2))
        case Flatten():
            return x.reshape(len(x), -1)
        case Recurrent(cell, _, sequences):
            return (_lstm if cell == "lstm" else _gru)(own, x, sequences)
    raise NotImplementedError(f"no {layer}")


def _batch_norm(own: Any, running: Any, x: jax.Array, training: bool) -> tuple[jax.Array, Any]:
    wide = x.astype(jnp.float32)
    mean, var = running["mean"], running["var"]
    if training:
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(wide, axes)
        var = jnp.maximum(jnp.mean(jnp.square(wide), axes) - jnp.square(mean), 0)
        running = {
            name: MOMENTUM * running[name] + (1 - MOMENTUM) * value for name, value in (("mean", mean), ("var", var))
        }
    y = (wide - mean) * (own["scale"] * lax.rsqrt(var + EPSILON)) + own["bias"]
    return y.astype(x.dtype), running


def _lstm(own: dict[str, jax.Array], x: jax.Array, sequences: bool) -> jax.Array:
    def step(carry: tuple[jax.Array, jax.Array], p: jax.Array) -> Any:
        h, c = carry
        i, f, g, o = jnp.split((p + h @ own["recurrent_kernel"]).astype(c.dtype), 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = (jax.nn.sigmoid(o) * jnp.tanh(c)).astype(h.dtype)
        return (h, c), h if sequences else None

    zeros = jnp.zeros((len(x), own["recurrent_kernel"].shape[0]), x.dtype)
    start = zeros, zeros.astype(jnp.float32)
    (last, _), states = lax.scan(step, start, jnp.swapaxes(x @ own["kernel"] + own["bias"], 0, 1))
    return jnp.swapaxes(states, 0, 1) if sequences else last


def _gru(own: dict[str, jax.Array], x: jax.Array, sequences: bool) -> jax.Array:
    def step(h: jax.Array, p: jax.Array) -> Any:
        (pr, pz, pn), (sr, sz, sn) = (
            jnp.split(value, 3, -1) for value in (p, h @ own["recurrent_kernel"] + own["recurrent_bias"])
        )
        r, z = jax.nn.sigmoid(pr + sr), jax.nn.sigmoid(pz + sz)
        h = (1 - z) * jnp.tanh(pn + r * sn) + z * h
        return h, h if sequences else None

    zeros = jnp.zeros((len(x), own["recurrent_kernel"].shape[0]), x.dtype)
    last, states = lax.scan(step, zeros, jnp.swapaxes(x @ own["kernel"] + own["bias"], 0, 1))
    return jnp.swapaxes(states, 0, 1) if sequences else last
