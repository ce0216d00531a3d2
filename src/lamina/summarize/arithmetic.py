"""Arithmetic counted in a traced program."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

__all__ = ["cost"]

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


def cost(equations: Iterable[Any]) -> tuple[int, int]:
    """Multiply-adds and other operations of a jaxpr's equations, those inside calls, loops and branches included."""
    multiply_adds = other = 0
    for equation in equations:
        name = equation.primitive.name
        outputs = sum(map(_numbers, equation.outvars))
        inner = [*_inner(equation.params), *_portable(equation)]
        if name in _MATMUL:
            multiply_adds += _MATMUL[name](equation)
        elif name in _MOVES or name.startswith("random_"):
            continue
        elif name.startswith(_REDUCTIONS):
            other += max(map(_numbers, equation.invars))
        elif name == "cond":
            costs = [cost(jaxpr.eqns) for jaxpr in inner]
            dearest = max(costs, key=lambda branch: 2 * branch[0] + branch[1])
            multiply_adds, other = multiply_adds + dearest[0], other + dearest[1]
        elif inner:
            turns = equation.params["length"] if name == "scan" else 1
            for jaxpr in inner:
                turn = cost(jaxpr.eqns)
                multiply_adds, other = multiply_adds + turns * turn[0], other + turns * turn[1]
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


def _portable(equation: Any) -> Iterator[Jaxpr]:
    """The plain form of an operation that has a kernel of ours."""
    portable = getattr(equation.primitive, "portable", None)
    if portable is not None:
        specs = [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in equation.invars]
        yield jax.make_jaxpr(functools.partial(portable, **equation.params))(*specs).jaxpr


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
