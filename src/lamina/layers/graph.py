"""Networks that are no chain: several inputs or outputs, and layers called twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import jax

from lamina.errors import ConfigError, ShapeError, nearest
from lamina.layers.base import (
    Context,
    Layer,
    Params,
    Spec,
    State,
    apply_part,
    as_layer,
    part_spec,
    setup_part,
)

__all__ = ["Graph", "Node"]


@dataclass(frozen=True, repr=False)
class Node(Layer):
    """One call in a `Graph`; made by Graph from its ``nodes`` table, not by hand.

    Attributes:
        name: of the output.
        layer: what is called, or None where ``owner`` names the node whose layer is called again.
        owner: the node that keeps the parameters ("" for this one).
        inputs: names of graph inputs or earlier nodes.
    """

    on_masked = "own"

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

    on_masked = "own"

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
