"""A network's forward pass as one traced program, and its layers in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import jax
from jax.extend.core import Literal

from lamina.layers import Layer, Tape
from lamina.layers.base import Call, Params
from lamina.summarize.arithmetic import cost
from lamina.summarize.receptive_field import Field, grown, itself, of_rank, widest

__all__ = ["Trace"]


class Trace:
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
            var: itself(len(var.aval.shape) - 2) for var in self.jaxpr.invars[: len(jax.tree.leaves(batch))]
        }

    def cost(self, inputs: list[Any], outputs: list[Any]) -> tuple[int, int]:
        """Multiply-adds and other operations between a leaf's inputs and outputs."""
        ends = {var for var in inputs if not isinstance(var, Literal)} | set(self._fields)
        return cost(self._between(outputs, ends))

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
        field = grown(call, widest([of_rank(source, max(rank, 0)) for source in sources]))
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
