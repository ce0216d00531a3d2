"""Laws that every layer obeys, over one list of all layers."""

from __future__ import annotations

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina.layers as lm
from lamina import initializers
from lamina.config import from_json, to_json

INTEGERS = jax.ShapeDtypeStruct((5,), jnp.int32)
PAIR = {"a": (4,), "b": (4,)}

# Every layer with the shape of one example. A test below fails when a layer is missing here.
CASES: list[tuple[lm.Layer, Any]] = [
    (lm.Dense(3), (4,)),
    (lm.Dense(3, use_bias=False, kernel_init=initializers.GlorotUniform(2.0)), (2, 4)),
    (lm.Conv(4, 3), (6, 2)),
    (lm.Conv(4, (3, 2), strides=(2, 1), padding="VALID"), (7, 6, 2)),
    (lm.Conv(4, 3, padding=1, groups=2, use_bias=False), (5, 5, 2)),
    (lm.Conv(6, 3, groups=3, dilation=2), (6, 6, 3)),
    (lm.Conv(2, 2, padding=((1, 0), (0, 1), (1, 1))), (3, 4, 3, 1)),
    (lm.ConvTranspose(3, 3, strides=2), (4, 2)),
    (lm.ConvTranspose(3, (2, 3), strides=(2, 1), padding="VALID"), (3, 4, 2)),
    (lm.ConvTranspose(2, 3, strides=2, padding=1), (2, 3, 2, 2)),
    (lm.MaxPool(2), (5, 4, 3)),
    (lm.MaxPool(3, strides=2, padding=1, ceil_mode=True), (6, 7, 2)),
    (lm.AvgPool(2), (6, 3)),
    (lm.AvgPool((3, 2, 1), strides=1, padding="SAME"), (4, 4, 2, 2)),
    (lm.AdaptiveAvgPool(3), (7, 5, 2)),
    (lm.AdaptiveMaxPool((2, 3)), (5, 7, 2)),
    (lm.GlobalAvgPool(), (4, 4, 3)),
    (lm.GlobalMaxPool(), (5, 3)),
    (lm.Flatten(), (2, 3, 4)),
    (lm.Reshape((3, -1)), (2, 6)),
    (lm.Subsample(5), (5, 4, 2)),
    (lm.Dropout(0.3), (4, 5)),
    (lm.BatchNorm(), (4, 4, 3)),
    (lm.BatchNorm(momentum=0.5, epsilon=1e-3), (6,)),
    (lm.LayerNorm(), (3, 8)),
    (lm.LocalResponseNorm(), (3, 4, 8)),
    (lm.LocalResponseNorm(2, alpha=0.5, beta=0.5, k=2.0), (5,)),
    (lm.Embedding(7, 3), INTEGERS),
    (lm.BagOfNGrams(7, 3, buckets=16, drop=0.2), INTEGERS),
    (lm.SimpleRNN(3), (5, 2)),
    (lm.GRU(3, return_sequences=True), (4, 2)),
    (lm.GRU(3), (4, 2)),
    (lm.LSTM(3), (5, 2)),
    (lm.LSTM(2, return_sequences=True, forget_bias=0.0), (4, 3)),
    (lm.Bidirectional(lm.GRU(2)), (4, 3)),
    (lm.Bidirectional(lm.LSTM(2, return_sequences=True), merge="mean"), (3, 2)),
    (lm.Conv(3, 2, padding="CAUSAL", dilation=2), (5, 2)),
    (lm.Step(), (6,)),
    (lm.Step(straight_through=True), (6,)),
    (lm.Sign(), (6,)),
    (lm.Sign(straight_through=True), (6,)),
    (lm.Linear(), (6,)),
    (lm.Sigmoid(), (6,)),
    (lm.Tanh(), (6,)),
    (lm.Relu(), (6,)),
    (lm.Relu6(), (6,)),
    (lm.LeakyRelu(0.2), (6,)),
    (lm.Elu(), (6,)),
    (lm.Selu(), (6,)),
    (lm.Gelu(), (6,)),
    (lm.Gelu(approximate=True), (6,)),
    (lm.Silu(), (6,)),
    (lm.Softplus(), (6,)),
    (lm.Softsign(), (6,)),
    (lm.Softmax(), (6,)),
    (lm.PRelu(), (3, 4)),
    (lm.Maxout(3, pieces=4), (5,)),
    (lm.Sequential(lm.Dense(4), lm.BatchNorm(), lm.relu, head=lm.Dense(2)), (3,)),
    (lm.Residual(lm.Conv(4, 3), lm.Conv(4, 1)), (4, 4, 2)),
    (lm.Reversible(lm.Sequential(lm.Flatten(), lm.Dense(3)), "standard"), (6, 2)),
    (lm.Parallel(lm.Dense(2), lm.Sequential(lm.Dense(3), lm.tanh)), (4,)),
    (lm.Graph(("a", "b"), {"h": (lm.Dense(3), "a"), "k": ("h", "b"), "y": (lm.Merge("add"), ("h", "k"))}, "y"), PAIR),
    (lm.Merge("multiply"), [(4,), (4,)]),
    (lm.Auxiliary(lm.Dense(2)), (4,)),
    (lm.NearestNeighbors(3, 2, 4), (5,)),
    (lm.TimeDistributed(lm.Dense(2)), (5, 4)),
    (lm.Tied(lm.Sequential(lm.Dense(3), lm.Dense(4)), {"1.kernel": "0.kernel.T"}), (4,)),
    (lm.MaskingNoise(0.3), (4, 5)),
    (lm.GaussianNoise(0.2), (4, 5)),
    (lm.ActivityL1(0.1), (4,)),
    (lm.ActivityKL(0.1, strength=2.0), (4,)),
    (lm.GaussianCode(0.5), (2, 6)),
    (lm.Autoencoder(lm.Dense(2), lm.Dense(5), tied=True, noise=lm.MaskingNoise(0.2)), (5,)),
    (lm.Autoencoder(lm.Sequential(lm.Dense(4), lm.BatchNorm()), lm.Dense(5), variational=True, beta=0.5), (5,)),
]
# Bases, and what test_foreign.py and test_pretrained.py cover.
NOT_LISTED = {"Activation", "EquinoxLayer", "FlaxLayer", "Function", "Layer", "Pretrained"}
NOT_SMOOTH = ("Step", "Sign")

