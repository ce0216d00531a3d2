"""Recurrent layers against PyTorch, and the words of what they refuse."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.test_util import check_grads

import lamina as lm
from lamina.errors import ConfigError, ShapeError
from lamina.layers import memory
from lamina.layers.base import fold
from lamina.layers.dropout import dropout_mask

LAYERS = [lm.SimpleRNN, lm.GRU, lm.LSTM]
PEERS = {lm.SimpleRNN: torch.nn.RNN, lm.GRU: torch.nn.GRU, lm.LSTM: torch.nn.LSTM}


def twin(layer, params, features, dtype):
    """PyTorch's layer with the same weights. It has two biases everywhere; where ours has one, the other is 0."""
    peer = PEERS[type(layer)](features, layer.units, batch_first=True, dtype=dtype)
    recurrent_bias = params.get("recurrent_bias", jnp.zeros_like(params["bias"]))
    values = {
        "weight_ih_l0": params["kernel"].T,
        "weight_hh_l0": params["recurrent_kernel"].T,
        "bias_ih_l0": params["bias"],
        "bias_hh_l0": recurrent_bias,
    }
    peer.load_state_dict({name: torch.tensor(np.asarray(value), dtype=dtype) for name, value in values.items()})
    return peer


def weights(layer, shape, seed=0):
    params, _ = layer.init(jax.random.key(seed), shape)
    leaves, tree = jax.tree.flatten(params)  # biases other than their initial zeros
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    return jax.tree.unflatten(
        tree, [w + 0.1 * jax.random.normal(k, w.shape, w.dtype) for w, k in zip(leaves, keys, strict=True)]
    )


def norm_error(ours, theirs):
    theirs = np.asarray(theirs, np.float64)
    return np.linalg.norm(np.asarray(ours, np.float64) - theirs) / np.linalg.norm(theirs)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_and_gradients_equal_pytorch(kind, sequences):
    layer = kind(17, return_sequences=sequences)
    x = np.random.default_rng(0).standard_normal((5, 23, 6)).astype(np.float32)
    params = weights(layer, (23, 6))

    def loss(params, x):
        y, _ = layer.apply(params, {}, x)
        return jnp.sum(jnp.sin(y)), y

    (_, y), (d_params, d_x) = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, x)
    peer = twin(layer, params, 6, torch.float64)
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    out = peer(t)[0] if sequences else peer(t)[0][:, -1]
    torch.sin(out).sum().backward()
    assert norm_error(y, out.detach()) < 1e-6
    assert norm_error(d_x, t.grad) < 2e-6
    assert norm_error(d_params["kernel"], peer.weight_ih_l0.grad.T) < 2e-6
    assert norm_error(d_params["recurrent_kernel"], peer.weight_hh_l0.grad.T) < 2e-6
    assert norm_error(d_params["bias"], peer.bias_ih_l0.grad) < 2e-6
    if "recurrent_bias" in d_params:
        assert norm_error(d_params["recurrent_bias"], peer.bias_hh_l0.grad) < 2e-6


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_are_those_of_finite_differences(kind, x64):
    layer = kind(3)
    params = jax.tree.map(lambda w: w.astype(jnp.float64), weights(layer, (4, 2)))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 2)))
    check_grads(lambda p, x: layer.apply(p, {}, x)[0], (params, x), order=2, modes=("rev",), atol=1e-5)


