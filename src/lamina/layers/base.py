"""The layer protocol: what a network is made of.

A layer is a frozen description with three pure methods. Its parameters and its state (running statistics) are nested
dictionaries of arrays that go in and come out; nothing is hidden.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypeAlias

import jax
import jax.numpy as jnp

from lamina.config import Config
from lamina.errors import ConfigError, ShapeError
from lamina.layers.masked import Masked

__all__ = ["Context", "Layer", "Params", "Spec", "State", "Tape", "as_spec", "describe_spec", "spec"]

Params: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]
Spec: TypeAlias = Any  # a pytree of jax.ShapeDtypeStruct, without the batch axis
Tree: TypeAlias = Any  # a pytree of jax.Array


def spec(shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """The description of one array without its batch axis."""
    return jax.ShapeDtypeStruct(tuple(shape), dtype)


def as_spec(value: Any) -> Spec:
    """Turn a shape, a spec, or a dictionary of these into a spec. A bare shape means float32.

    Raises:
        ConfigError: when it is none of these.
    """
    if isinstance(value, jax.ShapeDtypeStruct | Masked):
        return value
    if isinstance(value, Mapping):
        return {name: as_spec(item) for name, item in value.items()}
    if isinstance(value, int):
        value = (value,)
    if isinstance(value, tuple | list):
        if all(isinstance(size, int) and size >= 0 for size in value):
            return spec(tuple(value))
        return tuple(as_spec(item) for item in value)
    raise ConfigError(f"Expected an input shape such as (32, 32, 3), without the batch axis; got {value!r}.")


def describe_spec(value: Spec) -> str:
    """A spec in words: ``(32, 32, 3) float32``."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {describe_spec(item)}" for name, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(describe_spec(item) for item in value) + "]"
    masked = " with lengths" if isinstance(value, Masked) else ""
    return f"{tuple(value.shape)} {jnp.dtype(value.dtype).name}{masked}"


@dataclass(frozen=True)
class Call:
    """One leaf layer's call, as a `Tape` saw it: arrays may be tracers."""

    path: str
    layer: Layer
    inputs: Tree
    output: Tree


