"""Folding for evaluation: the same function, with fewer layers."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.evaluation import Predictor, fold, packed
from lamina.kernels import conv, native
from lamina.kernels.conv_with_bias import Packed, conv_with_bias


def norm_error(ours, theirs):
    return np.linalg.norm(np.asarray(ours, np.float64) - theirs) / np.linalg.norm(theirs)


def made(network, shape):
    """Weights and running statistics that are not those of the start."""
    params, state = network.init(jax.random.key(0), shape)
    leaves, tree = jax.tree.flatten((params, state))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [leaf + 0.3 * jax.random.uniform(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, moved)


def block(filters, strides=1):
    return lm.Sequential(
        *(lm.Conv(filters, 3, strides=strides, use_bias=False), lm.BatchNorm(), lm.relu),
        *(lm.Conv(filters, 3), lm.BatchNorm(epsilon=1e-3)),
    )


NETWORKS = {
    "residual": lm.Sequential(
        *(lm.Conv(8, 5, strides=2, use_bias=False), lm.BatchNorm(), lm.relu, lm.MaxPool(2)),
        lm.Residual(block(8)),
        lm.relu,
        lm.Residual(block(12, 2), lm.Sequential(lm.Conv(12, 1, strides=2, use_bias=False), lm.BatchNorm())),
        *(lm.relu, lm.GlobalAvgPool(), lm.Dense(6, use_bias=False), lm.BatchNorm(), lm.Dropout(0.5), lm.Dense(4)),
    ),
    "branches": lm.Sequential(
        stem=lm.Conv(6, 3),
        act=lm.relu6,
        branches=lm.Parallel(
            a=lm.Sequential(lm.Conv(4, 1), lm.BatchNorm(), lm.tanh),
            b=lm.Sequential(lm.BatchNorm(), lm.relu, lm.Conv(3, 3, groups=3), lm.relu6, lm.relu),
        ),
        depthwise=lm.Conv(7, 3, groups=7, use_bias=False),
        head=lm.Flatten(),
    ),
    "nothing to fold": lm.Sequential(lm.Flatten(), lm.Dense(5), lm.relu, lm.LayerNorm()),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_folded_network_is_the_same_function(name, dtype):
    network = NETWORKS[name]
    params, state = made(network, (16, 18, 3))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 16, 18, 3)), jnp.float32)
    want, _ = network.apply(params, state, x)
    folded, own_params, own_state = fold(network, params, state)
    got, _ = jax.jit(folded.apply)(own_params, own_state, x.astype(dtype))
    assert got.dtype == dtype
    assert norm_error(got.astype(jnp.float32), want) < (2e-6 if dtype == jnp.float32 else 3e-2)


@pytest.mark.skipif(native.native().library is None, reason=native.native().reason)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_packed_weights_give_the_same_bits(dtype):
    network = lm.Sequential(block(64), lm.relu, lm.Residual(block(64)), lm.Parallel(lm.Conv(20, 1), lm.Conv(30, 5)))
    params, state = made(network, (19, 18, 3))
    folded, params, state = fold(network, params, state)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((5, 19, 18, 3)), dtype)
    ready = packed(folded, params, jax.ShapeDtypeStruct(x.shape[1:], dtype), len(x))
    kinds = [type(leaf) for leaf in jax.tree.leaves(ready, is_leaf=lambda leaf: isinstance(leaf, Packed))]
    facts = Path("/proc/cpuinfo")  # oneDNN has no convolution in bfloat16 for a CPU without AVX-512
    if dtype == jnp.float32 or (facts.exists() and "avx512f" in facts.read_text()):
        assert kinds.count(Packed) >= 3
    apply = jax.jit(folded.apply)
    np.testing.assert_array_equal(apply(ready, state, x)[0], apply(params, state, x)[0])


def test_a_predictor_keeps_the_weights_of_two_shapes():
    network = lm.Sequential(block(8), lm.Flatten(), lm.Dense(3))
    params, state = made(network, (6, 7, 3))
    predictor = Predictor(network, params, state, lambda x: x / 255)
    x = np.random.default_rng(0).uniform(0, 255, (9, 6, 7, 3)).astype(np.float32)
    for size in (1, 9, 4, 1):
        want, _ = network.apply(params, state, x[:size] / 255)
        assert norm_error(predictor(x[:size]), want) < 2e-6
    assert predictor.programs() == 3
    assert len(predictor._packed) == 2


@pytest.mark.parametrize("batch", [1, 7, 10])
def test_a_large_batch_is_computed_in_slices(batch, monkeypatch):
    monkeypatch.setattr("lamina.evaluation._LARGEST", 3 * 6 * 7 * 8 * 4)  # three examples
    network = lm.Sequential(block(8), lm.Flatten(), lm.Dense(3))
    params, state = made(network, (6, 7, 3))
    predictor = Predictor(network, params, state, lambda x: x["picture"] / 255)
    x = np.random.default_rng(0).uniform(0, 255, (batch, 6, 7, 3)).astype(np.float32)
    want, _ = network.apply(params, state, x / 255)
    assert norm_error(predictor({"picture": x}), want) < 2e-6
    ((size, _),) = predictor._packed.values()
    assert size == {1: 1, 7: 3, 10: 3}[batch]


def test_norms_and_activations_are_gone_where_they_can_be():
    network = NETWORKS["residual"]
    folded, params, _ = fold(network, *made(network, (16, 18, 3)))
    assert [name for name, _ in folded.layers] == ["0", "3", "4", "5", "6", "7", "8", "9", "11", "12"]
    assert set(params["0"]) == {"kernel", "bias"}
    kinds = [type(part).__name__ for _, part in folded.parts()]
    assert "BatchNorm" not in kinds
    assert kinds.count("Relu") == 2  # after the sums, which are no convolutions


@pytest.mark.parametrize("bound", [None, np.inf, 6.0])
@pytest.mark.parametrize("batch", [1, 4])
def test_bias_and_relu_in_the_convolution(bound, batch):
    rng = np.random.default_rng(0)
    x, w, b = (jnp.asarray(rng.standard_normal(s), jnp.float32) for s in ((batch, 31, 29, 8), (3, 3, 8, 16), (16,)))
    got = jax.jit(lambda *args: conv_with_bias(*args, bound=bound, strides=2, padding=((1, 0), (2, 1))))(x, w, b)
    want = conv(x, w, 2, ((1, 0), (2, 1))) + b
    assert norm_error(got, np.asarray(want if bound is None else jnp.minimum(jnp.maximum(want, 0), bound))) < 1e-6


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite0"])
def test_no_relu6_of_the_zoo_takes_a_pass_of_its_own(name):
    network = lm.zoo.build(name, classes=10)
    params, state = jax.eval_shape(lambda key: network.init(key, (64, 64, 3)), jax.random.key(0))
    folded = []

    def fold_it(params, state):
        folded.append(fold(network, params, state)[0])
        return 0

    jax.eval_shape(fold_it, params, state)
    kinds = [type(layer) for layer in _leaves(folded[0])]
    assert lm.Relu6 not in kinds
    assert lm.BatchNorm not in kinds


def _leaves(layer):
    parts = list(layer.parts())
    return [leaf for _, part in parts for leaf in _leaves(part)] if parts else [layer]


def test_a_cpu_program_stores_them_together_and_others_do_not():
    if native.native().library is None:
        pytest.skip(native.native().reason)
    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((2, 31, 29, 8), (3, 3, 8, 16), (16,))]
    program = jax.jit(lambda *args: conv_with_bias(*args, bound=6.0))
    assert "lamina_conv_with_bias" in program.lower(*shapes).as_text()
    for platform in ("cuda", "tpu"):
        assert "lamina_conv" not in jax.export.export(program, platforms=[platform])(*shapes).mlir_module()
