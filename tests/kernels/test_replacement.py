"""JAX's own convolutions on our kernels: equal to XLA's in value and gradients, and really ours."""

from __future__ import annotations

import tomllib
import warnings
from functools import partial
from pathlib import Path

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import lamina.kernels
from lamina.kernels import install, native, replacement, uninstall

pytestmark = pytest.mark.skipif(native.native().library is None, reason=native.native().reason)

FORWARD, DATA, WEIGHTS = "lamina_conv_forward", "lamina_conv_data", "lamina_conv_weights"
NHWC, NCHW, CHWN = ("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW"), ("CHWN", "IHWO", "CHWN")


@pytest.fixture(autouse=True)
def left_as_found():
    before = dict(replacement._rules())
    yield
    assert not replacement.installed()
    assert replacement._rules() == before


def random(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def value_and_gradients(conv, x, w):
    y = jax.eval_shape(conv, x, w)
    weights = random(*y.shape, seed=7).astype(y.dtype)

    def both(x, w, weights):
        y, pull = jax.vjp(conv, x, w)
        return y, *pull(weights)

    return jax.jit(both), (x, w, weights)


def assert_close(got, expected, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.linalg.norm(a - b) <= tolerance * max(np.linalg.norm(b), 1e-3)


def custom_calls(fn, *args):
    text = jax.jit(fn).lower(*args).as_text()
    return {name for name in (FORWARD, DATA, WEIGHTS, "stablehlo.convolution") if name in text}


def with_and_without(fn, *args):
    expected = fn(*args)
    with install():
        got = fn(*args)
    return got, expected


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group = draw(st.sampled_from([1, 1, 2, 3]))
    channels = groups * per_group, groups * draw(st.integers(1, 3))
    axis = st.tuples(
        st.integers(3, 8), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(0, 2)
    )
    axes = [draw(axis) for _ in range(rank)]
    size, window, strides, dilation, low, high = (tuple(a[i] for a in axes) for i in range(6))
    pads = tuple(zip(low, high, strict=True))
    return draw(st.integers(1, 3)), size, channels, window, strides, pads, dilation, groups, draw(st.booleans())


def operands(case):
    batch, size, (c_in, c_out), window, strides, pads, dilation, groups, channels_first = case
    names = "DHW"[3 - len(size) :]
    last, first = (f"N{names}C", f"{names}IO", f"N{names}C"), (f"NC{names}", f"OI{names}", f"NC{names}")
    conv = partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=pads,
        rhs_dilation=dilation,
        dimension_numbers=first if channels_first else last,
        feature_group_count=groups,
    )
    if channels_first:
        return conv, random(batch, c_in, *size), random(c_out, c_in // groups, *window, seed=1)
    return conv, random(batch, *size, c_in), random(*window, c_in // groups, c_out, seed=1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_value_and_both_gradients_equal_stock_jax(case):
    fn, args = value_and_gradients(*operands(case))
    got, expected = with_and_without(fn, *args)
    assert_close(got, expected)


CONVOLUTIONS = {
    "plain": ({"window_strides": (1, 1)}, 8, {FORWARD}, {FORWARD}),
    "strided": ({"window_strides": (2, 2)}, 8, {FORWARD}, {DATA}),
    "depthwise": ({"window_strides": (1, 1), "feature_group_count": 8}, 1, {FORWARD}, {FORWARD}),
    "depthwise strided": ({"window_strides": (2, 2), "feature_group_count": 8}, 1, {FORWARD}, {DATA}),
    "grouped": ({"window_strides": (2, 1), "feature_group_count": 2}, 4, {FORWARD}, {DATA}),
    "dilated": ({"window_strides": (1, 1), "rhs_dilation": (2, 2)}, 8, {FORWARD}, {FORWARD}),
    "patches": ({"window_strides": (3, 3), "padding": "VALID"}, 8, {FORWARD}, {DATA}),
}


@pytest.mark.parametrize("layout", [NHWC, NCHW], ids=["channels last", "channels first"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_program_calls_our_kernels_and_no_longer_after_uninstall(name, layout):
    options, per_group, forward, data = CONVOLUTIONS[name]
    conv = partial(lax.conv_general_dilated, dimension_numbers=layout, **({"padding": "SAME"} | options))
    x, w = random(2, 12, 12, 8), random(3, 3, per_group, 16)
    if layout is NCHW:
        x, w = x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)
    d_data, d_weights = (jax.grad(lambda x, w: jnp.sum(jnp.sin(conv(x, w))), which) for which in (0, 1))
    with install():
        assert custom_calls(conv, x, w) == forward
        assert custom_calls(d_data, x, w) == forward | data
        assert custom_calls(d_weights, x, w) == forward | {WEIGHTS}
    for fn in (conv, d_data, d_weights):
        assert custom_calls(fn, x, w) == {"stablehlo.convolution"}


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_a_transposed_convolution_and_its_gradients_are_ours(window, padding):
    conv = partial(lax.conv_transpose, strides=(2, 2), padding=padding, dimension_numbers=NHWC)
    fn, args = value_and_gradients(conv, random(2, 6, 5, 4), random(window, window, 4, 8))
    got, expected = with_and_without(fn, *args)
    assert_close(got, expected)
    with install():
        assert custom_calls(fn, *args) == {FORWARD, DATA, WEIGHTS}


def test_a_layout_that_looks_like_a_gradient_is_still_right():
    conv = partial(lax.conv_general_dilated, window_strides=(2, 1), padding="SAME", dimension_numbers=CHWN)
    fn, args = value_and_gradients(conv, random(3, 7, 6, 4), random(3, 2, 3, 5))
    got, expected = with_and_without(fn, *args)
    assert_close(got, expected)


def test_padding_wider_than_the_window_and_less_than_nothing():
    for pads in (((3, 4), (2, 2)), ((-1, 0), (0, -1))):
        conv = partial(lax.conv_general_dilated, window_strides=(1, 1), padding=pads, dimension_numbers=NHWC)
        fn, args = value_and_gradients(conv, random(2, 6, 5, 4), random(1, 2, 4, 8))
        got, expected = with_and_without(fn, *args)
        assert_close(got, expected)


def test_a_batch_in_groups():
    conv = partial(
        lax.conv_general_dilated,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=NHWC,
        batch_group_count=2,
    )
    fn, args = value_and_gradients(conv, random(4, 6, 5, 3), random(3, 3, 3, 8))
    got, expected = with_and_without(fn, *args)
    assert_close(got, expected)


@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("groups", [1, 2])
def test_vmap_of_value_and_gradients(groups, mapped):
    def loss(x, w):
        y = lax.conv_general_dilated(x, w, (2, 1), "SAME", dimension_numbers=NHWC, feature_group_count=groups)
        return jnp.sum(jnp.sin(y))

    x = random(3, 2, 7, 6, 4) if mapped[0] == 0 else random(2, 7, 6, 4)
    w = random(3, 3, 2, 4 // groups, 6) if mapped[1] == 0 else random(3, 2, 4 // groups, 6)
    fn = jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1)), mapped))
    got, expected = with_and_without(fn, x, w)
    assert_close(got, expected)
    with install():
        assert "stablehlo.convolution" not in custom_calls(fn, x, w)


def test_scan_remat_forward_mode_and_gradient_of_gradient():
    x, w = random(2, 6, 6, 3), 0.3 * random(3, 3, 3, 3)

    def conv(x, w):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC)

    def looped(w):
        return jnp.sum(lax.scan(lambda h, _: (jnp.tanh(jax.checkpoint(conv)(h, w)), None), x, None, length=3)[0])

    def penalty(x, w):
        slope = jax.grad(lambda x: jnp.sum(jnp.sin(lax.conv(x, w, (2, 2), "VALID"))))(x)
        return jnp.sum(jnp.sin(slope))

    images, kernel = random(2, 3, 8, 8), random(4, 3, 3, 3)
    for fn, args in (
        (jax.jit(jax.value_and_grad(looped)), (w,)),
        (jax.jit(lambda w: jax.jvp(partial(conv, x), (w,), (jnp.ones_like(w),))), (w,)),
        (jax.jit(jax.grad(penalty, (0, 1))), (images, kernel)),
    ):
        got, expected = with_and_without(fn, *args)
        assert_close(got, expected)
        with install():
            assert "stablehlo.convolution" not in custom_calls(fn, *args)


