"""Primitives for functions that have kernels of ours for their values and gradients.

Three of them: the function, its linear part (a tangent to a tangent) and the transpose of that (the gradient). With
these JAX derives forward mode and reverse mode; every derivative beyond is its own, of the plain form.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

__all__ = ["Arrays", "primitive"]

Arrays: TypeAlias = tuple[jax.Array, ...]


def primitive(
    name: str,
    portable: Callable[..., Arrays],
    static: tuple[str, ...],
    *,
    on_cpu: Callable[..., Arrays] | None = None,
    derived: Callable[..., Arrays] | None = None,
    batched: Callable[..., Any] | None = None,
) -> Primitive:
    """A primitive with several results.

    Args:
        portable: the function of arrays, and of keywords, in plain JAX.
        static: names of the keywords.
        on_cpu: the same function for a program that is compiled for a CPU.
        derived: the same function again, for its derivatives; default: ``portable``.
        batched: how it is vectorised: takes operands, their batch axes and the keywords, returns the results with the
            batch as their first axis; default: as JAX does ``portable``.
    """
    made = Primitive(name)
    made.multiple_results = True
    made.portable = portable  # type: ignore[attr-defined]  # for those who count its arithmetic
    made.def_impl(jax.jit(made.bind, static_argnames=static))
    mlir.register_lowering(made, mlir.lower_fun(portable, multiple_results=True))
    if on_cpu is not None:
        mlir.register_lowering(made, mlir.lower_fun(on_cpu, multiple_results=True), platform="cpu")

    def abstract(*operands: Any, **keywords: Any) -> Any:
        specs = [jax.ShapeDtypeStruct(operand.shape, operand.dtype) for operand in operands]
        results = jax.eval_shape(functools.partial(portable, **keywords), *specs)
        return [jax.core.ShapedArray(one.shape, one.dtype) for one in results]

    def batch(operands: Sequence[Any], dims: Sequence[Any], **keywords: Any) -> tuple[Any, Any]:
        if batched is None:
            results = jax.vmap(functools.partial(portable, **keywords), tuple(dims))(*operands)
        else:
            results = batched(operands, dims, **keywords)
        return results, [0] * len(results)

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **keywords: Any) -> tuple[Any, Any]:
        function = functools.partial(derived or portable, **keywords)
        return jax.jvp(function, tuple(primals), tuple(map(ad.instantiate_zeros, tangents)))

    made.def_abstract_eval(abstract)
    batching.primitive_batchers[made] = batch
    ad.primitive_jvps[made] = jvp
    return made
