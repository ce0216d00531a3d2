"""One training step, and the compiled program that runs many of them without Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from lamina import heads, trees
from lamina.data.augment import Augmentation
from lamina.data.base import Preprocessing, Target
from lamina.layers import Layer, Tape, memory
from lamina.layers.base import Context, Params, State, fold
from lamina.layers.memory import Carries
from lamina.losses import Loss, MaxNorm, Penalty
from lamina.optim import Optimizer

__all__ = ["Carry", "Program", "Sums"]


class Sums(NamedTuple):
    """Totals over the steps of an epoch so far; divide by ``steps``."""

    loss: jax.Array
    score: jax.Array
    steps: jax.Array


class Carry(NamedTuple):
    """All that a step changes.

    Attributes:
        params, state, opt_state: the weights, running statistics and the optimiser's memory.
        step: number of steps done since the start of the run, int32.
        sums: totals of the running epoch.
        bad: the first step that met a loss or weights that are not finite, or -1.
        memory: what recurrent layers carry from step to step, where the data continues; else ``{}``.
    """

    params: Params
    state: State
    opt_state: Any
    step: jax.Array
    sums: Sums
    bad: jax.Array
    memory: Carries


@dataclass(frozen=True)
class Program:
    """What one step computes: a pure function of its carry, a batch and a learning rate.

    Attributes:
        network: without a closing softmax (see `lamina.heads`).
        dtype: the dtype in which the network computes; weights, statistics and losses stay float32.
        penalties: terms on the weights, added to the loss.
        constraint: applied to the weights after each step.
        freeze_statistics: BatchNorm's running statistics are used in training too, and kept.
        remat: activations are computed again in the backward pass instead of being kept.
        rates: how many learning rates are trained side by side (the carry's leading axis), or 0 for one without.
        streams: rows of a batch that go on from step to step, or 0. Recurrent layers then begin each step with what
            they ended the one before with; gradients stop there: backpropagation through time, truncated to a step
            (Williams & Peng 1990, Neural Computation 2:490-501).
    """

    network: Layer
    preprocessing: Preprocessing
    target: Target
    loss: Loss
    optimizer: Optimizer
    augmentation: Augmentation | None = None
    penalties: tuple[Penalty, ...] = ()
    constraint: MaxNorm | None = None
    dtype: str = "float32"
    freeze_statistics: bool = False
    remat: bool = False
    rates: int = 0
    streams: int = 0

    def start(self, params: Params, state: State) -> Carry:
        """The carry before the first step; with ``rates``, that many copies of it."""
        zero = jnp.zeros((), jnp.float32)
        carry = Carry(
            params,
            state,
            self.optimizer.build(params).init(params),
            jnp.zeros((), jnp.int32),
            Sums(zero, zero, zero),
            jnp.full((), -1, jnp.int32),
            self._empty_memory(params, state),
        )
        if not self.rates:
            return carry
        many: Carry = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (self.rates, *leaf.shape)), carry)
        return many

    def _empty_memory(self, params: Params, state: State) -> Carries:
        if not self.streams:
            return {}
        batch = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((self.streams, *leaf.shape), leaf.dtype), self.preprocessing.input_spec()
        )
        ctx = Context(train=True, root_key=jax.random.key(0), dtype=self.dtype)
        return memory.start(self.network, params, state, jax.eval_shape(self._cast, batch), ctx)

    @staticmethod
    def forget(carry: Carry) -> Carry:
        """The carry at the start of an epoch, where streams begin anew."""
        return carry._replace(memory=jax.tree.map(jnp.zeros_like, carry.memory))

    def inputs(self, x: Any, key: jax.Array | None) -> Any:
        """Encoded batch → network input: transformed, augmented in training (with a key), cast."""
        return self._cast(self._prepared(x, key))

    def _prepared(self, x: Any, key: jax.Array | None) -> Any:
        x = self.preprocessing.transform(x)
        if self.augmentation is not None and key is not None:
            x = self.augmentation(fold(key, "augmentation"), x)
        return x

    def _cast(self, x: Any) -> Any:
        return jax.tree.map(lambda a: a.astype(self.dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, x)

    def objective(
        self,
        params: Params,
        state: State,
        x: Any,
        y: jax.Array,
        key: jax.Array,
        tape: Tape | None = None,
        carried: Carries | None = None,
    ) -> tuple[jax.Array, tuple[State, jax.Array, Carries]]:
        """The loss of a batch in training, with the new state, the score and the new memory."""
        tape = tape or Tape()
        ctx = Context(
            train=True,
            root_key=key,
            tape=tape,
            frozen_statistics=self.freeze_statistics,
            remat=self.remat,
            dtype=self.dtype,
        )
        x = self._prepared(x, key)
        if self.target.answer == "input":
            y = x
        outputs, state, carried = self._apply(params, state, self._cast(x), carried or {}, ctx)
        outputs = outputs.astype(jnp.float32)
        loss = self.loss(outputs, y)
        for kind, _, value in tape.emitted:
            if kind == "logits":
                weight, logits = value
                loss = loss + weight * self.loss(logits.astype(jnp.float32), y)
            elif kind == "loss":
                loss = loss + value
        for penalty in self.penalties:
            loss = loss + penalty(params)
        return loss, (state, self.score(outputs, y), carried)

    def _apply(
        self, params: Params, state: State, x: Any, carried: Carries, ctx: Context
    ) -> tuple[jax.Array, State, Carries]:
        if self.streams:
            return memory.advance(self.network, params, state, x, carried, ctx=ctx)
        outputs, state = self.network.apply(params, state, x, ctx)
        return outputs, state, carried

    def score(self, outputs: jax.Array, y: jax.Array) -> jax.Array:
        """The training batch's value of the task's main metric; R² against the training split's mean."""
        if self.target.answer == "input":
            return jnp.mean(jnp.sum(jnp.square(outputs - y).reshape(len(y), -1), axis=1))
        if self.target.answer == "next":
            told = jnp.take_along_axis(outputs, y[..., None], axis=-1)[..., 0]
            return jnp.mean(jax.nn.logsumexp(outputs, axis=-1) - told)
        if self.target.task == "forecast":
            own: Any = getattr(self.target, "in_unit", lambda values: values)
            return jnp.mean(jnp.abs(own(outputs.reshape(y.shape)) - own(y)))
        if self.target.answer == "values":
            return 1.0 - jnp.mean(jnp.square(outputs.reshape(y.shape) - y))
        if self.target.answer == "labels":
            return jnp.mean(((outputs > 0) == (y > 0.5)).astype(jnp.float32))
        if outputs.shape[-1] == 1:
            guess = (outputs[..., 0] > 0).astype(jnp.int32)
        else:
            guess = jnp.argmax(outputs, axis=-1).astype(jnp.int32)
        return jnp.mean((guess == y.astype(jnp.int32)).astype(jnp.float32))

    def step(self, carry: Carry, x: Any, y: jax.Array, rate: jax.Array, key: jax.Array) -> Carry:
        """One optimiser step; ``bad`` is set where the loss is not finite.

        The update is applied even then: leaving it out would cost a comparison of every weight in every step, up to
        half the time of a small network. `lamina.train.loop` goes back to the weights before it.
        """
        grad = jax.value_and_grad(self.objective, has_aux=True)
        key = jax.random.fold_in(key, carry.step)
        (loss, (state, score, carried)), grads = grad(carry.params, carry.state, x, y, key, None, carry.memory)
        optimizer = self.optimizer.build(carry.params)
        updates, opt_state = optimizer.update(grads, carry.opt_state, carry.params)
        params = optax.apply_updates(carry.params, jax.tree.map(lambda u: u * rate.astype(u.dtype), updates))
        if self.constraint is not None:
            params = self.constraint(params)
        bad = jnp.where((carry.bad < 0) & ~jnp.isfinite(loss), carry.step, carry.bad)
        sums = Sums(carry.sums.loss + loss, carry.sums.score + score, carry.sums.steps + 1)
        return Carry(params, state, opt_state, carry.step + 1, sums, bad, carried)

    def chunk(
        self,
        carry: Carry,
        inputs: Any,
        targets: jax.Array,
        indices: jax.Array,
        rates: jax.Array,
        first: jax.Array,
        count: jax.Array,
        key: jax.Array,
    ) -> Carry:
        """Run steps ``first … first + count - 1``, or up to the first one that is not finite.

        Args:
            inputs, targets: encoded examples, on the device.
            indices: ``(steps, batch)`` int32, which examples make which batch.
            rates: ``(steps,)`` learning rates, or ``(steps, rates)``.
            first, count: int32 scalars, traced: one executable serves chunks of any length.
            key: root key of the run.
        """

        def going(loop: tuple[jax.Array, Carry]) -> jax.Array:
            return (loop[0] < first + count) & jnp.any(loop[1].bad < 0)

        def body(loop: tuple[jax.Array, Carry]) -> tuple[jax.Array, Carry]:
            i, carry = loop
            rows = indices[i]
            x = jax.tree.map(lambda a: a.at[rows].get(mode="promise_in_bounds"), inputs)
            y = targets.at[rows].get(mode="promise_in_bounds")
            step: Callable[..., Carry] = self.step
            if self.rates:
                step = jax.vmap(self.step, in_axes=(0, None, None, 0, None))
            return i + 1, step(carry, x, y, rates[i], key)

        done = lax.while_loop(going, body, (first, carry))[1]
        # A gradient that overflows leaves a finite loss behind: its weights are found here, once a chunk.
        sound = jnp.full(done.bad.shape, True)
        for weights in jax.tree.leaves(done.params):
            sound &= jnp.all(jnp.isfinite(weights), axis=self._own_axes(weights))
        return done._replace(bad=jnp.where((done.bad < 0) & ~sound, done.step, done.bad))

    def _own_axes(self, weight: jax.Array) -> tuple[int, ...]:
        """All axes but the one of the learning rates."""
        return tuple(range(1 if self.rates else 0, weight.ndim))

    def predict(self, params: Params, state: State, x: Any) -> jax.Array:
        """Outputs in evaluation, float32; of what comes next the scores of pieces (see `heads.next_scores`)."""
        outputs, _ = self.network.apply(params, state, self.inputs(x, None), Context(dtype=self.dtype))
        if self.target.answer == "next":
            return heads.next_scores(outputs, x)
        return jnp.asarray(outputs, jnp.float32)

    def advance(self, params: Params, state: State, carried: Carries | None, x: Any) -> tuple[jax.Array, Carries]:
        """`predict` for a batch that goes on where the memory left off, and the memory for the next."""
        ctx = Context(dtype=self.dtype)
        outputs, _, carried = memory.advance(self.network, params, state, self.inputs(x, None), carried, ctx=ctx)
        if self.target.answer == "next":
            return heads.next_scores(outputs, x), carried
        return jnp.asarray(outputs, jnp.float32), carried

    def culprit(self, carry: Carry, x: Any, y: np.ndarray, key: jax.Array) -> str:
        """Replay the batch that was not finite with every layer's output in view, and say where it went wrong.

        Returns:
            A sentence naming the first layer whose output, or else gradient, is not finite.
        """
        order: list[str] = []  # of computation: jit gives dictionaries back sorted by name

        def replay(params: Params) -> tuple[jax.Array, dict[str, Any]]:
            tape = Tape(tap_all=True)
            own = jax.random.fold_in(key, carry.step)
            loss, _ = self.objective(params, carry.state, x, jnp.asarray(y), own, tape, carry.memory)
            order[:] = tape.taps
            return loss, tape.taps

        if not _finite(self.preprocessing.transform(x)):
            return "the input itself is not finite"
        (loss, taps), grads = jax.jit(jax.value_and_grad(replay, has_aux=True))(carry.params)
        for path in order:
            if not _finite(taps[path]):
                layer = self.network.part(path)
                kind = f" ({type(layer).__name__})" if layer is not None else ""
                return f"the output of layer '{path}'{kind} is not finite"
        if not np.isfinite(loss):
            return f"all layers' outputs are finite but the {type(self.loss).__name__} loss is {float(loss)}"
        for where, leaf in zip(trees.paths(grads), jax.tree.leaves(grads), strict=True):
            if not _finite(leaf):
                return f"the loss is {float(loss):.4g} but the gradient of '{where}' is not finite"
        return "the numbers overflowed between the layers"


def _finite(tree: Any) -> bool:
    return all(
        bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)
    )