def test_inside_shard_map():
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("batch")
    conv = partial(lax.conv_general_dilated, window_strides=(1, 1), padding="SAME", dimension_numbers=NHWC)
    fn = jax.shard_map(conv, mesh=mesh, in_specs=(spec, jax.sharding.PartitionSpec()), out_specs=spec)
    got, expected = with_and_without(jax.jit(fn), random(2, 6, 6, 3), random(3, 3, 3, 4))
    assert_close(got, expected)


class FlaxNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3))(x))
        x = nn.relu(nn.Conv(8, (3, 3), strides=2, feature_group_count=8)(x))
        x = nn.relu(nn.ConvTranspose(4, (2, 2), strides=(2, 2))(x))
        return nn.Dense(3)(x.mean((1, 2)))


def test_a_flax_network_is_the_same_network():
    net, x = FlaxNet(), random(4, 12, 12, 3)
    params = net.init(jax.random.key(0), x)
    fn = jax.jit(jax.value_and_grad(lambda params, x: jnp.sum(jnp.sin(net.apply(params, x)))))
    got, expected = with_and_without(fn, params, x)
    assert_close(got, expected, 5e-5)  # sums over all pixels in another order, then biases of few numbers
    with install():
        assert custom_calls(fn, params, x) == {FORWARD, DATA, WEIGHTS}


