"""Containers: chains, sums, branches and graphs of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, cast

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

__all__ = ["Auxiliary", "Graph", "Merge", "Node", "Parallel", "Residual", "Sequential", "Tied", "TimeDistributed"]

MergeMode: TypeAlias = Literal["concat", "add", "subtract", "multiply", "mean", "max"]
_MERGES = ("concat", "add", "subtract", "multiply", "mean", "max")


def _named(layers: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[tuple[str, Layer], ...]:
    """Positional layers take their index as name, keyword layers their keyword."""
    parts = [(str(index), as_layer(layer)) for index, layer in enumerate(layers)]
    parts += [(name, as_layer(layer)) for name, layer in named.items()]
    for name, _ in parts:
        if not name or "." in name or "/" in name:
            raise ConfigError(f"{name!r} cannot name a layer: names are not empty and hold no '.' or '/'.")
    return tuple(parts)


class _Chain(Layer):
    """What Sequential and Parallel share: named parts given in order."""

    layers: tuple[tuple[str, Layer], ...]

    def parts(self) -> Iterator[tuple[str, Layer]]:
        return iter(self.layers)

    def _shown(self) -> str:
        return ", ".join(
            repr(layer) if name == str(index) else f"{name}={layer!r}" for index, (name, layer) in enumerate(self.layers)
        )


@dataclass(frozen=True, init=False, repr=False)
class Sequential(_Chain):
    """A chain: each layer's output is the next one's input.

    Args:
        *layers: layers or functions, named "0", "1", … in order.
        **named: layers under names of your own, after the positional ones. The names are the parameters' paths.

    Example:
        >>> import lamina as lm
        >>> net = lm.Sequential(lm.Flatten(), lm.Dense(32), lm.relu, lm.Dense(10))
    """

    layers: tuple[tuple[str, Layer], ...]

    def __init__(self, *layers: Any, **named: Any) -> None:
        object.__setattr__(self, "layers", _named(layers, named))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        return cls(**dict(fields["layers"]))

    def __repr__(self) -> str:
        return f"Sequential({self._shown()})"

    def out_spec(self, in_spec: Spec) -> Spec:
        for name, layer in self.layers:
            in_spec = part_spec(name, layer, in_spec)
        return in_spec

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params: Params = {}
        state: State = {}
        for name, layer in self.layers:
            setup_part(key, name, layer, in_spec, params, state)
            in_spec = part_spec(name, layer, in_spec)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        new_state: State = {}
        for name, layer in self.layers:
            x = apply_part(name, layer, params, state, new_state, x, ctx)
        return x, new_state


@dataclass(frozen=True, repr=False)
class Merge(Layer):
    """Join several arrays of one batch into one.

    Args:
        mode: "concat" joins along ``axis``; "add", "subtract" (two inputs), "multiply", "mean" and "max" work
            element by element on equal shapes.
        axis: of "concat"; counted from the end, or on arrays with the batch axis.

    Shapes: a tuple of ``(batch, ...)`` → ``(batch, ...)``.
    """

    mode: MergeMode = "concat"
    axis: int = -1

    def __post_init__(self) -> None:
        if self.mode not in _MERGES:
            raise ConfigError(f"Merge has no mode {self.mode!r}.", nearest(str(self.mode), _MERGES))

    def out_spec(self, in_spec: Spec) -> Spec:
        specs = list(in_spec) if isinstance(in_spec, tuple | list) else [in_spec]
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
        y = apply_part("body", self.body, params, state, new_state, x, ctx)
        short = x
        if self.shortcut is not None:
            short = apply_part("shortcut", self.shortcut, params, state, new_state, x, ctx)
        return apply_part("sum", Merge("add"), {}, {}, {}, (y, short), ctx), new_state


@dataclass(frozen=True, init=False, repr=False)
class Parallel(_Chain):
    """Several branches on the same input, merged.

    Source: Szegedy et al. 2015, "Going deeper with convolutions", arXiv:1409.4842 (the Inception block).

    Args:
        *branches: layers, named "0", "1", … in order, or by keyword.
        merge: how their outputs are joined: "concat" (last axis), "add", "multiply", "mean", "max"; or None for a
            tuple of outputs.
    """

    layers: tuple[tuple[str, Layer], ...]
    merge: MergeMode | None = "concat"

    def __init__(self, *branches: Any, merge: MergeMode | None = "concat", **named: Any) -> None:
        object.__setattr__(self, "layers", _named(branches, named))
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
class Node(Layer):
    """One call in a `Graph`; made by Graph from its ``nodes`` table, not by hand.

    Attributes:
        name: of the output.
        layer: what is called, or None where ``owner`` names the node whose layer is called again.
        owner: the node that keeps the parameters ("" for this one).
        inputs: names of graph inputs or earlier nodes.
    """

    name: str
    layer: Layer | None
    owner: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, init=False, repr=False)
class Graph(Layer):
    """A network that is not a chain: several inputs or outputs, skip connections, a layer called twice.

    Args:
        inputs: a name, or names. With several, x is a dictionary ``{name: array}``.
        nodes: ``{output name: (layer, input)}`` or ``(layer, (input, …))``, in order of computation; several inputs
            reach the layer as a tuple (see `Merge`). In place of a layer, the name of an earlier node calls that
            node's layer again with the same parameters.
        outputs: a name, or names; with several, y is a dictionary.

    Raises:
        ConfigError: for a name that is used before it is computed, used twice, or unknown.

    Example:
        >>> import lamina as lm
        >>> siamese = lm.Graph(
        ...     inputs=("left", "right"),
        ...     nodes={
        ...         "a": (lm.Dense(8), "left"),
        ...         "b": ("a", "right"),
        ...         "difference": (lm.Merge("subtract"), ("a", "b")),
        ...         "same": (lm.Dense(1), "difference"),
        ...     },
        ...     outputs="same",
        ... )
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __init__(
        self,
        inputs: str | Sequence[str],
        nodes: Mapping[str, tuple[Any, str | Sequence[str]]],
        outputs: str | Sequence[str],
    ) -> None:
        names = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        wanted = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        known = list(names)
        owners: dict[str, str] = {}
        made = []
        for name, (layer, sources) in nodes.items():
            froms = (sources,) if isinstance(sources, str) else tuple(sources)
            if name in known or not name or "." in name:
                raise ConfigError(f"Graph: {name!r} cannot name a node: it is empty, holds a '.', or is taken.")
            for source in froms:
                if source not in known:
                    raise ConfigError(
                        f"Graph: node {name!r} reads {source!r}, which is not computed before it.",
                        nearest(source, known),
                    )
            if isinstance(layer, str):
                if layer not in owners:
                    raise ConfigError(
                        f"Graph: node {name!r} calls {layer!r} again, which is not an earlier node.",
                        nearest(layer, owners),
                    )
                owners[name] = owners[layer]
                made.append(Node(name, None, owners[layer], froms))
            else:
                owners[name] = name
                made.append(Node(name, as_layer(layer), "", froms))
            known.append(name)
        for name in wanted:
            if name not in known:
                raise ConfigError(f"Graph: the output {name!r} is not computed.", nearest(name, known))
        object.__setattr__(self, "inputs", names)
        object.__setattr__(self, "nodes", tuple(made))
        object.__setattr__(self, "outputs", wanted)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        nodes = {node.name: (node.layer or node.owner, node.inputs) for node in fields["nodes"]}
        return cls(fields["inputs"], nodes, fields["outputs"])

    def __repr__(self) -> str:
        calls = ", ".join(f"{node.name!r}: ({node.layer or node.owner!r}, {node.inputs})" for node in self.nodes)
        return f"Graph(inputs={self.inputs}, nodes={{{calls}}}, outputs={self.outputs})"

    def parts(self) -> Iterator[tuple[str, Layer]]:
        return ((node.name, node.layer) for node in self.nodes if node.layer is not None)

    def _enter(self, x: Any) -> dict[str, Any]:
        if len(self.inputs) == 1 and not isinstance(x, Mapping):
            return {self.inputs[0]: x}
        if not isinstance(x, Mapping) or set(x) != set(self.inputs):
            got = sorted(x) if isinstance(x, Mapping) else type(x).__name__
            raise ShapeError(f"the graph takes a dictionary with {sorted(self.inputs)}, got {got}.")
        return dict(x)

    def _leave(self, values: Mapping[str, Any]) -> Any:
        if len(self.outputs) == 1:
            return values[self.outputs[0]]
        return {name: values[name] for name in self.outputs}

    def _layer(self, node: Node) -> Layer:
        if node.layer is not None:
            return node.layer
        return dict(self.parts())[node.owner]

    def _specs(self, in_spec: Spec) -> dict[str, Spec]:
        specs = self._enter(in_spec)
        for node in self.nodes:
            specs[node.name] = part_spec(node.name, self._layer(node), _gather(specs, node.inputs))
        return specs

    def out_spec(self, in_spec: Spec) -> Spec:
        return self._leave(self._specs(in_spec))

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        specs = self._specs(in_spec)
        params: Params = {}
        state: State = {}
        for node in self.nodes:
            if node.layer is not None:
                setup_part(key, node.name, node.layer, _gather(specs, node.inputs), params, state)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        values = self._enter(x)
        # A layer called twice sees the state that its first call left.
        running = dict(state)
        for node in self.nodes:
            inputs = _gather(values, node.inputs)
            values[node.name] = apply_part(
                node.name, self._layer(node), params, running, running, inputs, ctx, node.owner
            )
        return self._leave(values), running