each_layer = pytest.mark.parametrize(
    ("layer", "shape"), CASES, ids=[f"{index}-{type(layer).__name__}" for index, (layer, _) in enumerate(CASES)]
)


def inputs(shape: Any, batch: int = 3, dtype: Any = jnp.float32, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)

    def make(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return jnp.asarray(random.integers(0, 7, (batch, *leaf.shape)), leaf.dtype)
        return jnp.asarray(random.normal(size=(batch, *leaf.shape)), dtype)

    return jax.tree.map(make, lm.base.as_spec(shape))


def retyped(shape: Any, dtype: Any) -> Any:
    """The spec with its floats in ``dtype``."""
    return jax.tree.map(
        lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jnp.integer) else jax.ShapeDtypeStruct(leaf.shape, dtype),
        lm.base.as_spec(shape),
    )


def same(one: Any, other: Any, **tolerance: float) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), **tolerance)


def test_no_layer_is_missing() -> None:
    classes = {
        name for name in lm.__all__ if isinstance(getattr(lm, name), type) and issubclass(getattr(lm, name), lm.Layer)
    }
    assert classes - NOT_LISTED == {type(layer).__name__ for layer, _ in CASES}


@functools.cache
def _maker(index: int) -> Any:
    layer, shape = CASES[index]
    return jax.jit(lambda key: layer.init(key, shape))


def made(layer: lm.Layer, seed: int = 0) -> Any:
    """The layer's parameters and state; compiled once for all tests."""
    index = next(index for index, (other, _) in enumerate(CASES) if other is layer)
    return _maker(index)(jax.random.key(seed))


def forms(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


@each_layer
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16], ids=["float32", "bfloat16", "float16"])
def test_output_is_as_specified_and_state_keeps_its_form(layer: lm.Layer, shape: Any, dtype: Any) -> None:
    spec = retyped(shape, dtype)
    params, state = jax.eval_shape(lambda key: layer.init(key, spec), jax.random.key(0))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((params, state)))
    for batch, train in ((3, True), (3, False), (1, True), (0, False))[: 4 if dtype == jnp.float32 else 1]:
        out, new_state = jax.eval_shape(
            lambda params, state, x, key, train=train: layer.apply(params, state, x, train=train, key=key),
            *(params, state, inputs(shape, batch, dtype), jax.random.key(1)),
        )
        assert forms(out) == jax.tree.map(lambda leaf, n=batch: ((n, *leaf.shape), leaf.dtype), layer.out_spec(spec))
        assert forms(new_state) == forms(state)


