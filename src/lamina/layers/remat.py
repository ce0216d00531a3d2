"""Activations computed again in the backward pass instead of kept for it: memory for time, gradient checkpointing.

Chen, Xu, Zhang & Guestrin 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina.layers.base import Context, Memory, Params, State, Tape

__all__ = ["recompute"]

# A float32's bits that no arithmetic gives: NaNs that are computed are quiet ones, this is none.
_NEVER = 0x7FA12345


def recompute(
    run: Callable[[Params, State, Any, Context], tuple[Any, State]], params: Params, state: State, x: Any, ctx: Context
) -> tuple[Any, State]:
    """``run(params, state, x, ctx)``, of which only the arguments are kept for its gradient.

    What it emits is handed on to the tape, what it remembers to the memory; random numbers come from the same keys
    both times.
    """
    heard: list[tuple[str, str]] = []

    def block(
        params: Params, state: State, x: Any, key: Any, added: Any, before: Any
    ) -> tuple[Any, State, list[Any], dict[str, Any]]:
        tape, memory = Tape(), None if before is None else Memory(before)
        then = None if ctx.then is None else replace(ctx.then, added=added)
        inner = replace(ctx, root_key=key, tape=tape, then=then, remat=False, memory=memory)
        y, new_state = run(params, state, x, inner)
        heard[:] = [(kind, path) for kind, path, _ in tape.emitted]
        return y, new_state, [value for *_, value in tape.emitted], {} if memory is None else memory.after

    added = None if ctx.then is None else ctx.then.added
    before = None if ctx.memory is None else dict(ctx.memory.before)
    y, new_state, values, after = _kept_by_arguments(block, (params, state, x, ctx.root_key, added, before))
    if ctx.tape is not None:
        ctx.tape.emitted += [(*who, value) for who, value in zip(heard, values, strict=True)]
    if ctx.memory is not None:
        ctx.memory.after.update(after)
    return y, new_state


def _kept_by_arguments(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """``function(*arguments)``; its gradient keeps the arguments and computes the rest again.

    `jax.checkpoint` does nothing on a CPU: XLA drops its optimization_barrier early, finds the same operations twice
    and computes them once. In a branch of a condition, which depends on the gradient that comes in, they stay apart,
    and wait until their turn has come.
    """
    leaves, tree = jax.tree.flatten(arguments)
    real = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def whole(varied: list[Any], fixed: list[Any]) -> Any:
        remaining = iter(varied), iter(fixed)
        return function(*jax.tree.unflatten(tree, [next(remaining[0 if own else 1]) for own in real]))

    def gradient(kept: Any, dy: Any) -> list[Any]:
        varied, fixed = kept
        _, pull = jax.vjp(lambda varied: whole(varied, fixed), varied)
        return pull(dy)[0]  # type: ignore[no-any-return]

    def in_a_branch(kept: Any, dy: Any) -> list[Any]:
        first = jax.tree.leaves(dy[0])[0].reshape(-1)[0].astype(jnp.float32)
        always = lax.bitcast_convert_type(first, jnp.int32) != _NEVER
        return lax.cond(always, gradient, lambda kept, _: jax.tree.map(jnp.zeros_like, kept[0]), kept, dy)  # type: ignore[no-any-return]

    def behind_a_barrier(kept: Any, dy: Any) -> list[Any]:
        return gradient(*lax.optimization_barrier((kept, dy)))

    def backward(kept: Any, dy: Any) -> tuple[list[Any], None]:
        return lax.platform_dependent(kept, dy, cpu=in_a_branch, default=behind_a_barrier), None

    run = jax.custom_vjp(whole)
    run.defvjp(lambda varied, fixed: (whole(varied, fixed), (varied, fixed)), backward)
    return run(
        [leaf for leaf, own in zip(leaves, real, strict=True) if own],
        [leaf for leaf, own in zip(leaves, real, strict=True) if not own],
    )
