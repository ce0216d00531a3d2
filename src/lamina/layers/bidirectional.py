"""A recurrent layer that reads its sequence from both ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError
from lamina.layers.base import Context, Layer, Params, Spec, State, apply_part, part_spec, setup_part
from lamina.layers.combine import Merge, MergeMode
from lamina.layers.masked import Masked
from lamina.layers.recurrent import GRU, LSTM, SimpleRNN

__all__ = ["Bidirectional"]


@dataclass(frozen=True, repr=False)
class Bidirectional(Layer):
    """Two layers, one that reads each sequence from its first step on and one from its last step back, joined.

    With ``return_sequences`` the states at the same step are joined: that step has been seen with all that is before
    and after it. Otherwise those states are joined in which both have read the whole sequence.

    Source: Schuster & Paliwal 1997, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing
    45:2673-2681.

    Args:
        layer: a recurrent layer; both directions are like it, each with weights of its own, under the names
            ``forwards`` and ``backwards``.
        merge: "concat" (forwards first), "add", "multiply", "mean" or "max".

    Shapes: as of ``layer``, with twice its units for "concat". Masked sequences are turned round within their own
    lengths.

    Raises:
        ConfigError: for a layer that is not recurrent; when it is to go on from a memory, since one direction begins
            at the end of what is still to come.

    Example:
        >>> import lamina as lm
        >>> net = lm.Sequential(
        ...     lm.Bidirectional(lm.LSTM(32, return_sequences=True)), lm.Bidirectional(lm.LSTM(32)), lm.Dense(2)
        ... )
        >>> net.out_spec(lm.layers.base.as_spec((20, 8))).shape
        (2,)
    """

    on_masked = "own"

    layer: GRU | LSTM | SimpleRNN
    merge: MergeMode = "concat"

    def __post_init__(self) -> None:
        if not isinstance(self.layer, GRU | LSTM | SimpleRNN):
            raise ConfigError(
                f"Bidirectional takes a recurrent layer: LSTM, GRU or SimpleRNN. Received: {self.layer!r}."
            )
        if self.merge == "subtract":
            raise ConfigError("Bidirectional joins by 'concat', 'add', 'multiply', 'mean' or 'max', not 'subtract'.")
        Merge(self.merge)

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield "forwards", self.layer
        yield "backwards", self.layer

    def out_spec(self, in_spec: Spec) -> Spec:
        outs = tuple(part_spec(name, part, in_spec) for name, part in self.parts())
        return part_spec("merge", Merge(self.merge), outs)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params: Params = {}
        state: State = {}
        for name, part in self.parts():
            setup_part(key, name, part, in_spec, params, state)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        if ctx.memory is not None:
            raise ConfigError(
                f"Bidirectional layer '{ctx.path}' reads sequences from their ends too: it cannot go on from the piece "
                "before without the pieces to come.",
                "Use a recurrent layer that reads forwards alone, or feed it whole sequences.",
            )
        new_state: State = {}
        ahead = apply_part("forwards", self.layer, params, state, new_state, x, ctx)
        back = apply_part("backwards", self.layer, params, state, new_state, _reversed(x), ctx)
        back = _reversed(back) if self.layer.return_sequences else back
        return apply_part("merge", Merge(self.merge), {}, {}, {}, (ahead, back), ctx), new_state


def _reversed(x: Any) -> Any:
    return x.reversed() if isinstance(x, Masked) else jnp.flip(x, axis=1)
