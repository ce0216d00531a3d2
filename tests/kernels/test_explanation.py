"""Which kernel runs, told before anything runs."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from lamina.kernels import conv, explain, install, native
from lamina.kernels.recurrent import recurrent

pytestmark = pytest.mark.skipif(native.native().library is None, reason=native.native().reason)

X = jax.ShapeDtypeStruct((2, 8, 8, 4), jnp.float32)
W = jax.ShapeDtypeStruct((3, 3, 4, 4), jnp.float32)
stock = partial(
    lax.conv_general_dilated, window_strides=(2, 2), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
)


def is_ours(row):
    return row.kernel != "XLA" and not row.reason


def test_our_convolution_and_both_gradients():
    rows = explain(jax.grad(lambda x, w: jnp.sum(jnp.sin(conv(x, w, 2))), (0, 1)), X, W)
    names = ["lamina_conv", "lamina_conv_data_gradient", "lamina_conv_weight_gradient"]
    assert sorted(row.operation for row in rows) == names
    assert all(map(is_ours, rows))
    assert rows[0].shapes == "f32[2,8,8,4], f32[3,3,4,4] -> f32[2,4,4,4]"


def test_double_precision_is_xlas(x64):
    (row,) = explain(conv, jnp.ones(X.shape, jnp.float64), jnp.ones(W.shape, jnp.float64))
    assert (row.kernel, row.reason) == ("XLA", "float64 is computed by XLA's own kernels")


def test_convolutions_of_jax_with_and_without_installation():
    gradients = jax.grad(lambda x, w: jnp.sum(jnp.sin(stock(x, w))), (0, 1))
    before = explain(gradients, X, W)
    assert {row.kernel for row in before} == {"XLA"}
    assert all("install() would make it" in row.reason for row in before)
    with install():
        after = explain(gradients, X, W)
        half = (jax.ShapeDtypeStruct(spec.shape, jnp.bfloat16) for spec in (X, W))
        (refused,) = explain(partial(stock, preferred_element_type=jnp.float32), *half)
    assert sorted(row.operation.split()[1] for row in after) == ["(data)", "(forward)", "(weights)"]
    assert all(map(is_ours, after))
    assert (refused.kernel, refused.reason) == ("XLA", "operands are bfloat16 and bfloat16, the result is float32")


def test_recurrent_kernels_forward_and_backward():
    specs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((16, 9, 96), (32, 96), (96,), (16, 32))]
    rows = explain(jax.grad(lambda *args: jnp.sum(jnp.sin(recurrent("gru", *args)[0]))), *specs)
    targets = [row.operation for row in rows if is_ours(row)]
    assert targets == ["lamina_recurrent", "lamina_recurrent_gradient"]
    assert all(row.kernel for row in rows)
    assert not [row for row in rows if "scan" in row.where]  # what another platform would run


def test_looks_into_loops_branches_and_calls():
    @jax.jit
    def layer(h, w):
        return jnp.tanh(jax.checkpoint(conv)(h, w))

    def program(x, w):
        x = lax.scan(lambda h, _: (layer(h, w), None), x, None, length=3)[0]
        x = lax.while_loop(lambda h: jnp.sum(h) < 0, lambda h: stock(h, w)[:, :1, :1] + h, x)
        return lax.cond(jnp.sum(x) > 0, lambda: x @ w[0, 0], lambda: jax.nn.relu(x))

    rows = explain(program, X, W)
    assert [(row.operation.split()[0], row.where) for row in rows] == [
        ("lamina_conv", "scan of 3 / layer / remat2"),
        ("conv_general_dilated", "while"),
        ("dot_general", "cond branch 1"),
    ]


def test_looks_into_custom_gradients_and_shard_map():
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    nothing = jax.sharding.PartitionSpec()

    @jax.custom_vjp
    def plain(x, w):
        return stock(x, w)

    plain.defvjp(lambda x, w: (plain(x, w), None), lambda *_: (None, None))

    @jax.custom_jvp
    def other(x, w):
        return stock(x, w)

    other.defjvp(lambda primals, tangents: (other(*primals), tangents[0]))
    sharded = jax.shard_map(lambda x, w: plain(x, w) + other(x, w), mesh=mesh, in_specs=nothing, out_specs=nothing)
    rows = explain(sharded, X, W)
    assert [row.where for row in rows] == ["shard_map", "shard_map"]


def test_the_table_is_aligned():
    text = str(explain(lambda x, w: conv(conv(x, w), w) @ w[0, 0], X, W))
    header, *lines = text.splitlines()
    assert len(lines) == 3
    assert header.split() == ["operation", "shapes", "kernel", "reason"]  # no column without content
    assert len({line.index("f32[2,8,8,4]") for line in lines} | {header.index("shapes")}) == 1
    assert lines[-1].startswith("dot_general")
    assert lines[-1].index("XLA") == header.index("kernel")


def test_nothing_heavy_is_a_sentence():
    assert str(explain(jnp.sin, X)) == "No convolutions, matrix products, batch normalisations or recurrent layers."