def test_an_equinox_network_is_the_same_network():
    first, second, last = jax.random.split(jax.random.key(0), 3)
    net = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(3, 8, 3, padding=1, key=first),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.Conv2d(8, 8, 3, stride=2, groups=2, key=second),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(8 * 5 * 5, 3, key=last),
        ]
    )
    fn = eqx.filter_jit(eqx.filter_value_and_grad(lambda net, x: jnp.sum(jnp.sin(jax.vmap(net)(x)))))
    x = random(4, 3, 12, 12)
    got, expected = with_and_without(fn, net, x)
    assert_close(eqx.filter(got, eqx.is_array), eqx.filter(expected, eqx.is_array), 5e-5)
    with install():
        weights, rest = eqx.partition(net, eqx.is_array)
        calls = custom_calls(lambda weights, x: jax.vmap(eqx.combine(weights, rest))(x), weights, x)
        assert calls == {FORWARD}


def test_half_precision_is_ours_and_other_types_are_xlas():
    conv = partial(lax.conv_general_dilated, window_strides=(2, 2), padding="SAME", dimension_numbers=NHWC)
    x, w = random(2, 8, 8, 4), random(3, 3, 4, 8)
    with install():
        half = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
        np.testing.assert_allclose(conv(*half).astype(jnp.float32), conv(x, w), atol=0.3)
        reason = partial(refusal, conv)
        assert "the result is float32" in refusal(partial(conv, preferred_element_type=jnp.float32), *half)
        assert "float16" in reason(x.astype(jnp.float16), w.astype(jnp.float16))
        assert "complex64" in reason(x.astype(jnp.complex64), w.astype(jnp.complex64))
        assert reason(x[:0], w)


def test_double_precision_falls_through(x64):
    x, w = (array.astype(jnp.float64) for array in (random(2, 8, 8, 4), random(3, 3, 4, 8)))
    conv = partial(lax.conv_general_dilated, window_strides=(2, 2), padding="SAME", dimension_numbers=NHWC)
    fn, args = value_and_gradients(conv, x, w)
    got, expected = with_and_without(fn, *args)
    assert_close(got, expected, 1e-14)
    with install():
        assert custom_calls(fn, *args) == {"stablehlo.convolution"}


def refusal(conv, *args):
    (equation,) = jax.make_jaxpr(conv)(*args).eqns
    avals = [variable.aval for variable in (*equation.invars, *equation.outvars)]
    found = replacement.translate(*avals, **equation.params)
    assert isinstance(found, str), found
    return found


def test_what_is_no_convolution_of_ours_says_why():
    x, w = random(2, 8, 8, 4), random(3, 3, 4, 8)
    conv = partial(lax.conv_general_dilated, dimension_numbers=NHWC)
    assert "less than nothing" in refusal(partial(conv, window_strides=(2, 2), padding=((-1, 0), (0, 0))), x, w)
    both = partial(conv, window_strides=(2, 2), padding=((0, 0), (0, 0)), lhs_dilation=(2, 2))
    assert "the window has strides" in refusal(both, x, w)
    no_space = partial(lax.conv_general_dilated, window_strides=(), padding=(), dimension_numbers=("NC", "IO", "NC"))
    assert "no axes of space" in refusal(no_space, x[:, 0, 0], w[0, 0])


