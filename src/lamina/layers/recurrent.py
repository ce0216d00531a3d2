"""Recurrent layers: a state that is carried from one time step to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina.errors import ShapeError
from lamina.initializers import GlorotUniform, Initializer, Orthogonal, Zeros
from lamina.kernels.matmul import matmul
from lamina.kernels.precision import widened
from lamina.kernels.recurrent import GATES, Cell, recurrent
from lamina.kernels.recurrent_unrolled import unrolled
from lamina.layers._checks import check_floating, check_number, check_rate, check_whole
from lamina.layers.base import Context, Layer, Params, Spec, State, describe_spec, fold, spec
from lamina.layers.dropout import dropout_mask
from lamina.layers.masked import Masked

__all__ = ["GRU", "LSTM", "SimpleRNN"]

_SATURATING = 1e4  # σ of it is 1, of its negative 0, in every precision


@dataclass(frozen=True, repr=False)
class _Recurrent(Layer):
    """What the three layers share: weights of the input W, of the state U, and the run over time."""

    cell: ClassVar[Cell]
    biases: ClassVar[tuple[str, ...]] = ("bias",)
    on_masked = "own"

    units: int
    return_sequences: bool = False
    kernel_init: Initializer = GlorotUniform()
    recurrent_init: Initializer = Orthogonal()
    bias_init: Initializer = Zeros()
    dropout: float = 0.0
    recurrent_dropout: float = 0.0

    def __post_init__(self) -> None:
        who = type(self).__name__
        check_whole(who, "units", self.units)
        check_rate(who, "dropout", self.dropout)
        check_rate(who, "recurrent_dropout", self.recurrent_dropout)

    def out_spec(self, in_spec: Spec) -> Spec:
        who = type(self).__name__
        if len(getattr(in_spec, "shape", ())) != 2:
            raise ShapeError(
                f"{who} expects sequences (steps, features) after the batch axis, got {describe_spec(in_spec)}.",
                "Put an Embedding before it for sequences of codes, or Reshape to add the missing axis.",
            )
        check_floating(who, in_spec.dtype)
        if not in_spec.shape[0]:
            raise ShapeError(f"{who} needs at least one time step, got sequences of none.")
        if not self.return_sequences:
            return spec((self.units,), in_spec.dtype)
        states = spec((in_spec.shape[0], self.units), in_spec.dtype)
        return in_spec.with_values(states) if isinstance(in_spec, Masked) else states

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        gates = GATES[self.cell]
        # Each gate is a matrix of its own: what decides the spread of its weights is one gate's size.
        keys = jax.random.split(key, 3 * gates).reshape(3, gates)
        inputs = in_spec.shape[-1]
        params = {
            "kernel": jnp.concatenate([self.kernel_init(k, (inputs, self.units)) for k in keys[0]], axis=1),
            "recurrent_kernel": jnp.concatenate(
                [self.recurrent_init(k, (self.units, self.units)) for k in keys[1]], axis=1
            ),
        }
        for index, name in enumerate(self.biases):
            parts = [self.bias_init(jax.random.fold_in(k, index), (self.units,)) for k in keys[2]]
            params[name] = jnp.concatenate(parts)
        return params, {}

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        who = type(self).__name__
        check_floating(who, x.dtype)
        kernel = params["kernel"].astype(x.dtype)
        if len(x.shape) != 3 or x.shape[-1] != kernel.shape[0] or not x.shape[1]:
            raise ShapeError(
                f"{who} was made for sequences (batch, steps, {kernel.shape[0]}), got shape {tuple(x.shape)}.",
                "Feed it the shape that the network was initialised with.",
            )
        values = x.emptied().values if isinstance(x, Masked) else x
        if ctx.train and self.dropout:
            shape = (x.shape[0], 1, x.shape[-1])
            values = values * dropout_mask(fold(ctx.rng(), "inputs"), self.dropout, shape, x.dtype)
        projected = matmul(values, kernel)
        if len(self.biases) > 1:
            projected = projected + params[self.biases[0]].astype(x.dtype)
        if isinstance(x, Masked) and self.cell == "lstm":
            projected = _kept_past_the_end(projected, x.mask())
        first = jnp.zeros((x.shape[0], self.units), x.dtype)
        fresh = (first, widened(first)) if self.cell == "lstm" else first
        before = ctx.recall(fresh)
        h0, c0 = before if self.cell == "lstm" else (before, None)
        own, bias = params["recurrent_kernel"].astype(x.dtype), params[self.biases[-1]].astype(x.dtype)
        mask = None
        if ctx.train and self.recurrent_dropout:
            mask = dropout_mask(fold(ctx.rng(), "states"), self.recurrent_dropout, h0.shape, x.dtype)
        added = ctx.added_to_states()
        if added is not None and isinstance(x, Masked):
            added = tuple(x.with_values(array).emptied().values for array in added)
        if mask is None and added is None:
            outputs, last = recurrent(self.cell, projected, own, bias, h0, c0)
        else:
            outputs, last = unrolled(self.cell, projected, own, bias, h0, c0, mask=mask, added=added)
        h = x.with_values(outputs).last() if isinstance(x, Masked) else outputs[:, -1]
        ctx.remember(h if last is None else (h, last))
        if not self.return_sequences:
            return h, state
        return x.with_values(outputs) if isinstance(x, Masked) else outputs, state


def _kept_past_the_end(projected: jax.Array, mask: jax.Array) -> jax.Array:
    """An LSTM's projected inputs, by which its gates keep the cell as it is once a sequence has ended: i = 0, f = 1.

    The other cells' carry is their last output, which is taken from where the sequence ends.
    """
    shut, open_ = jnp.asarray(-_SATURATING, projected.dtype), jnp.asarray(_SATURATING, projected.dtype)
    i, f, g, o = jnp.split(projected, 4, axis=-1)
    inside = mask[..., None]
    return jnp.concatenate([jnp.where(inside, i, shut), jnp.where(inside, f, open_), g, o], axis=-1)


@dataclass(frozen=True, repr=False)
class SimpleRNN(_Recurrent):
    """h_t = tanh(x_t W + h_{t-1} U + b), beginning with h_0 = 0.

    Its gradient shrinks or grows with every step back in time: what lies further back than some ten steps is hardly
    learned (Bengio, Simard & Frasconi 1994, IEEE Transactions on Neural Networks 5:157-166).

    Source: Elman 1990, "Finding structure in time", Cognitive Science 14:179-211.

    Args:
        units: size of the state.
        return_sequences: give the states of all steps, for a recurrent layer above; otherwise the last one.
        kernel_init, recurrent_init, bias_init: initial values of W ``(features, units)``, U ``(units, units)`` and b
            ``(units,)``.
        dropout, recurrent_dropout: in training, fractions of the inputs and of h_{t-1} (where it meets U) that are
            dropped: the same ones at every step of a sequence (Gal & Ghahramani 2016, arXiv:1512.05287). The kernels
            know no ``recurrent_dropout``: with it, the steps are a scan of XLA's own operations, several times slower.

    Shapes: ``(batch, steps, features)`` → ``(batch, units)``, or ``(batch, steps, units)``. Of masked sequences the
    last state is that of each one's own last step. `lamina.layers.memory` hands the state in and out.

    Raises:
        ShapeError: for an input that is no sequence of features.
    """

    cell: ClassVar[Cell] = "simple"


@dataclass(frozen=True, repr=False)
class GRU(_Recurrent):
    """A state that gates r (reset) and z (update) keep or renew, beginning with h_0 = 0.

    r, z = σ(x_t W + b + h_{t-1} U + d), n = tanh(x_t W_n + b_n + r · (h_{t-1} U_n + d_n)),
    h_t = (1 - z) · n + z · h_{t-1}; the columns of W and U are those of r, z, n in this order.

    Source: Cho et al. 2014, arXiv:1406.1078. Departure: r acts after the product with U (as in PyTorch, cuDNN, and
    Keras with ``reset_after``), not on h before it.

    Args:
        units: size of the state.
        return_sequences: give the states of all steps, for a recurrent layer above; otherwise the last one.
        kernel_init, recurrent_init, bias_init: initial values of W ``(features, 3 units)``, U ``(units, 3 units)``
            (gate by gate) and of both biases, b and d ``(3 units,)``.
        dropout, recurrent_dropout: as for `SimpleRNN`.
        span: steps that what is to be learned may lie apart, at least 2: the state begins with memories of all lengths
            up to it, log u added to the biases of z, u uniform from 1 to span - 1 (chrono initialisation, Tallec &
            Ollivier 2018, arXiv:1804.11188).

    Shapes: ``(batch, steps, features)`` → ``(batch, units)``, or ``(batch, steps, units)``. Of masked sequences the
    last state is that of each one's own last step. `lamina.layers.memory` hands the state in and out.

    Raises:
        ConfigError: for a span below 2.
        ShapeError: for an input that is no sequence of features.
    """

    cell: ClassVar[Cell] = "gru"
    biases: ClassVar[tuple[str, ...]] = ("bias", "recurrent_bias")

    span: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_span("GRU", self.span)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params, state = super().setup(key, in_spec)
        if self.span is not None:
            z = slice(self.units, 2 * self.units)
            params |= {"bias": params["bias"].at[z].add(_log_lengths(key, self.units, self.span))}
        return params, state


@dataclass(frozen=True, repr=False)
class LSTM(_Recurrent):
    """A cell c that gates write, keep and read, beginning with h_0 = c_0 = 0.

    i, f, o = σ(x_t W + h_{t-1} U + b), g = tanh(x_t W_g + h_{t-1} U_g + b_g), c_t = f · c_{t-1} + i · g,
    h_t = o · tanh(c_t); the columns of W and U are those of i, f, g, o in this order.

    Source: Hochreiter & Schmidhuber 1997, "Long short-term memory", Neural Computation 9:1735-1780; the forget gate f:
    Gers, Schmidhuber & Cummins 2000, Neural Computation 12:2451-2471.

    Args:
        units: size of the state and of the cell.
        return_sequences: give the states of all steps, for a recurrent layer above; otherwise the last one.
        kernel_init, recurrent_init, bias_init: initial values of W ``(features, 4 units)``, U ``(units, 4 units)``
            (gate by gate) and b ``(4 units,)``.
        dropout, recurrent_dropout: as for `SimpleRNN`.
        forget_bias: added to the initial bias of f, so that the cell remembers from the start (Jozefowicz, Zaremba &
            Sutskever 2015, ICML). With ``span`` it says nothing.
        span: steps that what is to be learned may lie apart, at least 2: the cell begins with memories of all lengths
            up to it, log u added to the biases of f and taken from those of i, u uniform from 1 to span - 1 (chrono
            initialisation, Tallec & Ollivier 2018, arXiv:1804.11188).

    Shapes: ``(batch, steps, features)`` → ``(batch, units)``, or ``(batch, steps, units)``. Of masked sequences the
    last state is that of each one's own last step. `lamina.layers.memory` hands h and c in and out. The cell is
    float32 also for half-precision inputs.

    Raises:
        ConfigError: for a span below 2.
        ShapeError: for an input that is no sequence of features.

    Example:
        >>> import lamina as lm
        >>> below = lm.LSTM(64, return_sequences=True)
        >>> stacked = lm.Sequential(lm.Embedding(1000, 32), below, lm.LSTM(64), lm.Dense(2))
        >>> stacked.out_spec(lm.layers.base.spec((50,), "int32")).shape
        (2,)
    """

    cell: ClassVar[Cell] = "lstm"

    forget_bias: float = 1.0
    span: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("LSTM", "forget_bias", self.forget_bias)
        _check_span("LSTM", self.span)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params, state = super().setup(key, in_spec)
        bias, i, f = params["bias"], slice(self.units), slice(self.units, 2 * self.units)
        if self.span is None:
            bias = bias.at[f].add(self.forget_bias)
        else:
            lengths = _log_lengths(key, self.units, self.span)
            bias = bias.at[f].add(lengths).at[i].add(-lengths)
        return params | {"bias": bias}, state


def _check_span(who: str, span: int | None) -> None:
    if span is not None:
        check_whole(who, "span", span, 2)


def _log_lengths(key: jax.Array, units: int, span: int) -> jax.Array:
    """A bias for each unit, by which its gate alone lets what is kept fade to 1/e within some 1 to span steps."""
    return jnp.log(jax.random.uniform(fold(key, "span"), (units,), minval=1.0, maxval=span - 1.0))
