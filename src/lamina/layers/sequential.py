"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import jax

from lamina.errors import ConfigError
from lamina.layers.activations import Relu, Relu6
from lamina.layers.base import Context, Layer, Params, Spec, State, Then, apply_part, as_layer, part_spec, setup_part
from lamina.layers.pool import AvgPool, MaxPool
from lamina.layers.remat import recompute

__all__ = ["Chain", "Sequential", "named_parts"]

_LONGEST = 10  # layers that are computed again together


def named_parts(layers: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[tuple[str, Layer], ...]:
    """Positional layers take their index as name, keyword layers their keyword."""
    parts = [(str(index), as_layer(layer)) for index, layer in enumerate(layers)]
    parts += [(name, as_layer(layer)) for name, layer in named.items()]
    for name, _ in parts:
        if not name or "." in name or "/" in name:
            raise ConfigError(f"{name!r} cannot name a layer: names are not empty and hold no '.' or '/'.")
    return tuple(parts)


class Chain:
    """What Sequential and Parallel share: named parts given in order."""

    layers: tuple[tuple[str, Layer], ...]

    def parts(self) -> Iterator[tuple[str, Layer]]:
        return iter(self.layers)

    def _shown(self) -> str:
        return ", ".join(
            repr(layer) if name == str(index) else f"{name}={layer!r}"
            for index, (name, layer) in enumerate(self.layers)
        )


@dataclass(frozen=True, init=False, repr=False)
class Sequential(Chain, Layer):
    """A chain: each layer's output is the next one's input.

    Args:
        *layers: layers or functions, named "0", "1", … in order.
        **named: layers under names of your own, after the positional ones. The names are the parameters' paths.

    Example:
        >>> import lamina as lm
        >>> net = lm.Sequential(lm.Flatten(), lm.Dense(32), lm.relu, lm.Dense(10))
    """

    on_masked = "own"

    layers: tuple[tuple[str, Layer], ...]

    def __init__(self, *layers: Any, **named: Any) -> None:
        object.__setattr__(self, "layers", named_parts(layers, named))

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
        if not (ctx.remat and ctx.unwatched()):
            return self._run(0, len(self.layers), params, state, x, ctx)
        new_state: State = {}
        for first, beyond, again in self._blocks():
            names = [name for name, _ in self.layers[first:beyond]]
            own, kept = ({name: tree[name] for name in names if name in tree} for tree in (params, state))
            inner = ctx if beyond == len(self.layers) else replace(ctx, then=None)
            run = partial(self._run, first, beyond)
            x, changed = recompute(run, own, kept, x, inner) if again else run(own, kept, x, inner)
            new_state |= changed
        return x, new_state

    def _run(self, first: int, beyond: int, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        """Some of the parts, one after the other; ``ctx.then`` is asked of the chain's last one."""
        new_state: State = {}
        fuse, index = ctx.may_fuse(), first
        while index < beyond:
            name, layer = self.layers[index]
            fused = fuse and self._joined(index)
            after: Any = self.layers[index + 1][1] if fused else None
            index += 2 if fused else 1
            then = Then(after.bound) if fused else ctx.then if index == len(self.layers) else None
            x = apply_part(name, layer, params, state, new_state, x, ctx, then=then)
        return x, new_state

    def _joined(self, index: int) -> bool:
        """Whether a part can also do what the activation after it does."""
        after = self.layers[index + 1][1] if index + 1 < len(self.layers) else None
        return isinstance(after, Relu | Relu6) and self.layers[index][1].fuses_relu()

    def _blocks(self) -> Iterator[tuple[int, int, bool]]:
        """Which parts are computed again together: (first, beyond, whether they are).

        A residual block or a set of branches by itself; layers between such up to a pooling, after which there is
        less to keep, and at most `_LONGEST`. A chain inside cuts itself up.
        """
        start = index = 0
        while index < len(self.layers):
            layer = self.layers[index][1]
            beyond = index + (2 if self._joined(index) else 1)
            holds_others = next(layer.parts(), None) is not None
            if holds_others and start < index:
                yield start, index, True
            if holds_others:
                yield index, beyond, not isinstance(layer, Sequential)
                start = beyond
            elif isinstance(layer, MaxPool | AvgPool) or beyond - start >= _LONGEST or beyond == len(self.layers):
                yield start, beyond, True
                start = beyond
            index = beyond
        if start < index:
            yield start, index, True

    def fuses_relu(self) -> bool:
        return bool(self.layers) and self.layers[-1][1].fuses_relu()