@each_layer
def test_empty_and_single_batches_compute_and_evaluation_needs_no_key(layer: lm.Layer, shape: Any) -> None:
    params, state = made(layer)

    @jax.jit
    def run(state: Any, empty: Any, single: Any) -> Any:
        trained = [layer.apply(params, state, x, train=True, key=jax.random.key(1)) for x in (empty, single)]
        return trained, [layer.apply(params, state, x) for x in (empty, single)]

    trained, evaluated = run(state, inputs(shape, 0), inputs(shape, 1))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves((trained, evaluated)))
    for _, after in evaluated:
        same(state, after, rtol=0)


@each_layer
def test_survives_json_and_printing(layer: lm.Layer, shape: Any) -> None:
    again = from_json(json.loads(json.dumps(to_json(layer))), lm.Layer)
    assert again == layer
    assert hash(again) == hash(layer)
    names = {name: getattr(module, name) for module in (lm, initializers) for name in module.__all__}
    assert eval(repr(layer), names) == layer


@each_layer
def test_seed_decides_the_parameters(layer: lm.Layer, shape: Any) -> None:
    one = made(layer)
    same(one, made(layer), rtol=0)
    different = dict(jax.tree.leaves_with_path(made(layer, 1)[0]))
    for path, leaf in jax.tree.leaves_with_path(one[0]):
        if jax.tree_util.keystr(path).endswith(("kernel']", "table']")):
            assert not np.allclose(leaf, different[path])


@each_layer
def test_vmap_and_scan_agree_with_a_plain_call(layer: lm.Layer, shape: Any) -> None:
    params, state = made(layer)
    batches = [inputs(shape, seed=seed) for seed in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)

    def run(state: Any, x: Any) -> Any:
        return layer.apply(params, state, x, train=True, key=jax.random.key(2))

    @jax.jit
    def mapped_and_scanned(stacked: Any) -> Any:
        last, outs = jax.lax.scan(lambda carry, x: run(carry, x)[::-1], state, stacked)
        return jax.vmap(run, (None, 0))(state, stacked), last, outs

    jitted = jax.jit(run)
    plain = [jitted(state, x) for x in batches]
    mapped, last, outs = mapped_and_scanned(stacked)
    same(mapped, jax.tree.map(lambda *leaves: jnp.stack(leaves), *plain), rtol=1e-5, atol=1e-5)
    same(outs, jax.tree.map(lambda *leaves: jnp.stack(leaves), *(y for y, _ in plain)), rtol=1e-5, atol=1e-5)
    same(last, jitted(plain[0][1], batches[1])[1], rtol=1e-5, atol=1e-5)


@each_layer
def test_gradient_is_the_numerical_one(layer: lm.Layer, shape: Any, x64: None) -> None:
    if type(layer).__name__ in NOT_SMOOTH:
        pytest.skip("its gradient is not that of its output, see test_activations.py")
    params, state = made(layer)
    x = inputs(shape, dtype=jnp.float64)
    whole = any(jnp.issubdtype(leaf.dtype, jnp.integer) for leaf in jax.tree.leaves(x))
    point = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, 0.0 if whole else x))

    @jax.jit
    @jax.value_and_grad
    def total(point: Any) -> Any:
        params, values = point
        y, _ = layer.apply(params, state, x if whole else values, train=True, key=jax.random.key(1))
        return sum(
            jnp.sum(jnp.sin(leaf + jnp.arange(leaf.size, dtype=leaf.dtype).reshape(leaf.shape)))
            for leaf in jax.tree.leaves(y)
        )

    _, gradient = total(point)
    random = np.random.default_rng(1)
    for _ in range(3):
        way = jax.tree.map(lambda leaf: random.normal(size=np.shape(leaf)), point)
        ahead, back = (
            total(jax.tree.map(lambda leaf, step, sign=sign: leaf + sign * 1e-6 * step, point, way))[0]
            for sign in (1, -1)
        )
        along = sum(np.vdot(g, step) for g, step in zip(*map(jax.tree.leaves, (gradient, way)), strict=True))
        np.testing.assert_allclose((ahead - back) / 2e-6, along, rtol=1e-6, atol=1e-6)
