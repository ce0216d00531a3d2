"""The compiled convolutions against plain JAX in float64, on generated configurations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.kernels import conv, conv_portable, native
from lamina.kernels.conv_primitive import out_size, plan

pytestmark = pytest.mark.skipif(native.native().library is None, reason=native.native().reason)


@dataclass(frozen=True)
class Configuration:
    batch: int
    size: tuple[int, ...]
    window: tuple[int, ...]
    inputs: int
    outputs: int
    groups: int
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    @property
    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("strides", "padding", "dilation", "groups")}


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    kind = draw(st.sampled_from(["plain", "plain", "groups", "depthwise"]))
    if kind == "depthwise":
        groups = inputs = draw(st.integers(2, 20))
        outputs = inputs * draw(st.integers(1, 2))
    else:
        groups = 1 if kind == "plain" else draw(st.integers(2, 4))
        inputs, outputs = (groups * draw(st.integers(1, 20 // groups)) for _ in range(2))
    axes = []
    rank = draw(st.integers(1, 3))
    for _ in range(rank):
        window, dilation = draw(st.integers(1, 5 if rank < 3 else 3)), draw(st.integers(1, 3))
        low, high = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        reach = (window - 1) * dilation + 1
        size = draw(st.integers(max(reach - low - high, 1), reach + (20 if rank < 3 else 6)))
        axes.append((size, window, draw(st.integers(1, 3)), (low, high), dilation))
    size, window, strides, padding, dilation = zip(*axes, strict=True)
    return Configuration(draw(st.integers(1, 5)), size, window, inputs, outputs, groups, strides, padding, dilation)


def all_three(c: Configuration, x: jax.Array, w: jax.Array, dy: jax.Array) -> tuple[jax.Array, ...]:
    y, pull = jax.vjp(partial(conv, **c.options), x, w)
    return y, *pull(dy)


def portable(c: Configuration, x: jax.Array, w: jax.Array, dy: jax.Array) -> tuple[jax.Array, ...]:
    return (
        conv_portable.forward(x, w, **c.options),
        conv_portable.data_gradient(dy, w, **c.options, size=c.size),
        conv_portable.weight_gradient(x, dy, **c.options, window=c.window),
    )


def check(c: Configuration, name: str, limit: float, tally: Counter[str]) -> None:
    dtype = jnp.dtype(name)
    out = out_size(c.size, c.window, c.strides, c.padding, c.dilation)
    shapes = (c.batch, *c.size, c.inputs), (*c.window, c.inputs // c.groups, c.outputs), (c.batch, *out, c.outputs)
    rng = np.random.default_rng(0)
    operands = [rng.standard_normal(shape).astype(np.float32).astype(dtype) for shape in shapes]
    for direction in ("forward", "data", "weights"):
        tally[direction] += plan(direction, *operands, **c.options)[0].scratch >= 0
    tally["asked"] += 1
    got = jax.jit(partial(all_three, c))(*operands)
    with jax.enable_x64(True):
        exact = jax.jit(partial(portable, c))(*(value.astype(np.float64) for value in operands))
        for value, expected in zip(got, exact, strict=True):
            assert value.dtype == dtype
            assert value.shape == expected.shape
            wrong = np.linalg.norm(np.asarray(value, np.float64) - expected)
            assert wrong < limit * np.linalg.norm(expected) + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("name", "examples", "limit"), [("float32", 150, 2e-6), ("bfloat16", 50, 1e-2)])
def test_value_and_both_gradients_equal_plain_jax_in_float64(name: str, examples: int, limit: float) -> None:
    tally: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(configurations())
    def every(c: Configuration) -> None:
        check(c, name, limit, tally)

    every()
    # oneDNN has no bfloat16 for CPUs without AVX-512.
    if name == "float32" or "AVX-512" in native.native().reason or "AMX" in native.native().reason:
        for direction in ("forward", "data", "weights"):
            assert tally[direction] > 0.8 * tally["asked"], tally


# Tiles that end inside and outside of the picture; paddings of all kinds.
WINOGRAD = [
    Configuration(6, (18, 19), (3, 3), 64, 96, 1, (1, 1), ((1, 1), (0, 2)), (1, 1)),
    Configuration(5, (30, 5), (3, 3), 96, 64, 1, (1, 1), ((3, 4), (1, 1)), (1, 1)),
    Configuration(6, (13, 14), (5, 5), 64, 80, 1, (1, 1), ((2, 2), (0, 5)), (1, 1)),
]


def winograd(c: Configuration, name: str) -> list[bool]:
    """Whether Winograd's algorithm computes each direction."""
    out = out_size(c.size, c.window, c.strides, c.padding, c.dilation)
    x, w, y = (
        jax.ShapeDtypeStruct(shape, jnp.dtype(name))
        for shape in ((c.batch, *c.size, c.inputs), (*c.window, c.inputs, c.outputs), (c.batch, *out, c.outputs))
    )
    names = [plan(direction, x, w, y, **c.options)[0].kernel for direction in ("forward", "data", "weights")]
    return ["Winograd" in name for name in names]


@pytest.mark.parametrize("c", WINOGRAD)
def test_winograds_algorithm_in_all_directions(c: Configuration) -> None:
    assert winograd(c, "float32") == [True] * 3
    check(c, "float32", 3e-6, Counter())


def test_winograds_algorithm_in_bfloat16() -> None:
    c = Configuration(12, (14, 15), (3, 3), 128, 128, 1, (1, 1), ((1, 1), (1, 1)), (1, 1))
    if not all(winograd(c, "bfloat16")):
        pytest.skip("this CPU's products in bfloat16 are too slow or too fast for it")
    check(c, "bfloat16", 6e-3, Counter())


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_the_highest_precision_takes_no_short_cut(name: str) -> None:
    c = WINOGRAD[0]
    with jax.default_matmul_precision("highest"):
        assert winograd(c, name) == [False] * 3
        check(c, name, 1e-6 if name == "float32" else 4e-3, Counter())
