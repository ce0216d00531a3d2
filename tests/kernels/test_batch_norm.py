"""Batch normalisation with what follows it: kernels of ours, in plain JAX the same."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

import lamina as lm
from lamina.kernels import explain, native
from lamina.kernels.batch_norm import batch_norm
from lamina.layers.base import Tape

ours = pytest.mark.skipif(native.native().library is None, reason=native.native().reason)

FORMS = {  # ReLU's bound, whether something is added before it
    "nothing": (None, False),
    "relu": (np.inf, False),
    "bounded relu": (1.5, False),
    "sum and relu": (np.inf, True),
    "sum and bounded relu": (1.5, True),
}


def operands(shape: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(0)
    x, added, dy = (rng.normal(0.3, 1, shape).astype(np.float32).astype(dtype) for _ in range(3))
    scale, bias = (rng.normal(1, 0.3, shape[-1:]).astype(np.float32) for _ in range(2))
    return [x, scale, bias, added, dy]


def formula(x: Any, scale: Any, bias: Any, *, bound: float | None, added: Any = None) -> Any:
    axes = tuple(range(x.ndim - 1))
    mean, var = jnp.mean(x, axes), jnp.var(x, axes)
    y = (x - mean) * lax.rsqrt(var + 1e-5) * scale + bias + (0 if added is None else added)
    return y if bound is None else jnp.minimum(jnp.maximum(y, 0), bound)


def results(function: Any, form: str, x: Any, scale: Any, bias: Any, added: Any, dy: Any) -> list[Any]:
    bound, sums = FORMS[form]

    def run(*variables: Any) -> Any:
        return function(*variables[:3], bound=bound, added=variables[3] if sums else None)

    variables = (x, scale, bias, added)[: 4 if sums else 3]
    y, pull = jax.vjp(run, *variables)
    return [y, *pull(dy)]


def kernel(*args: Any, **options: Any) -> Any:
    return batch_norm(*args, 1e-5, **options)[0]


@pytest.mark.parametrize("shape", [(64, 16, 16, 32), (3, 41, 43, 5), (300, 77)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("form", FORMS)
def test_value_and_gradients_equal_the_formula_in_float64(form: str, dtype: Any, shape: tuple[int, ...]) -> None:
    given = operands(shape, dtype)
    got = jax.jit(lambda *args: results(kernel, form, *args))(*given)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(value, np.float64)) for value in given]
        exact = results(formula, form, *wide)
        for value, expected in zip(got, exact, strict=True):
            wrong = np.linalg.norm(np.asarray(value, np.float64) - expected)
            limit = 3e-6 if dtype == jnp.float32 else 8e-3
            if dtype == jnp.bfloat16 and form == "sum and bounded relu":
                limit = 0.1  # a sum that is rounded to the bound has reached it: no gradient passes there
            assert wrong < limit * np.linalg.norm(expected)


@pytest.mark.parametrize("form", FORMS)
def test_derivatives_of_both_modes_and_second_order(form: str, x64: None) -> None:
    bound, sums = FORMS[form]
    x, scale, bias, added, _ = operands((5, 3, 2), np.float64)
    variables = [jnp.asarray(value, jnp.float64) for value in (x, scale, bias, added)]

    def run(*variables: Any) -> Any:
        return jnp.sin(kernel(*variables[:3], bound=bound, added=variables[3] if sums else None))

    check_grads(run, variables[: 3 + sums], order=2, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_mapped_over_networks(form: str) -> None:
    given = [np.stack([value, value[::-1]]) for value in operands((128, 9, 16))]
    run = lambda *args: results(kernel, form, *args)  # noqa: E731
    one_by_one = [run(*(value[i] for value in given)) for i in range(2)]
    for mapped, *single in zip(jax.jit(jax.vmap(run))(*given), *one_by_one, strict=True):
        np.testing.assert_allclose(mapped, np.stack(single), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("form", FORMS)
def test_rematerialised_it_gives_the_same(form: str) -> None:
    given = operands((128, 9, 16))

    def again(*args: Any, bound: float | None, added: Any) -> Any:
        return jax.checkpoint(lambda *inner: kernel(*inner[:3], bound=bound, added=inner[3]))(*args, added)

    for a, b in zip(results(again, form, *given), results(kernel, form, *given), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def block(strides: int = 1) -> lm.Sequential:
    body = lm.Sequential(
        *(lm.Conv(16, 3, strides=strides, use_bias=False), lm.BatchNorm(), lm.relu),
        *(lm.Conv(16, 3, use_bias=False), lm.BatchNorm()),
    )
    shortcut = lm.Sequential(lm.Conv(16, 1, strides=strides, use_bias=False), lm.BatchNorm()) if strides > 1 else None
    return lm.Sequential(lm.Residual(body, shortcut), lm.relu)


NETWORK = lm.Sequential(
    *(lm.Conv(16, 3, use_bias=False), lm.BatchNorm(), lm.relu6, block(), block(2)),
    *(lm.Residual(lm.Residual(lm.BatchNorm())), lm.relu6, lm.BatchNorm(), lm.tanh),
)


def trained(tape: Tape | None, x: Any) -> Any:
    params, state = NETWORK.init(jax.random.key(0), x.shape[1:])

    def loss(params: Any) -> Any:
        y, after = NETWORK.apply(params, state, x, train=True, tape=tape)
        return jnp.sum(jnp.sin(y)), after

    return jax.value_and_grad(loss, has_aux=True)(params)


def test_layers_computed_as_one_give_what_they_give_apart() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 32, 32, 3)), jnp.float32)
    together, apart = jax.jit(lambda x: trained(None, x))(x), jax.jit(lambda x: trained(Tape(tap_all=True), x))(x)
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(apart), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    assert jax.tree.structure(together) == jax.tree.structure(apart)


@ours
def test_which_layers_are_computed_as_one() -> None:
    x = jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32)

    def kernels(tape: Tape | None) -> list[str]:
        rows = explain(lambda x: trained(tape, x), x)
        return [row.kernel for row in rows if "batch_norm" in row.operation]

    relu, sums, alone = "ours, with ReLU", "ours, with sum and ReLU", "ours"
    forward = [relu, relu, sums, alone, relu, sums, sums, alone]
    assert sorted(kernels(None)) == sorted(2 * forward)
    assert set(kernels(Tape(tap_all=True))) == {alone}


def test_a_tape_hears_every_layer() -> None:
    tape = Tape(tap_all=True)
    trained(tape, jnp.ones((2, 8, 8, 3)))
    assert {"1", "2", "3.0.body.1", "3.0.body.2", "3.0.sum", "3.1"} <= set(tape.taps)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])  # lowered here, not run
def test_other_platforms_show_no_trace_of_ours(platform: str) -> None:
    run = jax.jit(lambda *args: results(kernel, "sum and relu", *args))
    specs = [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in operands((64, 16, 16, 32))]
    assert "custom_call @lamina" not in jax.export.export(run, platforms=[platform])(*specs).mlir_module()
