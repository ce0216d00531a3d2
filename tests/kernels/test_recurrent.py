"""Recurrences: our kernel against the scan in float64, in JAX's transformations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.errors import ShapeError
from lamina.kernels import native
from lamina.kernels.precision import widened
from lamina.kernels.recurrent import GATES, _scan, plan, recurrent

CELLS = list(GATES)


def operands(cell, batch, steps, units, seed=0):
    rng = np.random.default_rng(seed)
    wide = GATES[cell] * units
    shapes = [(batch, steps, wide), (units, wide), (wide,), (batch, units), (batch, units if cell == "lstm" else 0)]
    scales = [1, units**-0.5, 0.3, 0.5, 0.5]
    return [rng.standard_normal(shape) * scale for shape, scale in zip(shapes, scales, strict=True)]


def as_type(arrays, dtype):
    *rest, c0 = (jnp.asarray(array, jnp.float32) for array in arrays)
    return [*(array.astype(dtype) for array in rest), c0]


def loss(run):
    def total(*arrays):
        outputs, last = run(*arrays)
        outputs = widened(outputs)
        weights = jnp.cos(jnp.arange(outputs.size, dtype=outputs.dtype)).reshape(outputs.shape)
        return jnp.sum(outputs * weights) + jnp.sum(jnp.square(last)), outputs

    return jax.value_and_grad(total, argnums=(0, 1, 2, 3, 4), has_aux=True)


def ours(cell):
    def run(*arrays):
        *rest, c0 = arrays
        outputs, last = recurrent(cell, *rest, c0 if cell == "lstm" else None)
        return outputs, c0 if last is None else last

    return run


def error(ours, exact):
    exact = np.asarray(exact, np.float64)
    return np.linalg.norm(np.asarray(ours, np.float64) - exact) / max(np.linalg.norm(exact), 1e-3)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(CELLS),
    st.integers(1, 6),
    st.integers(1, 12),
    st.integers(1, 40),
    st.sampled_from([jnp.float32, jnp.bfloat16]),
)
def test_values_and_gradients_equal_the_scan_in_float64(cell, batch, steps, units, dtype):
    arrays = as_type(operands(cell, batch, steps, units), dtype)
    (_, outputs), gradients = jax.jit(loss(ours(cell)))(*arrays)
    with jax.enable_x64(True):
        exact = [jnp.asarray(np.asarray(array, np.float32), jnp.float64) for array in arrays]
        (_, wanted), wanted_gradients = loss(lambda *args: _scan(cell, *args))(*exact)
    limit = 3e-6 if dtype == jnp.float32 else 3e-2
    assert error(outputs, wanted) < limit
    for got, want in zip(gradients, wanted_gradients, strict=True):
        assert error(got, want) < limit


@pytest.mark.parametrize("cell", CELLS)
def test_a_cpu_program_calls_our_kernels_and_others_do_not(cell):
    if native.native().library is None:
        pytest.skip(native.native().reason)
    arrays = as_type(operands(cell, 2, 3, 4), jnp.float32)
    program = jax.jit(loss(ours(cell)))
    text = program.lower(*arrays).as_text()
    assert "lamina_recurrent_forward" in text
    assert "lamina_recurrent_backward" in text
    for platform in ("cuda", "tpu"):
        assert "lamina" not in jax.export.export(program, platforms=[platform])(*arrays).mlir_module().replace(
            "lamina/", ""
        )


@pytest.mark.parametrize("cell", CELLS)
def test_the_scan_runs_where_there_is_no_kernel(cell, x64):
    assert plan(cell, (2, 3, 4), jnp.float64, backward=False)[0].scratch == -1
    arrays = [jnp.asarray(array) for array in operands(cell, 2, 3, 4)]
    outputs, last = ours(cell)(*arrays)
    wanted, wanted_last = _scan(cell, *arrays)
    np.testing.assert_array_equal(outputs, wanted)
    np.testing.assert_array_equal(last, wanted_last)


@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_of_a_gradient_goes_through_the_scan(cell):
    arrays = as_type(operands(cell, 2, 4, 3), jnp.float32)

    def penalty(run):
        inner = loss(run)
        return jax.grad(lambda *args: sum(jnp.sum(jnp.square(g)) for g in inner(*args)[1]), argnums=(0, 1, 2, 3))

    got = jax.jit(penalty(ours(cell)))(*arrays)
    want = jax.jit(penalty(lambda *args: _scan(cell, *args)))(*arrays)
    for mine, theirs in zip(got, want, strict=True):
        assert error(mine, theirs) < 1e-4


@pytest.mark.parametrize("cell", CELLS)
def test_forward_mode_and_forward_over_reverse(cell, x64):
    arrays = [jnp.asarray(array) for array in operands(cell, 2, 4, 3)]
    moves = [jnp.asarray(array) for array in operands(cell, 2, 4, 3, 1)]

    def both(run):
        gradient = jax.grad(lambda *args: loss(run)(*args)[0][0], argnums=(0, 1, 2, 3))
        return jax.jvp(lambda *args: (run(*args), gradient(*args)), arrays, moves)

    got, want = jax.jit(both, static_argnums=0)(ours(cell)), both(lambda *args: _scan(cell, *args))
    for mine, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_a_tangent_through_the_kernels(cell):
    arrays, moves = (as_type(operands(cell, 2, 4, 3, seed), jnp.float32) for seed in (0, 1))
    got = jax.jit(lambda: jax.jvp(ours(cell), arrays, moves))()
    want = jax.jvp(lambda *args: _scan(cell, *args), arrays, moves)
    for mine, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_vmap_equals_one_after_the_other(cell):
    arrays = [as_type(operands(cell, 2, 3, 4, seed), jnp.float32) for seed in (0, 1)]
    stacked = [jnp.stack(pair) for pair in zip(*arrays, strict=True)]
    (_, outputs), gradients = jax.jit(jax.vmap(loss(ours(cell))))(*stacked)
    for index, own in enumerate(arrays):
        (_, alone), own_gradients = jax.jit(loss(ours(cell)))(*own)
        np.testing.assert_allclose(outputs[index], alone, atol=1e-6)
        for got, want in zip(gradients, own_gradients, strict=True):
            np.testing.assert_allclose(got[index], want, atol=1e-5)


def test_numbers_that_are_not_finite_stay_so():
    arrays = as_type(operands("lstm", 2, 3, 4), jnp.float32)
    arrays[0] = arrays[0].at[1, 1, 2].set(jnp.nan)
    outputs, _ = ours("lstm")(*arrays)
    assert np.isfinite(outputs[0]).all()
    assert np.isnan(outputs[1, 1:]).any()


def test_misfits_are_named():
    x, u, b, h, c = as_type(operands("lstm", 2, 3, 4), jnp.float32)
    with pytest.raises(ShapeError, match="c0 like h0"):
        recurrent("lstm", x, u, b, h)
    with pytest.raises(ShapeError, match="expects projected"):
        recurrent("lstm", x[0], u, b, h, c)
    with pytest.raises(ShapeError, match="one dtype"):
        recurrent("lstm", x, u.astype(jnp.bfloat16), b, h, c)
