"""Which kernel computes each heavy operation of a program, and why it is not one of ours where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from lamina.kernels import batch_norm, conv_primitive, native, replacement
from lamina.kernels.recurrent import plan as plan_recurrent

__all__ = ["Explanation", "Operation", "explain"]

_DIRECTIONS = {
    "lamina_conv": "forward",
    "lamina_conv_data_gradient": "data",
    "lamina_conv_weight_gradient": "weights",
}
_CONV_OPTIONS = ("strides", "padding", "dilation", "groups")
_NORMS = {"lamina_batch_norm": 0, "lamina_batch_norm_gradient": 1}  # which operand is normalised
_RECURRENT = {"lamina_recurrent": False, "lamina_recurrent_gradient": True}  # whether backward through time
_XLA = "XLA"


@dataclass(frozen=True)
class Operation:
    """One heavy operation.

    Attributes:
        operation: the primitive's name, or our kernel's where it is called directly. A convolution of JAX's also says
            what it was recognised as: "forward", or the gradient of "data" or "weights".
        shapes: of its operands and its first result.
        kernel: the compiled kernel of ours, or "XLA".
        reason: why XLA computes it, empty where we do.
        where: the functions, loops and branches that it lies in, outermost first.
    """

    operation: str
    shapes: str
    kernel: str
    reason: str
    where: str


class Explanation(tuple[Operation, ...]):
    """Operations in the order of the program; printed, a table."""

    __slots__ = ()

    def __str__(self) -> str:
        if not self:
            return "No convolutions, matrix products, batch normalisations or recurrent layers."
        names = [field.name for field in fields(Operation)]
        columns = [(name, *(getattr(row, name) for row in self)) for name in names]
        filled = [column for column in columns if any(column[1:])]
        padded = [[cell.ljust(max(map(len, column))) for cell in column] for column in filled]
        lines = ("  ".join(row) for row in zip(*padded, strict=True))
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__


def explain(fn: Callable[..., Any], *args: Any) -> Explanation:
    """Tell for each heavy operation of a program which kernel computes it on this process's default backend.

    Nothing is computed or compiled: the program is traced and its loops and branches are read once each.

    Args:
        fn: a function of arrays, jitted or not, for instance ``jax.grad(loss)``.
        *args: its arguments: pytrees of arrays or of ``jax.ShapeDtypeStruct``.

    Returns:
        Convolutions, matrix products, batch normalisations and recurrent layers; ``print`` shows them as a table.
    """
    traced = jax.make_jaxpr(fn)(*args)
    return Explanation(_walk(traced.jaxpr, jax.default_backend(), ()))


def _walk(jaxpr: Any, platform: str, where: tuple[str, ...]) -> Iterator[Operation]:
    for equation in jaxpr.eqns:
        found = _heavy(equation, platform)
        if found is not None:
            operation, kernel, reason = found
            yield Operation(operation, _shapes(equation), kernel, reason, " / ".join(where))
            continue
        for label, inner in _inner(equation, platform):
            yield from _walk(inner, platform, (*where, label) if label else where)


def _heavy(equation: Any, platform: str) -> tuple[str, str, str] | None:
    """A heavy operation's name, its kernel and why it is XLA's; None for any other operation."""
    name, params = equation.primitive.name, equation.params
    if name == "ffi_call" and params["target_name"].startswith("lamina_"):
        return params["target_name"], str(params["target_name"]), ""
    if name == "dot_general":
        return name, _XLA, "matrix products are XLA's"
    if name not in (*_DIRECTIONS, *_NORMS, *_RECURRENT, "conv_general_dilated"):
        return None
    if platform != "cpu":
        return name, _XLA, f"ours are for a CPU, this is for {platform}"
    if name in _NORMS:
        return _planned(name, batch_norm.plan(equation.invars[_NORMS[name]].aval, params["after"])[0])
    if name in _RECURRENT:
        return _recurrent(equation)
    return _convolution(equation) if name in _DIRECTIONS else _convolution_of_jax(equation)


def _planned(name: str, found: native.Plan) -> tuple[str, str, str]:
    return (name, _XLA, found.kernel) if found.scratch < 0 else (name, found.kernel, "")


def _convolution(equation: Any) -> tuple[str, str, str]:
    name = equation.primitive.name
    direction = _DIRECTIONS[name]
    a, b, result = (variable.aval for variable in (*equation.invars, *equation.outvars))
    x, kernel, y = {"forward": (a, b, result), "data": (result, b, a), "weights": (a, result, b)}[direction]
    options = {option: equation.params[option] for option in _CONV_OPTIONS}
    return _planned(name, conv_primitive.plan(direction, x, kernel, y, **options)[0])


def _convolution_of_jax(equation: Any) -> tuple[str, str, str]:
    name = equation.primitive.name
    avals = (variable.aval for variable in (*equation.invars, *equation.outvars))
    found = replacement.translate(*avals, **equation.params)
    if isinstance(found, str):
        return name, _XLA, found
    name = f"{name} ({found.direction})"
    if not replacement.installed():
        return name, _XLA, f"lamina.kernels.install() would make it {found.kernel}"
    return name, found.kernel, ""


def _recurrent(equation: Any) -> tuple[str, str, str]:
    name = equation.primitive.name
    backward = _RECURRENT[name]
    outputs = equation.invars[0].aval if backward else equation.outvars[0].aval  # or their gradient
    return _planned(name, plan_recurrent(equation.params["cell"], outputs.shape, outputs.dtype, backward=backward)[0])


def _inner(equation: Any, platform: str) -> Iterator[tuple[str, Any]]:
    """The programs inside an operation, each with what to call it."""
    name, params = equation.primitive.name, equation.params
    if params.get("branches_platforms") is not None:
        yield "", _branch(params, platform).jaxpr
    elif name == "cond":
        for index, branch in enumerate(params["branches"]):
            yield f"cond branch {index}", branch.jaxpr
    elif name == "while":
        yield "while condition", params["cond_jaxpr"].jaxpr
        yield "while", params["body_jaxpr"].jaxpr
    else:
        label = _label(name, params)
        for value in params.values():
            for part in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(part, ClosedJaxpr):
                    yield label, part.jaxpr
                elif isinstance(part, Jaxpr):
                    yield label, part


def _label(name: str, params: dict[str, Any]) -> str:
    if name == "scan":
        return f"scan of {params['length']}"
    if name.startswith("custom_"):
        return ""
    return str(params.get("name", name))


def _branch(params: dict[str, Any], platform: str) -> Any:
    """What `lax.platform_dependent` runs on a platform: its own branch, or the default one (None)."""
    owners = params["branches_platforms"]
    own = [index for index, names in enumerate(owners) if names is not None and platform in names]
    return params["branches"][own[0] if own else owners.index(None)]


def _shapes(equation: Any) -> str:
    operands = ", ".join(variable.aval.str_short(short_dtypes=True) for variable in equation.invars)
    return f"{operands} -> {equation.outvars[0].aval.str_short(short_dtypes=True)}"
