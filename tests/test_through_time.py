"""The gradient with respect to recurrent layers' states, against finite differences and what theory says of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ConfigError
from lamina.layers import Masked, memory

KINDS = [lm.SimpleRNN, lm.GRU, lm.LSTM]
LOSS = lm.losses.SquaredError()


def made(kind: type, steps: int = 6):
    net = lm.Sequential(below=kind(4, return_sequences=True), above=kind(3), head=lm.Dense(2))
    params, state = net.init(jax.random.key(0), (steps, 2))
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(3, steps, 2)), jnp.float32)
    return net, params, state, x, jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_gradient_with_respect_to_the_memory_between_two_steps(kind: type) -> None:
    net, params, state, x, y = made(kind)
    found = lm.state_gradients(net, params, state, x, y, LOSS)
    assert list(found) == ["below", "above"]
    for step in (1, 4, 5):
        _, carried = memory.run(net, params, state, x[:, :step])

        def after(carried, step=step):
            outputs, _ = memory.run(net, params, state, x[:, step:], carried)
            return LOSS(outputs, y)

        gradient = jax.grad(after)(carried)["above"]
        parts = gradient if isinstance(gradient, tuple) else (gradient,)
        for ours, expected in zip((found["above"].h, found["above"].c), parts, strict=False):
            np.testing.assert_allclose(ours[step - 1], np.linalg.norm(expected), rtol=1e-4)
        whole = np.linalg.norm([np.linalg.norm(part) for part in parts])
        np.testing.assert_allclose(found["above"].whole[step - 1], whole, rtol=1e-4)


def test_the_state_of_a_layer_below_also_counts_what_the_layer_above_makes_of_it() -> None:
    net, params, state, x, y = made(lm.SimpleRNN)
    found = lm.state_gradients(net, params, state, x, y, LOSS)["below"].h
    # By hand: the loss as a function of the states of the layer below after the third step.
    below, rest = net.part("below"), lm.Sequential(*[layer for _, layer in net.layers[1:]])
    others = {"0": params["above"], "1": params["head"]}

    def objective(added):
        first, carried = memory.run(below, params["below"], {}, x[:, :3])
        first = first.at[:, 2].add(added)
        second, _ = memory.run(below, params["below"], {}, x[:, 3:], {"": carried[""] + added})
        return LOSS(rest.apply(others, {}, jnp.concatenate([first, second], axis=1))[0], y)

    np.testing.assert_allclose(found[2], np.linalg.norm(jax.grad(objective)(jnp.zeros((3, 4)))), rtol=1e-4)


def test_it_vanishes_in_a_plain_network_and_not_in_an_lstm() -> None:
    norms = {}
    for kind in (lm.SimpleRNN, lm.LSTM):
        init = {"forget_bias": 4.0} if kind is lm.LSTM else {}
        net = lm.Sequential(rnn=kind(16, recurrent_init=lm.initializers.GlorotUniform(), **init), head=lm.Dense(1))
        params, state = net.init(jax.random.key(0), (100, 2))
        x = np.random.default_rng(0).normal(size=(8, 100, 2)).astype(np.float32)
        norms[kind] = lm.state_gradients(net, params, state, x, np.ones((8, 1), np.float32), LOSS)["rnn"].whole
    assert norms[lm.SimpleRNN][0] < 1e-6 * norms[lm.SimpleRNN][-1]
    assert norms[lm.LSTM][0] > 1e-2 * norms[lm.LSTM][-1]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_past_a_sequences_end_count_nothing(kind: type) -> None:
    net = lm.Sequential(rnn=kind(3), head=lm.Dense(2))
    _, _, _, x, y = made(kind)
    params, state = net.init(jax.random.key(0), (6, 2))
    found = lm.state_gradients(net, params, state, Masked(x, jnp.full(3, 4, jnp.int32)), y, LOSS)["rnn"].whole
    alone = lm.state_gradients(net, params, state, x[:, :4], y, LOSS)["rnn"].whole
    np.testing.assert_allclose(found, [*alone, 0, 0], rtol=1e-4)


def test_a_network_without_recurrent_layers_is_refused() -> None:
    net = lm.Sequential(lm.Flatten(), lm.Dense(2))
    params, state = net.init(jax.random.key(0), (3, 2))
    with pytest.raises(ConfigError, match="no recurrent layer"):
        lm.state_gradients(net, params, state, np.ones((1, 3, 2)), np.ones((1, 2)), LOSS)