@dataclass
class Tape:
    """What one tracing of `Layer.apply` leaves behind, for those who ask.

    Attributes:
        taps: output of every layer by path, where ``tap_all`` or ``wanted`` says so.
        emitted: ``(kind, path, value)`` for the loss: kind "loss" is a scalar to add to it, kind "logits" is a pair
            (weight, logits) of an auxiliary head.
        calls: every leaf layer's call in order, where ``record_calls`` says so.
        perturbations: path → array added to that layer's output; its gradient is the gradient at that place.
        states: path → arrays ``(batch, steps, units)`` added to a recurrent layer's states after every step: to h, and
            for an LSTM also to c.
    """

    tap_all: bool = False
    wanted: frozenset[str] = frozenset()
    record_calls: bool = False
    perturbations: Mapping[str, jax.Array] = field(default_factory=dict)
    states: Mapping[str, tuple[jax.Array, ...]] = field(default_factory=dict)
    taps: dict[str, Any] = field(default_factory=dict)
    emitted: list[tuple[str, str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


@dataclass
class Memory:
    """What recurrent layers carry from one batch to the next, by path; see `lamina.layers.memory`.

    Attributes:
        before: carries at the beginning of this batch. A layer that is not in it begins at zero.
        after: carries at its end, filled in while the network is applied.
    """

    before: Mapping[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Then:
    """What a layer is to do to its output before it returns it: y = min(max(y, 0), bound), y + added in y's place."""

    bound: float
    added: Any = None


@dataclass(frozen=True)
class Context:
    """What a layer may know while it is applied: training or not, randomness, where it stands, who listens.

    Attributes:
        train: True in training (dropout drops, BatchNorm uses the batch's statistics).
        root_key: the key of this application of the network, or None; use `rng`.
        path: dotted path of the layer inside the network.
        tape: where taps and emitted values go, or None.
        then: what is asked of a layer that `Layer.fuses_relu`, beside its own work.
        frozen_statistics: BatchNorm uses its running statistics in training too, and keeps them.
        remat: chains compute their activations again in the backward pass instead of keeping them.
        memory: what recurrent layers begin with and where they leave their carry; None where nobody asks for it.
        dtype: what layers that read whole numbers give their vectors in; None: in float32. Layers that read floating
            point numbers compute in the dtype of these.
    """

    train: bool = False
    root_key: jax.Array | None = None
    path: str = ""
    tape: Tape | None = None
    then: Then | None = None
    frozen_statistics: bool = False
    remat: bool = False
    memory: Memory | None = None
    dtype: str | None = None

    def child(self, name: str, then: Then | None = None) -> Context:
        """The context of the part called ``name``."""
        return replace(self, path=f"{self.path}.{name}" if self.path else name, then=then)

    def unwatched(self) -> bool:
        """Whether this is training and nobody looks at what is between the layers."""
        tape = self.tape
        watched = tape is not None and (
            tape.tap_all or tape.wanted or tape.record_calls or tape.perturbations or tape.states
        )
        return self.train and not watched

    def may_fuse(self) -> bool:
        """Whether two layers may be computed as one: where nobody looks between them, by the batch's statistics."""
        return self.unwatched() and not self.frozen_statistics

    def rng(self) -> jax.Array:
        """A random key of this layer's own: the root key folded by the layer's path.

        Raises:
            ConfigError: when the network is applied without a key.
        """
        if self.root_key is None:
            raise ConfigError(
                f"Layer '{self.path}' needs random numbers in training, and no key was given.",
                "Call net.apply(params, state, x, train=True, key=jax.random.key(0)).",
            )
        return fold(self.root_key, self.path)

    def tap(self, name: str, y: Any) -> Any:
        """Show ``y`` to whoever listens under this layer's path and ``name``; returns ``y``, perturbed if asked."""
        if self.tape is None:
            return y
        path = ".".join(part for part in (self.path, name) if part)
        if path in self.tape.perturbations:
            added = self.tape.perturbations[path]
            y = y.with_values(y.values + added) if isinstance(y, Masked) else y + added
        if self.tape.tap_all or path in self.tape.wanted:
            self.tape.taps[path] = y
        return y

    def added_to_states(self) -> tuple[jax.Array, ...] | None:
        """What the tape adds to a recurrent layer's states after every step, so that their gradients can be had."""
        return None if self.tape is None else self.tape.states.get(self.path)

    def recall(self, fresh: Any) -> Any:
        """The carry with which this layer ended the batch before, or ``fresh`` where there is none.

        Raises:
            ShapeError: where that carry is not like ``fresh``.
        """
        before = None if self.memory is None else self.memory.before.get(self.path)
        if before is None:
            return fresh
        given, wanted = ([leaf.shape for leaf in jax.tree.leaves(carry)] for carry in (before, fresh))
        if given != wanted or isinstance(before, tuple) != isinstance(fresh, tuple):
            raise ShapeError(
                f"the memory holds {describe_spec(before)} for this layer, which carries {describe_spec(fresh)}.",
                "A memory goes on with the same network and as many sequences as it came from.",
            )
        return jax.tree.map(lambda given, wanted: jnp.asarray(given, wanted.dtype), before, fresh)

    def remember(self, carry: Any) -> None:
        """Leave the carry with which this layer goes on in the next batch."""
        if self.memory is not None:
            self.memory.after[self.path] = carry

    def emit(self, kind: str, value: Any) -> None:
        """Send a value to the loss: ``emit("loss", scalar)`` adds a term, ``emit("logits", (weight, y))`` a head."""
        if self.tape is not None:
            self.tape.emitted.append((kind, self.path, value))


def fold(key: jax.Array, path: str) -> jax.Array:
    """Fold a path into a key: the same path always gives the same key."""
    return jax.random.fold_in(key, zlib.crc32(path.encode()))


class Layer(Config):
    """Base of all layers, and of networks, which are layers too.

    The author of a layer writes up to three pure methods:

    - ``out_spec(in_spec)``: the output's spec; raises `ShapeError` where the input does not fit. Default: unchanged.
    - ``setup(key, in_spec)``: initial ``(params, state)``, float32. Default: none.
    - ``forward(params, state, x, ctx)``: ``(y, new_state)``, computed in x's dtype.

    Specs have no batch axis; arrays have it as their first axis; data is channels-last.

    Attributes:
        on_masked: what the layer does with `Masked` sequences: "each" treats every step by itself, so that containers
            hand it the values alone and keep the lengths; "own" takes them as they are; "refuse" would mix steps that
            are none.
    """

    on_masked: ClassVar[Literal["each", "own", "refuse"]] = "refuse"

    def out_spec(self, in_spec: Spec) -> Spec:
        return in_spec

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        return {}, {}

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        raise NotImplementedError(f"{type(self).__name__} has no forward method.")

    def parts(self) -> Iterator[tuple[str, Layer]]:
        """The layers that this one is made of, with their names; empty for a leaf."""
        return iter(())

    def part(self, path: str) -> Layer | None:
        """The layer at a dotted path inside this one, or None where there is none."""
        name, _, rest = path.partition(".")
        found = dict(self.parts()).get(name)
        return found.part(rest) if found is not None and rest else found

    def fuses_relu(self) -> bool:
        """Whether `forward` does what ``ctx.then`` asks for, in fewer passes over its output than a layer after it."""
        return False

    def window(self) -> tuple[Any, Any, Any] | None:
        """(kernel size, strides, dilation) of a layer that slides a window over space, else None."""
        return None

    def init(self, key: jax.Array, in_shape: Any) -> tuple[Params, State]:
        """Make the parameters and the state for inputs of one shape.

        Args:
            key: from `jax.random.key`.
            in_shape: shape of one example such as ``(32, 32, 3)``, or a spec, or a dictionary of these.

        Returns:
            ``params, state``: nested dictionaries of arrays; ``state`` is ``{}`` where there is none.

        Raises:
            ShapeError: naming the first layer whose input does not fit.
        """
        in_spec = as_spec(in_shape)
        self.out_spec(in_spec)
        return self.setup(key, in_spec)

    def apply(
        self,
        params: Params,
        state: State,
        x: Any,
        ctx: Context | None = None,
        *,
        train: bool = False,
        key: jax.Array | None = None,
        tape: Tape | None = None,
    ) -> tuple[Any, State]:
        """Compute the output for a batch.

        Args:
            params, state: from `init`.
            x: batch of inputs, ``(batch, ...)``, or a dictionary of these.
            ctx: what a container passes to its parts; leave it out and give the keywords instead.
            train: training (True) or evaluation.
            key: random key, needed in training by layers such as Dropout.
            tape: collects taps and emitted values.

        Returns:
            ``y, state``: the output and the new state (in evaluation: the same state).
        """
        if ctx is None:
            ctx = Context(train, key, "", tape)
            x = jax.tree.map(jnp.asarray, x)  # NumPy's float64 is not a dtype that layers could cast to
        return self.forward(params, state, x, ctx)

    def count_parameters(self, in_shape: Any) -> int:
        """Number of trainable parameters for one input shape."""
        params, _ = jax.eval_shape(lambda key: self.init(key, in_shape), jax.random.key(0))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


# What containers share. Each part keeps its parameters under its own name; parts without any have no entry.


def part_spec(name: str, part: Layer, in_spec: Spec) -> Spec:
    """The part's output spec; a ShapeError raised inside tells the path."""
    try:
        inner = _unmasked(part, in_spec)
        out = part.out_spec(inner)
        return out if inner is in_spec else in_spec.with_values(out)
    except ShapeError as error:
        raise error.at(f"{name}.{error.path}" if error.path else f"{name} ({type(part).__name__})") from None


def setup_part(key: jax.Array, name: str, part: Layer, in_spec: Spec, params: Params, state: State) -> None:
    """Initialise the part into ``params`` and ``state``; its key depends on its name alone."""
    part_params, part_state = part.setup(fold(key, name), _unmasked(part, in_spec))
    if part_params:
        params[name] = part_params
    if part_state:
        state[name] = part_state


def apply_part(
    name: str,
    part: Layer,
    params: Params,
    state: State,
    new_state: State,
    x: Any,
    ctx: Context,
    owner: str = "",
    then: Then | None = None,
) -> Any:
    """Apply the part with its own parameters, state and context, and tap its output.

    Args:
        new_state: where the part's new state is put.
        owner: the name under which parameters and state are kept, where it is not ``name`` (a shared part).
        then: what the part is asked for beside its own work; it must fuse it.
    """
    owner = owner or name
    inner = ctx.child(name, then)
    try:
        values = _unmasked(part, x)
        y, part_state = part.apply(params.get(owner, {}), state.get(owner, {}), values, inner)
        y = y if values is x else x.with_values(y)
    except ShapeError as error:
        raise (error if error.path else error.at(f"{inner.path} ({type(part).__name__})")) from None
    if part_state:
        new_state[owner] = part_state
    if ctx.tape is not None:
        y = ctx.tap(name, y)
        if ctx.tape.record_calls and next(part.parts(), None) is None:
            ctx.tape.calls.append(Call(inner.path, part, x, y))
    return y


def _unmasked(part: Layer, x: Any) -> Any:
    """What a part is given of masked sequences (or of their spec): the values alone, where it takes each by itself."""
    if not isinstance(x, Masked) or part.on_masked == "own":
        return x
    if part.on_masked == "each":
        return x.values
    raise ShapeError(
        f"{type(part).__name__} would mix the steps of sequences with what they were filled up with.",
        "Put a recurrent layer or global pooling before it, which heed the lengths.",
    )


def as_layer(value: Any) -> Layer:
    """A layer as it is; a bare function wrapped into `Function`."""
    if isinstance(value, Layer):
        return value
    if isinstance(value, type) and issubclass(value, Layer):
        raise ConfigError(f"{value.__name__} is a class; a network holds instances: write {value.__name__}(...).")
    if callable(value):
        return Function(value)
    raise ConfigError(f"Expected a layer or a function, got {value!r}.")


@dataclass(frozen=True, repr=False)
class Function(Layer):
    """y = fn(x): any pure function of a batch as a layer. It trains; a network that holds one cannot be saved.

    Args:
        fn: takes and returns a batch, ``(batch, ...)``.
    """

    fn: Callable[[Any], Any]

    def out_spec(self, in_spec: Spec) -> Spec:
        batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), in_spec)
        try:
            out = jax.eval_shape(self.fn, batch)
        except (TypeError, ValueError) as error:
            name = getattr(self.fn, "__name__", repr(self.fn))
            raise ShapeError(f"the function {name} fails on input {describe_spec(in_spec)}: {error}") from error
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), out)

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        return self.fn(x), state
