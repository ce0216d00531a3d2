"""A network as a table: what each layer makes, holds, computes and sees."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax

from lamina.layers import Layer, Sequential
from lamina.layers.base import Params, as_layer, as_spec, describe_spec
from lamina.summarize.arithmetic import cost
from lamina.summarize.receptive_field import shown
from lamina.summarize.trace import Trace

__all__ = ["Row", "Summary", "summary"]

_WIDTH = 118


@dataclass(frozen=True)
class Row:
    """One leaf layer's call.

    Attributes:
        path: of the layer in the network.
        layer: its class and its options that are not defaults.
        output: spec of one example's output in words: ``(24, 24, 6)``.
        parameters: trained numbers; 0 where an earlier row has them (a shared layer).
        multiply_adds: of matrix products and convolutions, an example.
        operations: floating-point operations of all kinds, an example; a multiply-add is two.
        receptive_field: how much of the input one output number depends on: positions on each axis of space, "all",
            "?" where it is not known, or "" for input without space.
        activation_bytes: of the output, an example, float32.
    """

    path: str
    layer: str
    output: str
    parameters: int
    multiply_adds: int
    operations: int
    receptive_field: str
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """What `summary` found; ``str`` of it is a table.

    Attributes:
        input: spec of one example's input in words.
        rows: leaf layers in order of computation.
        parameters: of all rows.
        unused_parameters: of parts that only training calls, such as auxiliary heads.
        multiply_adds, operations: of one example's whole forward pass.
        activation_bytes: of all rows' outputs, an example, float32.
        matmul_share: share of matrix products and convolutions in ``operations``, 0 to 1.
    """

    input: str
    rows: tuple[Row, ...]
    parameters: int
    unused_parameters: int
    multiply_adds: int
    operations: int
    activation_bytes: int
    matmul_share: float

    def __str__(self) -> str:
        heads = ("layer", "output", "parameters", "multiply-adds", "field", "memory")
        table = [
            (
                f"{row.path}  {row.layer}",
                row.output,
                f"{row.parameters:,}" if row.parameters else "",
                _count(row.multiply_adds) if row.multiply_adds else "",
                row.receptive_field,
                _bytes(row.activation_bytes),
            )
            for row in self.rows
        ]
        total = ("total", "", f"{self.parameters:,}", _count(self.multiply_adds), "", _bytes(self.activation_bytes))
        cells = [heads, *table, total]
        widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
        widths[0] = max(20, min(widths[0], _WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)))
        rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [_line(line, widths) for line in cells]
        lines = [lines[0], rule, *lines[1:-1], rule, lines[-1], ""]
        lines.append(f"One example of input {self.input}. Field: receptive field. Memory: outputs in float32.")
        lines.append(f"The parameters take {_bytes(4 * self.parameters)} in float32.")
        if self.unused_parameters:
            lines.append(f"{self.unused_parameters:,} more parameters are in parts that only training uses.")
        lines.append(f"Share of matrix multiplication in the arithmetic: {100 * self.matmul_share:.1f} %")
        return "\n".join(lines)


def summary(network: Layer, input_shape: Any) -> Summary:
    """Describe a network layer by layer, without computing anything: it is traced on abstract values.

    Counted is one example's forward pass in evaluation. Matrix products and convolutions count as multiply-adds, two
    operations each; other arithmetic counts an operation for each output number, reductions one for each input
    number; moving data counts nothing. Of branches the dearest counts, of a loop of unknown length one turn.

    The receptive field grows by (window - 1) · dilation · jump with each layer that slides a window, where jump is
    the product of the strides before it; of merged branches the largest counts.

    Args:
        network: a layer.
        input_shape: of one example, such as ``(28, 28, 1)``, or a spec, or a dictionary of these.

    Raises:
        ShapeError: naming the first layer whose input does not fit.
    """
    network = as_layer(network)
    if next(network.parts(), None) is None:
        network = Sequential(**{type(network).__name__.lower(): network})
    in_spec = as_spec(input_shape)
    params, state = jax.eval_shape(lambda key: network.init(key, in_spec), jax.eval_shape(lambda: jax.random.key(0)))
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), in_spec)
    trace = Trace(network, params, state, batch)

    rows, listed = [], set()
    for call, inputs, outputs in trace.calls:
        own = {} if call.path in listed else _at(params, call.path)
        listed.add(call.path)
        multiply_adds, other = trace.cost(inputs, outputs)
        field = trace.see(call, inputs, outputs)
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), call.output)
        rows.append(
            Row(
                path=call.path,
                layer=_short(call.layer),
                output=describe_spec(shapes).replace(" float32", ""),
                parameters=_size(own),
                multiply_adds=multiply_adds,
                operations=2 * multiply_adds + other,
                receptive_field=shown(field),
                activation_bytes=4 * _size(call.output),
            )
        )
    multiply_adds, other = cost(trace.jaxpr.eqns)
    used = sum(row.parameters for row in rows)
    operations = 2 * multiply_adds + other
    return Summary(
        input=describe_spec(in_spec),
        rows=tuple(rows),
        parameters=used,
        unused_parameters=_size(params) - used,
        multiply_adds=multiply_adds,
        operations=operations,
        activation_bytes=sum(row.activation_bytes for row in rows),
        matmul_share=2 * multiply_adds / operations if operations else 0.0,
    )


def _at(params: Params, path: str) -> Any:
    value: Any = params
    for name in path.split("."):
        value = value.get(name, {}) if isinstance(value, Mapping) else {}
    return value


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _short(layer: Layer) -> str:
    """The layer with its options that are not defaults, initial values left out."""
    parts = []
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            parts.append(getattr(value, "__name__", None) or str(value))
        elif not field.name.endswith("_init") and value != field.default:
            parts.append(f"{field.name}={value!r}")
    return f"{type(layer).__name__}({', '.join(parts)})"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "…"
    padded = [first.ljust(widths[0]), cells[1].ljust(widths[1])]
    padded += [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join(padded).rstrip()


def _count(value: int) -> str:
    return _scaled(value, 1000, ("", " k", " M", " G", " T"))


def _bytes(value: int) -> str:
    return _scaled(value, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))


def _scaled(value: int, base: int, units: tuple[str, ...]) -> str:
    power = 0
    while value >= base ** (power + 1) and power < len(units) - 1:
        power += 1
    return f"{value / base**power:.{2 if power else 0}f}{units[power]}"
