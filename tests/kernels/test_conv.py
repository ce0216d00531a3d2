"""Convolution against JAX's own and PyTorch, in all of JAX's transformations."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.test_util import check_grads

from lamina.errors import ConfigError, ShapeError
from lamina.kernels import conv, conv_transpose
from lamina.kernels.conv import resolve_padding


def stock(x, w, strides, pads, dilation, groups):
    rank = x.ndim - 2
    names = "DHW"[3 - rank :]
    return lax.conv_general_dilated(
        x,
        w,
        strides,
        pads,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{names}C", f"{names}IO", f"N{names}C"),
        feature_group_count=groups,
    )


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    c_in = groups * draw(st.integers(1, 3))
    c_out = groups * draw(st.integers(1, 3))
    axis = st.tuples(
        st.integers(3, 8), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(0, 2)
    )
    axes = [draw(axis) for _ in range(rank)]
    size, window, strides, dilation = (tuple(a[i] for a in axes) for i in range(4))
    pads = tuple((a[4], a[5]) for a in axes)
    return draw(st.integers(1, 3)), size, c_in, c_out, window, strides, pads, dilation, groups


def arrays(case, seed=0):
    n, size, c_in, c_out, window, *_, groups = case
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *size, c_in))
    w = rng.standard_normal((*window, c_in // groups, c_out))
    return jnp.asarray(x), jnp.asarray(w)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cases())
def test_value_and_both_gradients_equal_stock_jax(case):
    *_, strides, pads, dilation, groups = case
    with jax.enable_x64(True):
        x, w = arrays(case)
        y, pull = jax.vjp(lambda x, w: conv(x, w, strides, pads, dilation, groups), x, w)
        ref, ref_pull = jax.vjp(lambda x, w: stock(x, w, strides, pads, dilation, groups), x, w)
        np.testing.assert_allclose(y, ref, atol=1e-12)
        ct = jnp.asarray(np.random.default_rng(1).standard_normal(y.shape))
        for ours, theirs in zip(pull(ct), ref_pull(ct), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-11)


CASE = (2, (6, 5), 4, 6, (3, 2), (2, 1), ((1, 0), (0, 1)), (1, 2), 2)


def test_forward_mode_and_second_derivatives(x64):
    x, w = arrays(CASE)
    fn = partial(conv, strides=CASE[5], padding=CASE[6], dilation=CASE[7], groups=CASE[8])
    check_grads(lambda x, w: jnp.sum(fn(x, w) ** 3), (x, w), order=2, modes=("fwd", "rev"), atol=1e-4)


@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)])
def test_vmap_of_value_and_gradient(mapped, x64):
    def loss(x, w):
        return jnp.sum(jnp.sin(conv(x, w, CASE[5], CASE[6], CASE[7], CASE[8])))

    x, w = arrays(CASE)
    xs, ws = jnp.stack([x, 2 * x, -x]), jnp.stack([w, w + 1, 0.5 * w])
    operands = (xs if mapped[0] == 0 else x, ws if mapped[1] == 0 else w)
    got = jax.vmap(jax.grad(loss, (0, 1)), mapped)(*operands)
    for i in range(3):
        one = jax.grad(loss, (0, 1))(xs[i] if mapped[0] == 0 else x, ws[i] if mapped[1] == 0 else w)
        for a, b in zip(got, one, strict=True):
            np.testing.assert_allclose(a[i], b, atol=1e-10)


def test_inside_scan_and_remat(x64):
    x, w = arrays((2, (6, 6), 3, 3, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1))

    def looped(w):
        return jnp.sum(lax.scan(lambda h, _: (jnp.tanh(jax.checkpoint(conv)(h, w)), None), x, None, length=3)[0])

    def unrolled(w):
        h = x
        for _ in range(3):
            h = jnp.tanh(stock(h, w, (1, 1), ((1, 1), (1, 1)), (1, 1), 1))
        return jnp.sum(h)

    np.testing.assert_allclose(jax.grad(looped)(w), jax.grad(unrolled)(w), atol=1e-10)


@pytest.mark.parametrize("padding", ["SAME", "VALID", 1, ((1, 0), (2, 1))])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("window", [(1, 1), (2, 3), (4, 4)])
def test_transposed_is_the_gradient_of_the_convolution_it_names(window, strides, padding, x64):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 4, 5, 3)))
    kernel = jnp.asarray(rng.standard_normal((*window, 3, 2)))
    if padding not in ("SAME", "VALID") and window == (1, 1):
        padding = 0
    y = conv_transpose(x, kernel, strides, padding)
    size = y.shape[1:3]
    if padding == "SAME":
        assert size == (4 * strides, 5 * strides)
    swapped = jnp.swapaxes(kernel, -1, -2)
    down, pull = jax.vjp(lambda z: conv(z, swapped, strides, padding), jnp.zeros((2, *size, 2)))
    if down.shape == x.shape:
        np.testing.assert_allclose(pull(x)[0], y, atol=1e-12)


def test_transposed_equals_torch(x64):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 5, 4, 3)), rng.standard_normal((3, 3, 3, 2))
    got = conv_transpose(jnp.asarray(x), jnp.asarray(w), 2, 1)
    ref = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(w).permute(2, 3, 0, 1), stride=2, padding=1
    )
    np.testing.assert_allclose(got, ref.permute(0, 2, 3, 1).numpy(), atol=1e-12)


def test_same_padding_is_that_of_the_field():
    assert resolve_padding("SAME", (7, 8), (3, 3), (2, 2), (1, 1)) == ((1, 1), (0, 1))
    assert resolve_padding(2, (7, 8), (3, 3), (2, 2), (1, 1)) == ((2, 2), (2, 2))


def test_half_precision_keeps_its_dtype():
    x, w = jnp.ones((1, 4, 4, 2), jnp.bfloat16), jnp.ones((3, 3, 2, 2), jnp.bfloat16)
    assert conv(x, w).dtype == jnp.bfloat16
    assert jax.grad(lambda w: conv(x, w).astype(jnp.float32).sum())(w).dtype == jnp.bfloat16


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_lowers_for_accelerators(platform):
    step = jax.jit(jax.grad(lambda w, x: conv(x, w, 2).sum()))
    exported = jax.export.export(step, platforms=[platform])(jnp.ones((3, 3, 2, 4)), jnp.ones((1, 8, 8, 2)))
    assert exported.platforms == (platform,)
    assert "stablehlo.convolution" in exported.mlir_module()


def test_errors_name_the_shapes():
    x, w = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))
    with pytest.raises(ShapeError, match="groups=2"):
        conv(x, w, groups=2)
    with pytest.raises(ShapeError, match="does not fit"):
        conv(x, jnp.ones((5, 5, 2, 2)), padding="VALID")
    with pytest.raises(ConfigError, match="strides"):
        conv(x, w, strides=(1, 2, 3))
    with pytest.raises(ConfigError, match="padding"):
        conv(x, w, padding="same-ish")
