"""Recurrent layers over whole sequences: a kernel of ours on a CPU, a scan elsewhere, and gradients through time.

What a cell makes of s = h U + b and of the projected input p:

- "simple": h' = tanh(p + s)
- "gru": r, z = σ(p + s), n = tanh(p_n + r s_n), h' = (1 - z) n + z h, gates in the order r, z, n (the reset-after form,
  as in PyTorch and cuDNN)
- "lstm": i, f, o = σ(p + s), g = tanh(p_g + s_g), c' = f c + i g, h' = o tanh(c'), gates in the order i, f, g, o

Sources: Elman 1990, "Finding structure in time", Cognitive Science 14:179-211; Cho et al. 2014, arXiv:1406.1078 (GRU);
Hochreiter & Schmidhuber 1997, Neural Computation 9:1735-1780, with the forget gate of Gers et al. 2000 (LSTM).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad

from lamina.errors import ShapeError
from lamina.kernels import native
from lamina.kernels.differentiable import Arrays, primitive
from lamina.kernels.matmul import matmul
from lamina.kernels.precision import widened

__all__ = ["GATES", "Cell", "cell_step", "plan", "recurrent"]

Cell: TypeAlias = Literal["simple", "gru", "lstm"]

GATES: dict[Cell, int] = {"simple": 1, "gru": 3, "lstm": 4}
_CELLS: tuple[Cell, ...] = ("simple", "gru", "lstm")


def recurrent(
    cell: Cell, projected: jax.Array, kernel: jax.Array, bias: jax.Array, h0: jax.Array, c0: jax.Array | None = None
) -> tuple[jax.Array, jax.Array | None]:
    """Run a recurrent cell over sequences.

    Args:
        cell: "simple", "gru" or "lstm".
        projected: ``(batch, steps, gates · units)``: the input times its own weights.
        kernel: U ``(units, gates · units)``, of projected's dtype.
        bias: b ``(gates · units,)``, of projected's dtype.
        h0: first state ``(batch, units)``, of projected's dtype.
        c0: an LSTM's first cell state ``(batch, units)``, float32 or wider; None for the other cells.

    Returns:
        The states of all steps ``(batch, steps, units)`` in projected's dtype, and an LSTM's last cell state
        ``(batch, units)``, or None.

    Raises:
        ShapeError: where shapes or dtypes do not fit together.
    """
    wide = GATES[cell] * kernel.shape[0]
    batch, units = projected.shape[0], kernel.shape[0]
    fits = (
        projected.ndim == 3
        and projected.shape[2] == wide
        and kernel.shape == (units, wide)
        and bias.shape == (wide,)
        and h0.shape == (batch, units)
        and (c0 is None) == (cell != "lstm")
        and (c0 is None or c0.shape == h0.shape)
    )
    if not fits:
        shapes = {"projected": projected, "kernel": kernel, "bias": bias, "h0": h0} | ({} if c0 is None else {"c0": c0})
        raise ShapeError(
            f"recurrent {cell!r} expects projected (batch, steps, {GATES[cell]} units), kernel (units, {GATES[cell]} "
            f"units), bias ({GATES[cell]} units,), h0 (batch, units)"
            f"{' and c0 like h0' if cell == 'lstm' else ' and no c0'}, got "
            + ", ".join(f"{name} {tuple(value.shape)}" for name, value in shapes.items())
            + "."
        )
    if any(value.dtype != projected.dtype for value in (kernel, bias, h0)):
        raise ShapeError(
            f"recurrent expects projected, kernel, bias and h0 of one dtype, got {projected.dtype}, {kernel.dtype}, "
            f"{bias.dtype} and {h0.dtype}."
        )
    cells = widened(jnp.zeros((batch, 0), projected.dtype)) if c0 is None else c0
    outputs, _, _, last = _FORWARD.bind(projected, kernel, bias, h0, cells, cell=cell)
    return outputs, None if c0 is None else last


def plan(cell: Cell, shape: tuple[int, ...], dtype: Any, *, backward: bool) -> tuple[native.Plan, Any]:
    """The compiled kernel for a recurrence over ``shape`` (batch, steps, units), and the description that it takes."""
    name = jnp.dtype(dtype).name
    if name not in native.TYPES:
        return native.Plan(-1, f"{name} is computed by XLA's own kernels"), ()
    if 0 in shape:
        return native.Plan(-1, "there is nothing to compute"), ()
    values = (native.TYPES[name], native.threads(), _CELLS.index(cell), *shape)
    return native.plan("recurrent", int(backward), values), np.asarray(values, np.int64)


def _forward(*operands: jax.Array, cell: Cell) -> Arrays:
    """Outputs, gates and cell states of all steps (those that the backward pass needs), the last cell state."""
    outputs, saved, cells = _scan_forward(cell, *operands)
    return outputs, saved, cells, cells[:, -1] if outputs.shape[1] else operands[-1]


def _forward_on_cpu(*operands: jax.Array, cell: Cell) -> Arrays:
    projected, kernel = operands[:2]
    shape = (projected.shape[0], projected.shape[1], kernel.shape[0])
    found, values = plan(cell, shape, projected.dtype, backward=False)
    if found.scratch < 0:
        return _forward(*operands, cell=cell)
    outputs, saved, cells = _native_forward(cell, found.scratch, values, *operands)
    return outputs, saved, cells, cells[:, -1]


def _linear(*values: jax.Array, cell: Cell) -> Arrays:
    """Tangents of the outputs and the last cell state from those of the five operands.

    Args:
        values: the tangents, then the operands, then what is kept for the backward pass and is not needed here.
    """
    tangents: Arrays = jax.jvp(functools.partial(_scan, cell), values[5:10], values[:5])[1]
    return tangents


def _backward(*values: jax.Array, cell: Cell) -> Arrays:
    """The gradients of the five operands from those of the outputs and the last cell state.

    Args:
        values: the two gradients, then the operands, then what was kept: outputs, gates and cell states.
    """
    return _gradients(functools.partial(_scan_backward, cell), cell, *values)


def _backward_on_cpu(*values: jax.Array, cell: Cell) -> Arrays:
    outputs = values[7]
    found, described = plan(cell, outputs.shape, outputs.dtype, backward=True)
    if found.scratch < 0:
        return _backward(*values, cell=cell)
    return _gradients(functools.partial(_native_backward, cell, found.scratch, described), cell, *values)


def _gradients(through_time: Callable[..., Arrays], cell: Cell, *values: jax.Array) -> Arrays:
    d_outputs, d_last, _, kernel, bias, h0, c0, outputs, saved, cells = values
    units = kernel.shape[0]
    d_projected, d_h0, d_c0 = through_time(d_outputs, d_last, kernel, h0, c0, outputs, saved, cells)
    # Of s = h U + b: in a GRU the new state's part went through the reset gate.
    ds = d_projected
    if cell == "gru":
        scaled = d_projected[..., 2 * units :] * saved[..., :units]
        ds = jnp.concatenate([d_projected[..., : 2 * units], scaled], axis=-1)
    before = jnp.concatenate([h0[:, None], outputs[:, :-1]], axis=1)
    (d_kernel,) = jax.vjp(functools.partial(matmul, before), kernel)[1](ds)
    d_bias = jnp.sum(widened(ds), axis=(0, 1)).astype(bias.dtype)
    return d_projected, d_kernel, d_bias, d_h0.astype(h0.dtype), d_c0.astype(c0.dtype)


def _backward_of_operands(*values: jax.Array, cell: Cell) -> Arrays:
    """`_backward` as a function of the operands alone: what is kept follows from them."""
    gradients, operands = values[:2], values[2:7]
    pulled: Arrays = jax.vjp(functools.partial(_scan, cell), *operands)[1](gradients)
    return pulled


def _one_by_one(bind: Callable[..., Any]) -> Callable[..., Any]:
    """Vectorised as one call of a kernel after another."""

    def batched(operands: Sequence[Any], dims: Sequence[Any], **keywords: Any) -> Any:
        mapped = [jnp.moveaxis(value, dim, 0) for value, dim in zip(operands, dims, strict=True) if dim is not None]

        def one(parts: Sequence[jax.Array]) -> Any:
            rest = iter(parts)
            whole = (value if dim is None else next(rest) for value, dim in zip(operands, dims, strict=True))
            return bind(*whole, **keywords)

        return lax.map(one, mapped)

    return batched


_STATIC = ("cell",)
_FORWARD: Primitive = primitive(
    "lamina_recurrent",
    _forward,
    _STATIC,
    on_cpu=_forward_on_cpu,
    batched=_one_by_one(lambda *operands, **keywords: _FORWARD.bind(*operands, **keywords)),
)
_LINEAR = primitive("lamina_recurrent_linear", _linear, _STATIC)
_BACKWARD: Primitive = primitive(
    "lamina_recurrent_gradient",
    _backward,
    _STATIC,
    on_cpu=_backward_on_cpu,
    derived=_backward_of_operands,
    batched=_one_by_one(lambda *operands, **keywords: _BACKWARD.bind(*operands, **keywords)),
)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, cell: Cell) -> tuple[Any, Any]:
    made = _FORWARD.bind(*primals, cell=cell)
    dots = map(ad.instantiate_zeros, tangents)
    d_outputs, d_last = _LINEAR.bind(*dots, *primals, *made[:3], cell=cell)
    # What is kept for the backward pass alone has no tangent: derivatives take it for the operands' function.
    nothing = [ad.Zero(jax.typeof(value).to_tangent_aval()) for value in made[1:3]]
    return made, [d_outputs, *nothing, d_last]


def _transpose(gradients: Sequence[Any], *values: Any, cell: Cell) -> list[Any]:
    operands, kept = values[5:10], values[10:]
    outputs, last = kept[0], operands[4]
    d_outputs, d_last = (
        jnp.zeros(like.shape, like.dtype) if isinstance(gradient, ad.Zero) else gradient
        for gradient, like in zip(gradients, (outputs, last), strict=True)
    )
    return [*_BACKWARD.bind(d_outputs, d_last, *operands, *kept, cell=cell), *[None] * 8]


ad.primitive_jvps[_FORWARD] = _jvp
ad.primitive_transposes[_LINEAR] = _transpose


def _saved(cell: Cell) -> int:
    """How many arrays of units the backward pass needs beside outputs and cell states."""
    return 0 if cell == "simple" else 4


def _native_forward(cell: Cell, scratch: int, values: Any, *operands: jax.Array) -> Arrays:
    projected, kernel, _, _, c0 = operands
    batch, steps, units = *projected.shape[:2], kernel.shape[0]
    results = (
        jax.ShapeDtypeStruct((batch, steps, units), projected.dtype),
        jax.ShapeDtypeStruct((batch, steps, _saved(cell) * units), projected.dtype),
        jax.ShapeDtypeStruct((batch, steps, c0.shape[-1]), jnp.float32),
    )
    return native.call("lamina_recurrent_forward", results, operands, scratch, sequences=values)  # type: ignore[no-any-return]


def _native_backward(cell: Cell, scratch: int, values: Any, *operands: jax.Array) -> Arrays:
    d_outputs, _, kernel, h0, c0, *_ = operands
    results = (
        jax.ShapeDtypeStruct((*d_outputs.shape[:2], kernel.shape[1]), d_outputs.dtype),
        jax.ShapeDtypeStruct(h0.shape, jnp.float32),
        jax.ShapeDtypeStruct(c0.shape, jnp.float32),
    )
    return native.call("lamina_recurrent_backward", results, operands, scratch, sequences=values)  # type: ignore[no-any-return]


def cell_step(
    cell: Cell, p: jax.Array, s: jax.Array, h: jax.Array, c: jax.Array
) -> tuple[jax.Array, jax.Array, tuple[jax.Array, ...]]:
    """One step: the new state, the new cell state and what the backward pass needs.

    Args:
        p: ``(batch, gates · units)``, the projected input.
        s: the same of the state, h U + b.
        h, c: ``(batch, units)``, the state and an LSTM's cell before.
    """
    if cell == "simple":
        return jnp.tanh(p + s), c, ()
    if cell == "gru":
        (pr, pz, pn), (sr, sz, sn) = jnp.split(p, 3, -1), jnp.split(s, 3, -1)
        r, z = jax.nn.sigmoid(pr + sr), jax.nn.sigmoid(pz + sz)
        n = jnp.tanh(pn + r * sn)
        return (1 - z) * n + z * h, c, (r, z, n, sn)
    i, f, g, o = jnp.split(p + s, 4, -1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * c + i * g
    return o * jnp.tanh(c), c, (i, f, g, o)


def _scan_forward(
    cell: Cell, projected: jax.Array, kernel: jax.Array, bias: jax.Array, h0: jax.Array, c0: jax.Array
) -> Arrays:
    dtype = projected.dtype

    def step(carry: Any, p: jax.Array) -> Any:
        h, c = carry
        s = jnp.matmul(h, kernel, preferred_element_type=c.dtype) + bias.astype(c.dtype)
        new, c, saved = cell_step(cell, p.astype(c.dtype), s, h.astype(c.dtype), c)
        kept = jnp.concatenate(saved, -1) if saved else jnp.zeros((h.shape[0], 0), c.dtype)
        return (new.astype(dtype), c), (new.astype(dtype), kept.astype(dtype), c)

    _, collected = lax.scan(step, (h0, c0), jnp.swapaxes(projected, 0, 1))
    outputs, saved, cells = (jnp.swapaxes(array, 0, 1) for array in collected)
    return outputs, saved, cells


def _scan(cell: Cell, *operands: jax.Array) -> tuple[jax.Array, jax.Array]:
    outputs, _, cells = _scan_forward(cell, *operands)
    return outputs, cells[:, -1] if outputs.shape[1] else operands[-1]


def _scan_backward(
    cell: Cell,
    d_outputs: jax.Array,
    d_last: jax.Array,
    kernel: jax.Array,
    h0: jax.Array,
    c0: jax.Array,
    outputs: jax.Array,
    saved: jax.Array,
    cells: jax.Array,
) -> Arrays:
    """As the kernel does it: back through time from what the forward pass kept."""
    wide = cells.dtype
    before = jnp.concatenate([h0[:, None], outputs[:, :-1]], axis=1)
    cells_before = jnp.concatenate([c0[:, None], cells[:, :-1]], axis=1)

    def step(carry: Any, xs: Any) -> Any:
        dh, dc = carry
        dy, h_before, h, kept, c_before, c = xs
        dh = dh + dy.astype(wide)
        direct: Any = 0.0
        if cell == "simple":
            dp = ds = dh * (1 - jnp.square(h.astype(wide)))
        elif cell == "gru":
            r, z, n, sn = jnp.split(kept.astype(wide), 4, -1)
            dn = dh * (1 - z) * (1 - jnp.square(n))
            dr, dz = dn * sn * r * (1 - r), dh * (h_before.astype(wide) - n) * z * (1 - z)
            dp, ds = jnp.concatenate([dr, dz, dn], -1), jnp.concatenate([dr, dz, dn * r], -1)
            direct = dh * z
        else:
            i, f, g, o = jnp.split(kept.astype(wide), 4, -1)
            t = jnp.tanh(c)
            dc = dc + dh * o * (1 - jnp.square(t))
            parts = (
                dc * g * i * (1 - i),
                dc * c_before * f * (1 - f),
                dc * i * (1 - jnp.square(g)),
                dh * t * o * (1 - o),
            )
            dp = ds = jnp.concatenate(parts, -1)
            dc = dc * f
        back = jnp.matmul(ds.astype(kernel.dtype), kernel.T, preferred_element_type=wide) + direct
        return (back, dc), dp.astype(d_outputs.dtype)

    rows = (d_outputs, before, outputs, saved, cells_before, cells)
    start = (jnp.zeros(h0.shape, wide), d_last.astype(wide))
    (d_h0, d_c0), d_projected = lax.scan(step, start, tuple(jnp.swapaxes(row, 0, 1) for row in rows), reverse=True)
    return jnp.swapaxes(d_projected, 0, 1), d_h0, d_c0
