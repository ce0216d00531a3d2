"""How far back a loss reaches: the size of its gradient with respect to the state of recurrent layers, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lamina.errors import ConfigError
from lamina.layers import GRU, LSTM, Layer, SimpleRNN, Tape
from lamina.layers.base import Params, State

__all__ = ["StateGradient", "state_gradients"]

_Added: TypeAlias = dict[str, tuple[jax.Array, ...]]


@dataclass(frozen=True)
class StateGradient:
    """Norms over batch and units of a loss's gradient with respect to a recurrent layer's state after every step.

    Attributes:
        h: ``(steps,)``, of the gradient with respect to h_t, all its later influence included.
        c: ``(steps,)``, of that with respect to an LSTM's cell c_t; None for other layers.
    """

    h: np.ndarray
    c: np.ndarray | None = None

    @property
    def whole(self) -> np.ndarray:
        """``(steps,)``, of the gradient with respect to all that is carried on: h, or h and c together."""
        return self.h if self.c is None else np.hypot(self.h, self.c)


def state_gradients(
    network: Layer,
    params: Params,
    state: State,
    x: Any,
    y: Any,
    loss: Callable[[jax.Array, jax.Array], jax.Array],
) -> dict[str, StateGradient]:
    """The norm of d loss / d h_t for each step t of each recurrent layer, the network in evaluation.

    In a plain recurrent network it shrinks (or grows) by about the same factor with every step back from where the
    loss looks; an LSTM's cell keeps it (Hochreiter & Schmidhuber 1997; Bengio, Simard & Frasconi 1994, IEEE
    Transactions on Neural Networks 5:157-166).

    Args:
        network, params, state: as for `Layer.apply`.
        x: batch of inputs.
        y: encoded targets of the batch.
        loss: of ``(outputs, y)``, such as ``lm.losses.SoftmaxCrossEntropy()``.

    Returns:
        By path. The steps are in the order in which the layer reads them: of a `Bidirectional` layer's ``backwards``
        the first is the sequence's last. Steps past the end of a masked sequence count nothing.

    Raises:
        ConfigError: where the network has no recurrent layer.

    Example:
        >>> import jax, lamina as lm
        >>> net = lm.Sequential(rnn=lm.LSTM(8), head=lm.Dense(2))
        >>> params, state = net.init(jax.random.key(0), (20, 3))
        >>> x, y = jax.numpy.ones((4, 20, 3)), jax.numpy.zeros(4, "int32")
        >>> lm.state_gradients(net, params, state, x, y, lm.losses.SoftmaxCrossEntropy())["rnn"].h.shape
        (20,)
    """
    x = jax.tree.map(jnp.asarray, x)
    nothing = _zeros(network, params, state, x)
    if not nothing:
        raise ConfigError("The network has no recurrent layer whose state a gradient could flow through.")

    def objective(added: _Added) -> jax.Array:
        outputs, _ = network.apply(params, state, x, tape=Tape(states=added))
        return loss(outputs, jnp.asarray(y))

    def norms(added: _Added) -> Any:
        return jax.tree.map(lambda d: jnp.sqrt(jnp.sum(jnp.square(d), axis=(0, 2))), jax.grad(objective)(added))

    found = jax.jit(norms)(nothing)
    return {path: StateGradient(*(np.asarray(norm) for norm in found[path])) for path in nothing}


def _zeros(network: Layer, params: Params, state: State, x: Any) -> _Added:
    """What is added to every recurrent layer's states, by path in order of computation."""
    shapes: dict[str, tuple[Any, ...]] = {}

    def record(params: Params, state: State, x: Any) -> None:
        tape = Tape(record_calls=True)
        network.apply(params, state, x, tape=tape)
        for call in tape.calls:
            if isinstance(call.layer, GRU | LSTM | SimpleRNN):
                dtype = jnp.promote_types(call.inputs.dtype, jnp.float32)
                states = jax.ShapeDtypeStruct((*call.inputs.shape[:2], call.layer.units), dtype)
                shapes[call.path] = (states,) * (2 if isinstance(call.layer, LSTM) else 1)

    jax.eval_shape(record, params, state, x)
    return {path: tuple(jnp.zeros(s.shape, s.dtype) for s in own) for path, own in shapes.items()}
