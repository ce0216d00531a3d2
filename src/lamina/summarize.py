"""A network as a table: what each layer makes, holds, computes and sees."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from lamina.layers import (
    Activation,
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    BatchNorm,
    ConvTranspose,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Layer,
    LayerNorm,
    Maxout,
    Merge,
    PRelu,
    Reshape,
    Sequential,
    Tape,
)
from lamina.layers.base import Call, Params, as_layer, as_spec, describe_spec

__all__ = ["Row", "Summary", "summary"]

ALL = "all"
UNKNOWN = "?"

_POINTWISE = (Activation, BatchNorm, Dense, Dropout, Embedding, Flatten, LayerNorm, Maxout, Merge, PRelu, Reshape)
_WIDTH = 118

# Primitives that move or rename numbers and compute none.
_MOVES = {
    "bitcast_convert_type",
    "broadcast_in_dim",
    "concatenate",
    "convert_element_type",
    "copy",
    "copy_p",
    "device_put",
    "dynamic_slice",
    "dynamic_update_slice",
    "gather",
    "iota",
    "optimization_barrier",
    "pad",
    "reduce_precision",
    "reshape",
    "rev",
    "scatter",
    "slice",
    "split",
    "squeeze",
    "stop_gradient",
    "transpose",
}
_REDUCTIONS = ("reduce", "arg", "cum", "scatter", "sort", "top_k")


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
    trace = _Trace(network, params, state, batch)

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
                receptive_field=_shown(field),
                activation_bytes=4 * _size(call.output),
            )
        )
    multiply_adds, other = _cost(trace.jaxpr.eqns)
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


# The receptive field of a number: (size, jump) on each axis of space; ALL; or UNKNOWN. The jump is the distance, in
# positions of the network's input, between neighbours of the map that the number lies in.
Field: TypeAlias = tuple[tuple[int, Fraction], ...] | str


class _Trace:
    """A network's forward pass as one jaxpr, and in it the variables that enter and leave each leaf layer."""

    def __init__(self, network: Layer, params: Params, state: Any, batch: Any) -> None:
        tape = Tape(record_calls=True)
        recorded: list[Call] = []

        def run(x: Any, params: Params, state: Any) -> Any:
            y, _ = network.apply(params, state, x, tape=tape)
            recorded[:] = tape.calls
            return [(call.inputs, call.output) for call in tape.calls], y

        closed, shapes = jax.make_jaxpr(run, return_shape=True)(batch, params, state)
        self.jaxpr = closed.jaxpr
        remaining = iter(self.jaxpr.outvars)
        self.calls: list[tuple[Call, list[Any], list[Any]]] = []
        for call, (inputs, output) in zip(recorded, shapes[0], strict=True):
            ins = [next(remaining) for _ in jax.tree.leaves(inputs)]
            outs = [next(remaining) for _ in jax.tree.leaves(output)]
            self.calls.append((dataclasses.replace(call, inputs=inputs, output=output), ins, outs))
        self._maker = {out: equation for equation in self.jaxpr.eqns for out in equation.outvars}
        self._fields: dict[Any, Field] = {
            var: ((1, Fraction(1)),) * max(len(var.aval.shape) - 2, 0)
            for var in self.jaxpr.invars[: len(jax.tree.leaves(batch))]
        }

    def cost(self, inputs: list[Any], outputs: list[Any]) -> tuple[int, int]:
        """Multiply-adds and other operations between a leaf's inputs and outputs."""
        ends = {var for var in inputs if not isinstance(var, Literal)} | set(self._fields)
        return _cost(self._between(outputs, ends))

    def _between(self, outputs: Iterable[Any], ends: set[Any]) -> list[Any]:
        """The equations that lead from ``ends`` (and the parameters) to ``outputs``."""
        waiting, seen, found = list(outputs), set(ends), []
        while waiting:
            var = waiting.pop()
            if isinstance(var, Literal) or var in seen or var not in self._maker:
                continue
            equation = self._maker[var]
            seen.update(equation.outvars)
            found.append(equation)
            waiting.extend(equation.invars)
        return found

    def see(self, call: Call, inputs: list[Any], outputs: list[Any]) -> Field:
        """The receptive field of a leaf's output, remembered for the layers after it."""
        sources = [field for var in inputs for field in self._sources(var)]
        rank = max([len(leaf.shape) - 2 for leaf in jax.tree.leaves(call.inputs)], default=0)
        field = _grown(call, _widest([_of_rank(source, max(rank, 0)) for source in sources]))
        for var in outputs:
            if not isinstance(var, Literal):
                self._fields[var] = field
        return field

    def _sources(self, var: Any) -> Iterator[Field]:
        """The fields of the nearest layers' outputs from which a variable comes."""
        waiting, seen = [var], set()
        while waiting:
            var = waiting.pop()
            if isinstance(var, Literal) or var in seen:
                continue
            seen.add(var)
            if var in self._fields:
                yield self._fields[var]
            elif var in self._maker:
                waiting.extend(self._maker[var].invars)


