"""Containers: sums, branches, heads, the same layer at every step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias, get_args

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError, nearest
from lamina.layers.base import (
    Context,
    Layer,
    Params,
    Spec,
    State,
    apply_part,
    as_layer,
    describe_spec,
    part_spec,
    setup_part,
    spec,
)
from lamina.layers.masked import Masked
from lamina.layers.sequential import Chain, named_parts

__all__ = ["Auxiliary", "Merge", "MergeMode", "Parallel", "Residual", "TimeDistributed"]

MergeMode: TypeAlias = Literal["concat", "add", "subtract", "multiply", "mean", "max"]
_MERGES: tuple[str, ...] = get_args(MergeMode)


@dataclass(frozen=True, repr=False)
class Merge(Layer):
    """Join several arrays of one batch into one.

    Args:
        mode: "concat" joins along ``axis``; "add", "subtract" (two inputs), "multiply", "mean" and "max" work
            element by element on equal shapes.
        axis: of "concat"; counted from the end, or on arrays with the batch axis.

    Shapes: a tuple of ``(batch, ...)`` → ``(batch, ...)``. Masked sequences keep the lengths of the first input.
    """

    on_masked = "own"

    mode: MergeMode = "concat"
    axis: int = -1

    def __post_init__(self) -> None:
        if self.mode not in _MERGES:
            raise ConfigError(f"Merge has no mode {self.mode!r}.", nearest(str(self.mode), _MERGES))

    def out_spec(self, in_spec: Spec) -> Spec:
        specs = list(in_spec) if isinstance(in_spec, tuple | list) else [in_spec]
        masked = next((item for item in specs if isinstance(item, Masked)), None)
        if masked is not None:
            return masked.with_values(self.out_spec([_values(item) for item in specs]))
        if self.mode == "subtract" and len(specs) != 2:
            raise ShapeError(f"Merge('subtract') takes two inputs, got {len(specs)}.")
        first = specs[0]
        axis = self._axis(len(first.shape))
        for other in specs[1:]:
            same = [a == b for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=False)) if i != axis]
            fits = len(first.shape) == len(other.shape) and all(same)
            if self.mode != "concat":
                fits = fits and first.shape == other.shape
            if not fits:
                raise ShapeError(
                    f"cannot {self.mode} inputs of shapes {describe_spec(specs)}.",
                    "All sizes must agree" + (f" except on axis {self.axis}." if self.mode == "concat" else "."),
                )
        shape = list(first.shape)
        if self.mode == "concat":
            shape[axis] = sum(item.shape[axis] for item in specs)
        return spec(tuple(shape), first.dtype)

    def _axis(self, rank: int) -> int:
        """The axis of "concat" on specs, which have no batch axis."""
        axis = self.axis + rank if self.axis < 0 else self.axis - 1
        if self.mode == "concat" and not 0 <= axis < rank:
            raise ShapeError(f"Merge has no axis {self.axis} to join along: the inputs have {rank + 1} axes.")
        return axis

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        values = list(x) if isinstance(x, tuple | list) else [x]
        masked = next((value for value in values if isinstance(value, Masked)), None)
        if masked is not None:
            joined, _ = self.forward(params, state, [_values(value) for value in values], ctx)
            return masked.with_values(joined), state
        if self.mode == "concat":
            return jnp.concatenate(values, axis=self.axis), state
        total = values[0]
        for value in values[1:]:
            if self.mode in ("add", "mean"):
                total = total + value
            elif self.mode == "subtract":
                total = total - value
            elif self.mode == "multiply":
                total = total * value
            else:
                total = jnp.maximum(total, value)
        return (total / len(values) if self.mode == "mean" else total), state


def _values(x: Any) -> Any:
    return x.values if isinstance(x, Masked) else x


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """y = body(x) + shortcut(x), the identity where there is no shortcut.

    Source: He et al. 2016, "Deep residual learning for image recognition", arXiv:1512.03385.

    Args:
        body: a layer whose output has the shape of the shortcut's.
        shortcut: a layer for x (a strided 1×1 Conv, say), or None for x itself.

    Raises:
        ShapeError: where the two shapes differ.
    """

    on_masked = "own"

    body: Layer
    shortcut: Layer | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", as_layer(self.body))
        if self.shortcut is not None:
            object.__setattr__(self, "shortcut", as_layer(self.shortcut))

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield "body", self.body
        if self.shortcut is not None:
            yield "shortcut", self.shortcut

    def out_spec(self, in_spec: Spec) -> Spec:
        out = part_spec("body", self.body, in_spec)
        short = part_spec("shortcut", self.shortcut, in_spec) if self.shortcut is not None else in_spec
        if out.shape != short.shape:
            raise ShapeError(
                f"Residual adds its body's output {tuple(out.shape)} to its shortcut's {tuple(short.shape)}; "
                "they must be equal.",
                "Give it a shortcut such as Conv(filters, 1, strides=...).",
            )
        return out

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params: Params = {}
        state: State = {}
        for name, part in self.parts():
            setup_part(key, name, part, in_spec, params, state)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        new_state: State = {}
        short = x
        if self.shortcut is not None:
            short = apply_part("shortcut", self.shortcut, params, state, new_state, x, ctx)
        if ctx.then is not None:
            then = replace(ctx.then, added=short if ctx.then.added is None else short + ctx.then.added)
            return apply_part("body", self.body, params, state, new_state, x, ctx, then=then), new_state
        y = apply_part("body", self.body, params, state, new_state, x, ctx)
        return apply_part("sum", Merge("add"), {}, {}, {}, (y, short), ctx), new_state

    def fuses_relu(self) -> bool:
        return self.body.fuses_relu()


@dataclass(frozen=True, init=False, repr=False)
class Parallel(Chain, Layer):
    """Several branches on the same input, merged.

    Source: Szegedy et al. 2015, "Going deeper with convolutions", arXiv:1409.4842 (the Inception block).

    Args:
        *branches: layers, named "0", "1", … in order, or by keyword.
        merge: how their outputs are joined: "concat" (last axis), "add", "multiply", "mean", "max"; or None for a
            tuple of outputs.
    """

    on_masked = "own"

    layers: tuple[tuple[str, Layer], ...]
    merge: MergeMode | None = "concat"

    def __init__(self, *branches: Any, merge: MergeMode | None = "concat", **named: Any) -> None:
        object.__setattr__(self, "layers", named_parts(branches, named))
        object.__setattr__(self, "merge", merge)
        if not self.layers:
            raise ConfigError("Parallel needs at least one branch.")
        if merge is not None:
            Merge(merge)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        return cls(merge=fields.get("merge", "concat"), **dict(fields["layers"]))

    def __repr__(self) -> str:
        return f"Parallel({self._shown()}, merge={self.merge!r})"

    def out_spec(self, in_spec: Spec) -> Spec:
        outs = tuple(part_spec(name, branch, in_spec) for name, branch in self.layers)
        return part_spec("merge", Merge(self.merge), outs) if self.merge is not None else outs

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params: Params = {}
        state: State = {}
        for name, branch in self.layers:
            setup_part(key, name, branch, in_spec, params, state)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        new_state: State = {}
        outs = tuple(apply_part(name, branch, params, state, new_state, x, ctx) for name, branch in self.layers)
        if self.merge is None:
            return outs, new_state
        return apply_part("merge", Merge(self.merge), {}, {}, {}, outs, ctx), new_state


@dataclass(frozen=True, repr=False)
class Auxiliary(Layer):
    """x passes unchanged; in training, ``head(x)`` is a second set of logits whose loss is added with ``weight``.

    Source: Szegedy et al. 2015, arXiv:1409.4842, section 5 (weight 0.3).

    Args:
        head: a layer that ends in logits like the network's own.
        weight: of its loss, beside the network's weight of 1.
    """

    on_masked = "own"

    head: Layer
    weight: float = 0.3

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield "head", self.head

    def out_spec(self, in_spec: Spec) -> Spec:
        part_spec("head", self.head, in_spec)
        return in_spec

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params: Params = {}
        state: State = {}
        setup_part(key, "head", self.head, in_spec, params, state)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        if not ctx.train:
            return x, state
        new_state: State = {}
        logits = apply_part("head", self.head, params, state, new_state, x, ctx)
        ctx.emit("logits", (self.weight, logits))
        return x, new_state


@dataclass(frozen=True, repr=False)
class TimeDistributed(Layer):
    """The same layer on every time step: the time axis is folded into the batch.

    Masked sequences keep their lengths. A recurrent layer inside sees a sequence of its own at every step, and
    remembers nothing from one step or batch to the next.

    Args:
        body: a layer for one step's value.

    Shapes: ``(batch, time, ...)`` → ``(batch, time, ...)``.
    """

    on_masked = "each"

    body: Layer

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", as_layer(self.body))

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield "body", self.body

    def _step(self, in_spec: Spec) -> Spec:
        def drop(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            if not leaf.shape:
                raise ShapeError("TimeDistributed expects (batch, time, ...), got an input without a time axis.")
            return spec(leaf.shape[1:], leaf.dtype)

        return jax.tree.map(drop, in_spec)

    def out_spec(self, in_spec: Spec) -> Spec:
        inner = part_spec("body", self.body, self._step(in_spec))
        time = jax.tree.leaves(in_spec)[0].shape[0]
        return jax.tree.map(lambda leaf: spec((time, *leaf.shape), leaf.dtype), inner)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params: Params = {}
        state: State = {}
        setup_part(key, "body", self.body, self._step(in_spec), params, state)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        new_state: State = {}
        batch, time = jax.tree.leaves(x)[0].shape[:2]
        flat = jax.tree.map(lambda leaf: leaf.reshape(batch * time, *leaf.shape[2:]), x)
        y = apply_part("body", self.body, params, state, new_state, flat, replace(ctx, memory=None))
        return jax.tree.map(lambda leaf: leaf.reshape(batch, time, *leaf.shape[1:]), y), new_state