def _gather(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return values[names[0]] if len(names) == 1 else tuple(values[name] for name in names)


@dataclass(frozen=True, repr=False)
class Auxiliary(Layer):
    """x passes unchanged; in training, ``head(x)`` is a second set of logits whose loss is added with ``weight``.

    Source: Szegedy et al. 2015, arXiv:1409.4842, section 5 (weight 0.3).

    Args:
        head: a layer that ends in logits like the network's own.
        weight: of its loss, beside the network's weight of 1.
    """

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

    Args:
        body: a layer for one step's value.

    Shapes: ``(batch, time, ...)`` → ``(batch, time, ...)``.
    """

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
        y = apply_part("body", self.body, params, state, new_state, flat, ctx)
        return jax.tree.map(lambda leaf: leaf.reshape(batch, time, *leaf.shape[1:]), y), new_state


@dataclass(frozen=True, init=False, repr=False)
class Tied(Layer):
    """A network some of whose parameters are others, possibly transposed: they are trained as one.

    Args:
        body: the network.
        ties: ``{"decoder.2.kernel": "encoder.0.kernel.T"}``: the parameter on the left is not made; the one on the
            right (``.T``: its last two axes swapped) takes its place.

    Raises:
        ConfigError: where a path is not one of the network's parameters, or the shapes differ.
    """

    body: Layer
    ties: tuple[tuple[str, str], ...]

    def __init__(self, body: Layer, ties: Mapping[str, str] | Sequence[tuple[str, str]]) -> None:
        pairs = ties.items() if isinstance(ties, Mapping) else ties
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "ties", tuple((target, source) for target, source in pairs))

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield "body", self.body

    def out_spec(self, in_spec: Spec) -> Spec:
        return self.body.out_spec(in_spec)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params, state = self.body.setup(key, in_spec)
        for target, source in self.ties:
            if _find(params, target).shape != _tied_value(params, source).shape:
                raise ConfigError(
                    f"Tied: {target} has shape {_find(params, target).shape}, "
                    f"but {source} has {_tied_value(params, source).shape}."
                )
        for target, _ in self.ties:
            params = _without(params, target.split("."))
        for _, source in self.ties:
            _tied_value(params, source)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        whole = params
        for target, source in self.ties:
            whole = _with(whole, target.split("."), _tied_value(params, source))
        return self.body.apply(whole, state, x, ctx)


def _find(params: Params, path: str) -> jax.Array:
    value: Any = params
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            known = [
                jax.tree_util.keystr(key, simple=True, separator=".") for key, _ in jax.tree.leaves_with_path(params)
            ]
            raise ConfigError(f"Tied: the network has no parameter {path!r}.", nearest(path, known))
        value = value[name]
    return cast(jax.Array, value)


def _tied_value(params: Params, source: str) -> jax.Array:
    if source.endswith(".T"):
        return jnp.swapaxes(_find(params, source.removesuffix(".T")), -1, -2)
    return _find(params, source)


def _without(params: Params, path: list[str]) -> Params:
    copy = dict(params)
    if len(path) == 1:
        del copy[path[0]]
        return copy
    inner = _without(copy[path[0]], path[1:])
    if inner:
        copy[path[0]] = inner
    else:
        del copy[path[0]]
    return copy


def _with(params: Params, path: list[str], value: jax.Array) -> Params:
    copy = dict(params)
    copy[path[0]] = value if len(path) == 1 else _with(copy.get(path[0], {}), path[1:], value)
    return copy
