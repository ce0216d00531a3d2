"""Layers that heed the lengths of masked sequences give each sequence what it would give alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ShapeError
from lamina.evaluation import fold, packed
from lamina.layers import Bidirectional, Masked
from lamina.layers.base import spec

LENGTHS = [9, 1, 4, 6]
SPEC = Masked(spec((9, 3)), spec((), "int32"))

WHOLE = [
    lm.SimpleRNN(5),
    lm.GRU(5),
    lm.LSTM(5),
    Bidirectional(lm.SimpleRNN(4)),
    Bidirectional(lm.GRU(4), merge="add"),
    Bidirectional(lm.LSTM(4)),
    lm.GlobalAvgPool(),
    lm.GlobalMaxPool(),
]
STEPS = [
    lm.SimpleRNN(5, return_sequences=True),
    lm.GRU(5, return_sequences=True),
    lm.LSTM(5, return_sequences=True),
    Bidirectional(lm.SimpleRNN(4, return_sequences=True)),
    Bidirectional(lm.GRU(4, return_sequences=True), merge="max"),
    Bidirectional(lm.LSTM(4, return_sequences=True)),
    lm.Conv(4, 3),
    lm.Conv(4, 4, dilation=2),
    lm.Conv(4, 3, padding="CAUSAL", dilation=2),
    lm.Conv(4, 3, strides=2, padding="CAUSAL"),
    lm.Conv(4, 3, strides=2, padding=((2, 3),)),
    lm.Conv(3, 1, groups=3, use_bias=False),
    lm.MaxPool(3, strides=1, padding="SAME"),
    lm.MaxPool(3, strides=2, padding=1),
    lm.AvgPool(3, strides=1, padding="SAME"),
    lm.AvgPool(3, strides=2, padding=1),
    lm.TimeDistributed(lm.Dense(2)),
]


def made(seed: int = 0) -> Masked:
    rng = np.random.default_rng(seed)
    return Masked(jnp.asarray(rng.normal(size=(4, 9, 3)), jnp.float32), jnp.asarray(LENGTHS, jnp.int32))


def poisoned(x: Masked) -> Masked:
    """What is past the ends made NaN, so that whatever touches it shows."""
    return x.emptied(np.nan)


def weights(layer):
    params, state = layer.init(jax.random.key(0), (9, 3))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), max(len(leaves), 1))
    moved = [w + 0.1 * jax.random.normal(k, w.shape) for w, k in zip(leaves, keys, strict=False)]
    return jax.tree.unflatten(tree, moved), state


@pytest.mark.parametrize("layer", WHOLE, ids=repr)
def test_one_output_a_sequence_is_that_of_the_sequence_alone(layer):
    params, state = weights(layer)
    y, _ = jax.jit(lambda x: layer.apply(params, state, x))(poisoned(made()))
    assert y.shape == (4, *layer.out_spec(SPEC).shape)
    for row, length in enumerate(LENGTHS):
        alone, _ = layer.apply(params, state, made().values[row : row + 1, :length])
        np.testing.assert_allclose(y[row], alone[0], atol=1e-6)


@pytest.mark.parametrize("layer", STEPS, ids=repr)
def test_outputs_of_a_sequences_own_steps_are_those_of_the_sequence_alone(layer):
    params, state = weights(layer)
    x = made() if isinstance(layer, lm.TimeDistributed) else poisoned(made())
    y, _ = lm.Sequential(layer).apply({"0": params}, {}, x)
    out = lm.Sequential(layer).out_spec(SPEC)
    assert isinstance(y, Masked)
    assert isinstance(out, Masked)
    assert y.shape == (4, *out.shape)
    for row, length in enumerate(LENGTHS):
        alone, _ = layer.apply(params, state, made().values[row : row + 1, :length])
        assert y.lengths[row] == alone.shape[1]
        np.testing.assert_allclose(y.values[row, : y.lengths[row]], alone[0], atol=1e-6)


@pytest.mark.parametrize(
    "layer", [layer for layer in WHOLE + STEPS if not isinstance(layer, lm.TimeDistributed)], ids=repr
)
def test_gradients_are_the_sums_of_those_of_the_sequences_alone(layer):
    params, state = weights(layer)

    def masked(params, values):
        y, _ = layer.apply(params, state, Masked(values, jnp.asarray(LENGTHS, jnp.int32)))
        return jnp.sum(jnp.sin(y.emptied().values if isinstance(y, Masked) else y))

    def alone(params, values):
        pieces = [values[row : row + 1, :length] for row, length in enumerate(LENGTHS)]
        return sum(jnp.sum(jnp.sin(layer.apply(params, state, piece)[0])) for piece in pieces)

    ours = jax.jit(jax.grad(masked, (0, 1)))(params, poisoned(made()).values)
    expected = jax.grad(alone, (0, 1))(params, made().values)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=3e-5)


@pytest.mark.parametrize("layer", [lm.Conv(4, 3, strides=2), lm.Conv(4, 4), lm.MaxPool(3, 2, padding="SAME")], ids=repr)
def test_what_a_sequence_gives_does_not_depend_on_how_far_it_was_filled_up(layer):
    params, state = weights(layer)
    x = Masked(made().values[2:, :6], made().lengths[2:])
    near, _ = layer.apply(params, state, x)
    for more in (1, 2, 5):
        far, _ = layer.apply(params, state, Masked(jnp.pad(x.values, ((0, 0), (0, more), (0, 0))), x.lengths))
        np.testing.assert_array_equal(far.lengths, -(-x.lengths // layer.window()[1]))
        for row, length in enumerate(far.lengths):
            np.testing.assert_allclose(far.values[row, :length], near.values[row, :length], atol=1e-6)


def test_a_sequence_shorter_than_the_window_gives_one_output():
    params, state = weights(lm.Conv(4, 3, padding="VALID"))
    y, _ = lm.Conv(4, 3, padding="VALID").apply(params, state, made())
    np.testing.assert_array_equal(y.lengths, [7, 1, 2, 4])
    alone, _ = lm.Conv(4, 3, padding="VALID").apply(
        params, state, jnp.pad(made().values[1:2, :1], ((0, 0), (0, 2), (0, 0)))
    )
    np.testing.assert_allclose(y.values[1, :1], alone[0], atol=1e-6)


def test_a_convolution_folded_for_evaluation_heeds_the_lengths():
    net = lm.Sequential(
        lm.Dense(3), lm.Conv(8, 3, strides=2), lm.relu, lm.Conv(8, 3, padding="CAUSAL"), lm.relu, lm.GlobalMaxPool()
    )
    params, state = net.init(jax.random.key(0), SPEC)
    expected, _ = net.apply(params, state, made())
    folded, own, own_state = fold(net, params, state)
    y, _ = jax.jit(lambda own, x: folded.apply(own, own_state, x))(packed(folded, own, SPEC, 4), made())
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_sequences_of_pictures_are_for_time_distributed_layers():
    films = Masked(spec((9, 8, 8, 1)), spec((), "int32"))
    with pytest.raises(ShapeError, match=r"Conv would slide over the steps .*\(steps, 8, 8, 1\)"):
        lm.Sequential(lm.Conv(4, 3)).init(jax.random.key(0), films)
    with pytest.raises(ShapeError, match="GlobalAvgPool would slide"):
        lm.Sequential(lm.GlobalAvgPool()).init(jax.random.key(0), films)
    net = lm.Sequential(
        lm.TimeDistributed(lm.Sequential(lm.Conv(4, 3), lm.relu, lm.GlobalAvgPool())), lm.LSTM(5), lm.Dense(2)
    )
    params, state = net.init(jax.random.key(0), films)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 8, 8, 1)), jnp.float32)
    y, _ = net.apply(params, state, Masked(x, jnp.asarray([9, 4], jnp.int32)))
    alone, _ = net.apply(params, state, x[1:, :4])
    np.testing.assert_allclose(y[1], alone[0], atol=1e-6)


def test_pooling_that_cannot_tell_a_sequences_end_refuses():
    with pytest.raises(ShapeError, match="ceil_mode takes no sequences"):
        lm.MaxPool(2, ceil_mode=True).apply({}, {}, made())
    with pytest.raises(ShapeError, match="count_include_pad takes no sequences"):
        lm.AvgPool(2, count_include_pad=True).apply({}, {}, made())