def _grown(call: Call, before: Field) -> Field:
    """The field after a layer."""
    layer = call.layer
    if before == ALL or isinstance(layer, GlobalAvgPool | GlobalMaxPool):
        return ALL
    flat = max(len(leaf.shape) for leaf in jax.tree.leaves(call.inputs)) <= 2
    if isinstance(layer, Dense | Maxout) and flat:
        return ALL
    if isinstance(before, str):
        return UNKNOWN
    window = layer.window()
    if window is not None:
        size, strides, dilation = (_per_axis(value, len(before)) for value in window)
        return tuple(_slid(*axis) for axis in zip(before, size, strides, dilation, strict=True))
    if isinstance(layer, ConvTranspose):
        fields = (layer.kernel_size, layer.strides, layer.dilation)
        size, strides, dilation = (_per_axis(value, len(before)) for value in fields)
        return tuple(_upsampled(*axis) for axis in zip(before, size, strides, dilation, strict=True))
    if isinstance(layer, AdaptiveAvgPool | AdaptiveMaxPool):
        axes = zip(before, call.inputs.shape[1:-1], call.output.shape[1:-1], strict=True)
        return tuple(_slid(field, _stretch(n, out), Fraction(n, out), 1) for field, n, out in axes)
    return before if isinstance(layer, _POINTWISE) else UNKNOWN


def _slid(field: tuple[int, Fraction], size: int, stride: int | Fraction, dilation: int) -> tuple[int, Fraction]:
    seen, jump = field
    return math.ceil(seen + (size - 1) * dilation * jump), jump * stride


def _upsampled(field: tuple[int, Fraction], size: int, stride: int, dilation: int) -> tuple[int, Fraction]:
    seen, jump = field
    # One in so many taps meets an input, the others the zeros between two.
    every = stride // math.gcd(stride, dilation)
    inputs = (size - 1) // every * every * dilation // stride
    return math.ceil(seen + inputs * jump), jump / stride


def _stretch(size: int, outputs: int) -> int:
    return max(-(-(i + 1) * size // outputs) - i * size // outputs for i in range(outputs))


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _of_rank(field: Field, rank: int) -> Field:
    """The field on the last ``rank`` axes; a flattened map keeps what its numbers saw."""
    if isinstance(field, str) or rank == 0:
        return field
    return ((1, Fraction(1)),) * (rank - len(field)) + field[-rank:]


def _widest(fields: list[Field]) -> Field:
    for extreme in (ALL, UNKNOWN):
        if extreme in fields:
            return extreme
    sized = [field for field in fields if not isinstance(field, str)]
    rank = max((len(field) for field in sized), default=0)
    padded = [field + ((1, Fraction(1)),) * (rank - len(field)) for field in sized]
    return tuple((max(size for size, _ in axis), max(jump for _, jump in axis)) for axis in zip(*padded, strict=True))


def _shown(field: Field) -> str:
    return field if isinstance(field, str) else "×".join(str(size) for size, _ in field)


# Counting arithmetic.


def _cost(equations: Iterable[Any]) -> tuple[int, int]:
    """Multiply-adds and other operations."""
    multiply_adds = other = 0
    for equation in equations:
        name = equation.primitive.name
        outputs = sum(map(_numbers, equation.outvars))
        inner = list(_inner(equation.params))
        if name in _MATMUL:
            multiply_adds += _MATMUL[name](equation)
        elif name in _MOVES or name.startswith("random_"):
            continue
        elif name.startswith(_REDUCTIONS):
            other += max(map(_numbers, equation.invars))
        elif name == "cond":
            costs = [_cost(jaxpr.eqns) for jaxpr in inner]
            dearest = max(costs, key=lambda cost: 2 * cost[0] + cost[1])
            multiply_adds, other = multiply_adds + dearest[0], other + dearest[1]
        elif inner:
            turns = equation.params["length"] if name == "scan" else 1
            for jaxpr in inner:
                cost = _cost(jaxpr.eqns)
                multiply_adds, other = multiply_adds + turns * cost[0], other + turns * cost[1]
        else:
            other += outputs
    return multiply_adds, other


def _inner(params: Mapping[str, Any]) -> Iterator[Jaxpr]:
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, Jaxpr):
                yield item


def _shape(var: Any) -> tuple[int, ...]:
    return tuple(getattr(var.aval, "shape", ()))


def _numbers(var: Any) -> int:
    return math.prod(_shape(var))


def _dot(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = _shape(equation.invars[0])
    depth: int = math.prod(left[axis] for axis in contracted)
    return _numbers(equation.outvars[0]) * depth


def _convolution(equation: Any) -> int:
    kernel = _shape(equation.invars[1])
    out_features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    # Zeros put between the inputs are not multiplied by anything that counts.
    spread: int = math.prod(equation.params["lhs_dilation"])
    return _numbers(equation.outvars[0]) * (math.prod(kernel) // int(out_features)) // spread


def _own_convolution(equation: Any) -> int:
    kernel = _shape(equation.invars[1])
    return _numbers(equation.outvars[0]) * math.prod(kernel[:-1])


def _own_transposed(equation: Any) -> int:
    kernel = _shape(equation.invars[1])
    return _numbers(equation.invars[0]) * math.prod(kernel[:-1])


_MATMUL = {
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
    "lamina_conv": _own_convolution,
    "lamina_conv_data_gradient": _own_transposed,
}


# Words and numbers.


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
