"""What recurrent layers carry from one piece of a sequence to the next."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ConfigError, ShapeError
from lamina.layers import memory
from lamina.layers.base import Context
from lamina.layers.masked import Masked

LAYERS = [lm.SimpleRNN, lm.GRU, lm.LSTM]


def stacked(kind):
    net = lm.Sequential(
        lm.Dense(5), below=kind(6, return_sequences=True), above=kind(4, return_sequences=True), head=lm.Dense(2)
    )
    params, state = net.init(jax.random.key(0), (12, 3))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 12, 3)), jnp.float32)
    return net, params, state, x


@pytest.mark.parametrize("kind", LAYERS)
def test_pieces_give_what_the_whole_sequence_gives(kind):
    net, params, state, x = stacked(kind)
    whole, _ = net.apply(params, state, x)
    carried, ys = None, []
    for piece in (x[:, :5], x[:, 5:6], x[:, 6:]):
        y, carried = memory.run(net, params, state, piece, carried)
        ys.append(y)
    np.testing.assert_allclose(jnp.concatenate(ys, axis=1), whole, atol=1e-6)
    assert sorted(carried) == ["above", "below"]


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_flow_through_the_memory(kind):
    net, params, state, x = stacked(kind)

    def whole(params, x):
        return jnp.sum(jnp.sin(net.apply(params, state, x)[0]))

    def pieces(params, x):
        first, carried = memory.run(net, params, state, x[:, :7])
        second, _ = memory.run(net, params, state, x[:, 7:], carried)
        return jnp.sum(jnp.sin(first)) + jnp.sum(jnp.sin(second))

    for ours, expected in zip(
        jax.tree.leaves(jax.jit(jax.grad(pieces, (0, 1)))(params, x)),
        jax.tree.leaves(jax.grad(whole, (0, 1))(params, x)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=2e-5)


def test_a_memory_is_a_carry_of_a_compiled_scan():
    net, params, state, x = stacked(lm.LSTM)
    pieces = jnp.swapaxes(x.reshape(3, 4, 3, 3), 0, 1)

    @jax.jit
    def scanned(pieces):
        def step(carried, piece):
            y, carried = memory.run(net, params, state, piece, carried)
            return carried, y

        return jax.lax.scan(step, memory.start(net, params, state, pieces[0]), pieces)

    _, ys = scanned(pieces)
    whole, _ = net.apply(params, state, x)
    np.testing.assert_allclose(jnp.swapaxes(ys, 0, 1).reshape(whole.shape), whole, atol=1e-6)


def test_a_memory_survives_where_activations_are_computed_again():
    net, params, state, x = stacked(lm.LSTM)
    _, carried = memory.run(net, params, state, x)

    def loss(params, carried, again):
        y, _, after = memory.advance(net, params, state, x, carried, ctx=Context(train=True, remat=again))
        return jnp.sum(jnp.sin(y)) + jnp.sum(jnp.sin(after["above"][1])), after

    (plain, kept), gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, carried, False)
    (value, after), again = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, carried, True)
    np.testing.assert_allclose(value, plain, rtol=1e-6)
    for ours, expected in zip(jax.tree.leaves((after, again)), jax.tree.leaves((kept, gradient)), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_steps_past_a_sequences_end_do_not_change_its_carry(kind):
    net, params, state, x = stacked(kind)
    lengths = jnp.asarray([12, 1, 7], jnp.int32)
    _, carried = memory.run(net, params, state, Masked(x, lengths))
    for row, length in enumerate([12, 1, 7]):
        _, alone = memory.run(net, params, state, x[row : row + 1, :length])
        for ours, expected in zip(jax.tree.leaves(carried), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(ours[row], expected[0], atol=1e-6)


def test_the_cell_of_a_half_precision_lstm_is_carried_in_float32():
    net, params, state, x = stacked(lm.LSTM)
    y, carried = memory.run(net, params, state, x.astype(jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert [leaf.dtype for leaf in carried["above"]] == [jnp.bfloat16, jnp.float32]


def test_layers_without_a_state_of_their_own_remember_nothing():
    net = lm.Sequential(lm.Dense(4), lm.relu)
    params, state = net.init(jax.random.key(0), (3,))
    assert memory.start(net, params, state, jnp.ones((2, 3))) == {}
    _, carried = memory.run(net, params, state, jnp.ones((2, 3)))
    assert carried == {}


def test_a_recurrent_layer_on_every_step_remembers_nothing():
    net = lm.TimeDistributed(lm.GRU(4))
    params, state = net.init(jax.random.key(0), (5, 6, 3))
    _, carried = memory.run(net, params, state, jnp.ones((2, 5, 6, 3)))
    assert carried == {}


def test_a_layer_called_twice_has_two_carries():
    shared = lm.Graph(
        inputs=("left", "right"),
        nodes={"a": (lm.GRU(4), "left"), "b": ("a", "right"), "both": (lm.Merge(), ("a", "b"))},
        outputs="both",
    )
    x = {"left": jnp.ones((2, 5, 3)), "right": jnp.zeros((2, 5, 3))}
    params, state = shared.init(jax.random.key(0), {"left": (5, 3), "right": (5, 3)})
    _, carried = memory.run(shared, params, state, x)
    assert sorted(carried) == ["a", "b"]


def test_a_memory_of_other_sequences_or_another_network_is_refused():
    net, params, state, x = stacked(lm.LSTM)
    _, carried = memory.run(net, params, state, x)
    with pytest.raises(ShapeError, match=r"below .*memory holds .*\(3, 6\).*carries .*\(2, 6\)"):
        memory.run(net, params, state, x[:2], carried)
    with pytest.raises(ConfigError, match="'belov', which is no recurrent layer"):
        memory.run(net, params, state, x, {"belov": carried["below"]})
