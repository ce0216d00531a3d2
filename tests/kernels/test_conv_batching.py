"""The convolution primitives under vmap: equal to a loop in Python, however they are folded."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lamina.kernels import conv, conv_batching, native
from lamina.kernels.conv_primitive import DATA_GRADIENT, FORWARD, WEIGHT_GRADIENT, out_size

COUNT = 3
# examples, space, channels in and out, window, strides, padding, dilation, groups
CASES = {
    "plain": (2, (6, 5), 3, 4, (3, 2), (1, 1), ((1, 1), (0, 1)), (1, 1), 1),
    "one dimension, strided": (2, (9,), 2, 3, (3,), (2,), ((0, 1),), (1,), 1),
    "three dimensions": (1, (4, 3, 5), 2, 2, (2, 2, 3), (1, 1, 2), ((1, 0), (0, 0), (1, 1)), (1, 1, 1), 1),
    "dilated": (2, (8, 7), 2, 3, (2, 3), (1, 2), ((0, 0), (1, 2)), (3, 2), 1),
    "groups": (2, (6, 5), 4, 6, (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 1), 2),
    "depthwise": (2, (6, 5), 3, 3, (3, 3), (1, 2), ((1, 1), (1, 1)), (1, 1), 3),
    "depthwise, two for each": (2, (5, 5), 3, 6, (3, 3), (1, 1), ((1, 0), (2, 0)), (1, 1), 3),
    "product": (3, (4, 4), 5, 2, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "wide": (2, (5, 4), 3, 20, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "no examples": (0, (5, 4), 3, 2, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
}
PRIMITIVES = {
    "forward": (FORWARD, ("x", "w")),
    "data": (DATA_GRADIENT, ("y", "w")),
    "weights": (WEIGHT_GRADIENT, ("x", "y")),
}


@pytest.fixture(params=["folded", "looped"])
def way(request, monkeypatch):
    monkeypatch.setattr(conv_batching, "_folds", lambda *_: request.param == "folded")


def shapes(case):
    n, size, c_in, c_out, window, strides, pads, dilation, groups = CASES[case]
    out = out_size(size, window, strides, pads, dilation)
    return {"x": (n, *size, c_in), "w": (*window, c_in // groups, c_out), "y": (n, *out, c_out)}


def primitive(direction, case):
    """The primitive as a function of its operands, and their shapes."""
    _, size, *_, window, strides, pads, dilation, groups = CASES[case]
    bound, roles = PRIMITIVES[direction]
    more = {"forward": {}, "data": {"size": size}, "weights": {"window": window}}[direction]
    fn = partial(bound.bind, strides=strides, padding=pads, dilation=dilation, groups=groups, **more)
    return fn, [shapes(case)[role] for role in roles]


def random(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))  # of JAX's default type


def operands(shapes, mapped):
    """Arrays with a batch of `COUNT` put in at the axes of ``mapped``."""
    made = []
    for seed, (shape, dim) in enumerate(zip(shapes, mapped, strict=True)):
        at = len(shape) + 1 + dim if dim is not None and dim < 0 else dim
        made.append(random(shape if at is None else (*shape[:at], COUNT, *shape[at:]), seed))
    return made


def looped(fn, mapped, arrays):
    def own(i):
        return [value if dim is None else jnp.take(value, i, dim) for value, dim in zip(arrays, mapped, strict=True)]

    return jax.tree.map(lambda *parts: jnp.stack(parts), *(fn(*own(i)) for i in range(COUNT)))


def assert_equal(got, expected, tolerance=1e-11):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(np.abs(b).max(initial=0), 1))


def assert_vmap_is_a_loop(fn, mapped, arrays, tolerance=1e-11):
    assert_equal(jax.jit(jax.vmap(fn, mapped))(*arrays), looped(jax.jit(fn), mapped, arrays), tolerance)


@pytest.mark.parametrize("mapped", [(0, None), (None, -1), (1, 2)])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("direction", PRIMITIVES)
def test_folded_equals_a_loop(direction, case, mapped, monkeypatch, x64):
    monkeypatch.setattr(conv_batching, "_folds", lambda *_: True)
    fn, shapes = primitive(direction, case)
    assert_vmap_is_a_loop(fn, mapped, operands(shapes, mapped))


@pytest.mark.skipif(native.native().library is None, reason=native.native().reason)
@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("case", ["plain", "groups", "depthwise", "wide"])
@pytest.mark.parametrize("direction", PRIMITIVES)
def test_on_the_compiled_kernels(direction, case, mapped, way):
    fn, shapes = primitive(direction, case)
    arrays = operands(shapes, mapped)
    assert_vmap_is_a_loop(fn, mapped, arrays, 1e-5)


@pytest.mark.parametrize("direction", PRIMITIVES)
@pytest.mark.parametrize(("outer", "inner"), [((0, None), (None, 0)), ((0, 0), (0, None)), ((None, 0), (0, 0))])
def test_vmap_of_vmap(direction, outer, inner, way, x64):
    fn, shapes = primitive(direction, "groups")
    arrays = [
        random((COUNT,) * ((a is not None) + (b is not None)) + shape, seed)
        for seed, (shape, a, b) in enumerate(zip(shapes, outer, inner, strict=True))
    ]
    got = jax.jit(jax.vmap(jax.vmap(fn, inner), outer))(*arrays)
    assert_equal(got, looped(lambda *own: looped(fn, inner, own), outer, arrays))


def loss(case, x, w):
    *_, strides, pads, dilation, groups = CASES[case]
    return jnp.sum(jnp.sin(conv(x, w, strides, pads, dilation, groups)))


@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("case", ["plain", "groups", "depthwise"])
def test_gradients_of_each_and_of_the_sum(case, mapped, way, x64):
    """Per-example gradients, the gradients of an ensemble, and the gradient through a vmap."""
    one = partial(loss, case)
    arrays = operands([shapes(case)[role] for role in "xw"], mapped)
    gradients = jax.grad(one, (0, 1))
    assert_vmap_is_a_loop(gradients, mapped, arrays)

    def of_sum(losses):
        return jax.jit(jax.grad(lambda *own: jnp.sum(losses(*own) ** 2), (0, 1)))(*arrays)

    assert_equal(of_sum(jax.vmap(one, mapped)), of_sum(lambda *own: looped(one, mapped, own)))


def test_a_step_inside_each(way, x64):
    """A gradient through a step of descent, as in learning to learn: both operands are batched everywhere."""
    xs, ws = operands([shapes("plain")[role] for role in "xw"], (0, 0))

    def after(x, w):
        return loss("plain", x, w - 0.1 * jax.grad(partial(loss, "plain", x))(w))

    gradients = jax.grad(after, (0, 1))
    assert_vmap_is_a_loop(gradients, (0, 0), (xs, ws))


@pytest.mark.parametrize(("role", "axis"), ["xn", "xg", "xc", "wc", "wg", "wo", "yn", "yg", "yo"])
def test_what_is_stacked_is_separated_again(role, axis):
    shape = shapes("groups")[role]
    values = random((COUNT, *shape))
    stacked = conv_batching.stack(values, role, axis, groups=2)
    assert math.prod(stacked.shape) == math.prod(values.shape)
    np.testing.assert_array_equal(conv_batching.separate(stacked, role, axis, COUNT, groups=2), values)


def loops(fn, *arrays):
    return "while" in jax.jit(fn).lower(*arrays).as_text()


def test_where_loops_are_faster_and_where_they_are_not():
    x, narrow, wide = random((2, 5, 5, 3)), random((3, 3, 3, 4)), random((3, 3, 3, 20))
    assert not loops(jax.vmap(conv, (0, None)), jnp.stack([x, x]), wide)
    assert not loops(jax.vmap(conv, (None, 0)), x, jnp.stack([narrow, narrow]))
    on_cpu = jax.default_backend() == "cpu"
    assert loops(jax.vmap(conv, (None, 0)), x, jnp.stack([wide, wide])) is on_cpu
    assert loops(jax.vmap(conv), jnp.stack([x, x]), jnp.stack([narrow, narrow])) is on_cpu


def test_accelerators_get_one_operation(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    x, w = random((COUNT, 2, 5, 5, 4)), random((COUNT, 3, 3, 4, 6))
    gradients = jax.jit(jax.vmap(jax.grad(lambda x, w: conv(x, w, 2).sum(), (0, 1))))
    module = jax.export.export(gradients, platforms=["tpu"])(x, w).mlir_module()
    assert "stablehlo.convolution" in module
    assert "while" not in module