def test_installations_are_counted():
    rule = replacement._rules()[lax.conv_general_dilated_p]
    install()
    with install(), install():
        assert replacement._rules()[lax.conv_general_dilated_p] is not rule
    assert replacement.installed()
    uninstall()
    assert replacement._rules()[lax.conv_general_dilated_p] is rule
    uninstall()  # one too many does nothing
    with pytest.raises(ZeroDivisionError), install():
        _ = 1 / 0
    assert replacement._rules()[lax.conv_general_dilated_p] is rule


def test_compiled_functions_change_with_the_installation():
    x, w = random(2, 8, 8, 4), random(3, 3, 4, 8)
    traced = []

    @jax.jit
    def conv(x, w):
        traced.append(None)
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC)

    conv(x, w)
    with install():
        conv(x, w)
        with install():  # the second changes nothing, and drops nothing
            conv(x, w)
    conv(x, w)
    assert len(traced) == 3


@pytest.mark.parametrize("version", [(0, 9, 9), (0, 10, 3), (1, 0, 0)])
def test_an_untested_version_of_jax_warns_and_changes_nothing(version, monkeypatch):
    rule = replacement._rules()[lax.conv_general_dilated_p]
    monkeypatch.setattr(jax, "__version_info__", version)
    with pytest.warns(UserWarning, match=r"tested with JAX 0\.10\.0 to 0\.10\.2"):
        installation = install()
    with installation:
        assert not replacement.installed()
        assert replacement._rules()[lax.conv_general_dilated_p] is rule


def test_missing_internals_warn_and_change_nothing(monkeypatch):
    monkeypatch.setattr(replacement, "_rules", dict)
    with pytest.warns(UserWarning, match="does not find JAX's rule"):
        install()
    assert not replacement.installed()


def test_the_internals_that_we_rely_on():
    from jax._src.interpreters import mlir

    entry = mlir._platform_specific_lowerings["cpu"][lax.conv_general_dilated_p]
    assert callable(entry.rule)
    x = jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.float32)
    (equation,) = jax.make_jaxpr(lambda x: lax.conv_general_dilated(x, x, (1, 1), "VALID"))(x).eqns
    assert equation.primitive is lax.conv_general_dilated_p
    assert set(equation.params) == {
        "window_strides",
        "padding",
        "lhs_dilation",
        "rhs_dilation",
        "dimension_numbers",
        "feature_group_count",
        "batch_group_count",
        "precision",
        "preferred_element_type",
        "out_sharding",
    }
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        rule = mlir.LoweringRuleEntry(
            lambda ctx, *args, **params: seen.append(ctx) or entry.rule(ctx, *args, **params), True
        )
        patch.setitem(mlir._platform_specific_lowerings["cpu"], lax.conv_general_dilated_p, rule)
        jax.jit(lambda x: lax.conv_general_dilated(x, x, (1, 1), "VALID")).lower(x)
    assert seen[0].module_context.axis_context.num_devices == 1


def test_the_tested_versions_are_those_of_the_project():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    oldest, newest = (".".join(map(str, version)) for version in replacement._TESTED)
    assert f"jax>={oldest},<={newest}" in project["dependencies"]


def test_without_the_library_everything_stays_with_xla(monkeypatch):
    monkeypatch.setattr(native, "native", lambda: native.Native(None, "XLA's own kernels: a test."))
    native.plan.cache_clear()
    x, w = random(2, 8, 8, 4), random(3, 3, 4, 8)
    conv = partial(lax.conv_general_dilated, window_strides=(1, 1), padding="SAME", dimension_numbers=NHWC)
    with warnings.catch_warnings(action="error"), install():
        assert custom_calls(conv, x, w) == {"stablehlo.convolution"}
    native.plan.cache_clear()


def test_public_names_are_the_functions():
    assert lamina.kernels.install is install
    assert callable(lamina.kernels.explain)