def test_half_precision_stays_near_float32():
    layer = lm.LSTM(16, return_sequences=True)
    params = weights(layer, (20, 4))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 20, 4)), jnp.float32)
    exact, _ = layer.apply(params, {}, x)
    half, _ = layer.apply(params, {}, x.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    assert norm_error(half.astype(jnp.float32), exact) < 0.02


def test_an_lstm_remembers_from_the_start():
    params, _ = lm.LSTM(4).init(jax.random.key(0), (3, 2))
    np.testing.assert_array_equal(params["bias"], [0] * 4 + [1] * 4 + [0] * 8)


@pytest.mark.parametrize("kind", [lm.LSTM, lm.GRU])
def test_with_a_span_memories_begin_with_all_lengths_up_to_it(kind):
    units, span = 2000, 50
    params, _ = kind(units, span=span).init(jax.random.key(0), (3, 2))
    gates = np.split(np.asarray(params["bias"]), len(params["bias"]) // units)
    lengths = np.exp(gates[1])
    assert lengths.min() >= 1
    assert lengths.max() <= span - 1
    np.testing.assert_allclose(np.quantile(lengths, [0.25, 0.5, 0.75]), [13, 25, 37], atol=2)
    if kind is lm.LSTM:
        np.testing.assert_array_equal(gates[0], -gates[1])
    assert not any(gate.any() for index, gate in enumerate(gates) if index != 1 and (kind is lm.GRU or index))
    with pytest.raises(ConfigError, match="span"):
        kind(units, span=1)


def test_each_gate_has_an_orthogonal_matrix_of_its_own():
    params, _ = lm.GRU(5).init(jax.random.key(0), (3, 2))
    for gate in np.split(np.asarray(params["recurrent_kernel"]), 3, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(5), atol=1e-5)


@pytest.mark.slow
def test_an_lstm_learns_what_lies_far_back():
    # The class is the sign of the first number; noise follows it for 40 steps.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1200, 40, 1)).astype(np.float32) * 0.3
    y = rng.integers(0, 2, 1200)
    x[:, 0, 0] = np.where(y, 1.0, -1.0)
    run = lm.fit(
        lm.Sequential(lm.LSTM(16), lm.Dense(2)), (x, y), epochs=15, optimizer=lm.optim.Adam(0.01), progress=False
    )
    assert run.validation["accuracy"].value > 0.95


def test_summary_counts_the_products_of_all_steps():
    rows = {row.path: row for row in lm.summary(lm.Sequential(rnn=lm.LSTM(8), head=lm.Dense(2)), (10, 3)).rows}
    assert rows["rnn"].parameters == 4 * 8 * (3 + 8 + 1)
    assert rows["rnn"].multiply_adds == 10 * 4 * 8 * (3 + 8)
    assert rows["rnn"].output == "(8,)"


@pytest.mark.parametrize("kind", LAYERS)
def test_refusals_name_the_layer_and_the_shape(kind):
    with pytest.raises(ConfigError, match="units"):
        kind(0)
    with pytest.raises(ShapeError, match=rf"{kind.__name__} expects sequences .* got \(4,\)"):
        kind(3).init(jax.random.key(0), (4,))
    with pytest.raises(ShapeError, match="at least one time step"):
        kind(3).init(jax.random.key(0), (0, 4))
    with pytest.raises(ShapeError, match="float"):
        kind(3).init(jax.random.key(0), jax.ShapeDtypeStruct((5, 4), jnp.int32))
    params, _ = kind(3).init(jax.random.key(0), (5, 4))
    with pytest.raises(ShapeError, match=r"was made for sequences \(batch, steps, 4\)"):
        kind(3).apply(params, {}, jnp.ones((2, 5, 3)))


@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_drops_the_same_inputs_and_states_at_every_step(kind):
    layer = kind(6, return_sequences=True, dropout=0.5, recurrent_dropout=0.5)
    plain = kind(6, return_sequences=True)
    params = weights(layer, (9, 4))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 9, 4)), jnp.float32)
    np.testing.assert_array_equal(layer.apply(params, {}, x)[0], plain.apply(params, {}, x)[0])
    key = jax.random.key(3)
    y, _ = layer.apply(params, {}, x, train=True, key=key)
    own = fold(key, "")
    inputs = dropout_mask(fold(own, "inputs"), 0.5, (3, 1, 4), jnp.float32)
    states = dropout_mask(fold(own, "states"), 0.5, (3, 6), jnp.float32)
    assert set(np.unique(states)) == {0.0, 2.0}
    # Each sequence by itself: its masks are weights that some rows are missing from.
    for row in range(3):
        kept = params | {
            "kernel": params["kernel"] * inputs[row, 0][:, None],
            "recurrent_kernel": params["recurrent_kernel"] * states[row][:, None],
        }
        alone, _ = plain.apply(kept, {}, x[row : row + 1])
        np.testing.assert_allclose(y[row], alone[0], atol=1e-5)


def test_dropout_needs_a_fraction_and_a_key():
    with pytest.raises(ConfigError, match=r"GRU's recurrent_dropout is the fraction dropped.*recurrent_dropout=1"):
        lm.GRU(3, recurrent_dropout=1.0)
    params, _ = lm.LSTM(3, dropout=0.2).init(jax.random.key(0), (4, 2))
    with pytest.raises(ConfigError, match="needs random numbers"):
        lm.LSTM(3, dropout=0.2).apply(params, {}, jnp.ones((1, 4, 2)), train=True)


def test_bidirectional_takes_recurrent_layers_alone_and_no_memory():
    with pytest.raises(ConfigError, match="takes a recurrent layer"):
        lm.Bidirectional(lm.Dense(3))
    with pytest.raises(ConfigError, match="not 'subtract'"):
        lm.Bidirectional(lm.GRU(3), merge="subtract")
    net = lm.Sequential(lm.Dense(2), rnn=lm.Bidirectional(lm.GRU(3)))
    params, state = net.init(jax.random.key(0), (4, 2))
    with pytest.raises(ConfigError, match="'rnn' reads sequences from their ends too"):
        memory.run(net, params, state, jnp.ones((1, 4, 2)))
