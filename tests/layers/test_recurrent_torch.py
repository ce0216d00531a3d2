"""Stacked, bidirectional, masked and going-on recurrent nets equal PyTorch's, outputs and gradients, norm-wise."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import lamina as lm
from lamina.layers import Masked, memory

KINDS = {lm.SimpleRNN: torch.nn.RNN, lm.GRU: torch.nn.GRU, lm.LSTM: torch.nn.LSTM}
each_kind = pytest.mark.parametrize("kind", list(KINDS))
FEATURES, UNITS, STEPS, BATCH = 4, 7, 19, 5
LENGTHS = [19, 3, 11, 1, 8]


def directions(both: bool) -> list[str]:
    return ["forwards", "backwards"] if both else [""]


def net_of(kind: type, *, both: bool, layers: int = 2) -> lm.Sequential:
    one = kind(UNITS, return_sequences=True)
    return lm.Sequential(*[lm.Bidirectional(one) if both else one for _ in range(layers)])


def weights(net: lm.Sequential):
    params, _ = net.init(jax.random.key(0), (STEPS, FEATURES))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return jax.tree.unflatten(
        tree, [w + 0.1 * jax.random.normal(k, w.shape, w.dtype) for w, k in zip(leaves, keys, strict=True)]
    )


def names(both: bool, layers: int):
    """PyTorch's suffix and our path of every set of weights."""
    for layer in range(layers):
        for index, direction in enumerate(directions(both)):
            yield f"l{layer}{'_reverse' if index else ''}", [str(layer), *([direction] if both else [])]


def inside(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def twin(kind, params, *, both, layers=2):
    peer = KINDS[kind](FEATURES, UNITS, num_layers=layers, batch_first=True, bidirectional=both, dtype=torch.float64)
    values = {}
    for suffix, path in names(both, layers):
        own = inside(params, path)
        values |= {
            f"weight_ih_{suffix}": own["kernel"].T,
            f"weight_hh_{suffix}": own["recurrent_kernel"].T,
            f"bias_ih_{suffix}": own["bias"],
            f"bias_hh_{suffix}": own.get("recurrent_bias", jnp.zeros_like(own["bias"])),
        }
    peer.load_state_dict({name: torch.tensor(np.asarray(value, np.float64)) for name, value in values.items()})
    return peer


def near(ours, theirs, limit=3e-6):
    theirs = np.asarray(theirs, np.float64)
    assert np.linalg.norm(np.asarray(ours, np.float64) - theirs) <= limit * max(np.linalg.norm(theirs), 1e-3)


def same_gradients(gradients, peer, *, both, layers=2):
    for suffix, path in names(both, layers):
        own = inside(gradients, path)
        near(own["kernel"], getattr(peer, f"weight_ih_{suffix}").grad.T)
        near(own["recurrent_kernel"], getattr(peer, f"weight_hh_{suffix}").grad.T)
        near(own["bias"], getattr(peer, f"bias_ih_{suffix}").grad)


def example() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((BATCH, STEPS, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("both", [False, True], ids=["forwards", "both"])
@each_kind
def test_stacked_layers(kind, both):
    net, x = net_of(kind, both=both), example()
    params = weights(net)

    def loss(params, x):
        y, _ = net.apply(params, {}, x)
        return jnp.sum(jnp.sin(y)), y

    (_, y), (d_params, d_x) = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, jnp.asarray(x))
    peer = twin(kind, params, both=both)
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    out = peer(t)[0]
    torch.sin(out).sum().backward()
    near(y, out.detach())
    near(d_x, t.grad)
    same_gradients(d_params, peer, both=both)


@pytest.mark.parametrize("both", [False, True], ids=["forwards", "both"])
@each_kind
def test_masked_sequences_are_packed_sequences(kind, both):
    net, x = net_of(kind, both=both), example()
    params = weights(net)

    def loss(params, x):
        y, _ = net.apply(params, {}, Masked(x, jnp.asarray(LENGTHS, jnp.int32)))
        return jnp.sum(jnp.sin(y.emptied().values)), y.emptied().values

    (_, y), (d_params, d_x) = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, jnp.asarray(x))
    peer = twin(kind, params, both=both)
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(t, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(peer(packed)[0], batch_first=True)
    torch.sin(out).sum().backward()
    near(y, out.detach())
    near(d_x, t.grad)
    same_gradients(d_params, peer, both=both)


@each_kind
def test_last_states_of_both_directions(kind):
    net = lm.Sequential(lm.Bidirectional(kind(UNITS)))
    params, x = weights(net), example()
    for lengths in ([STEPS] * BATCH, LENGTHS):
        y, _ = net.apply(params, {}, Masked(jnp.asarray(x), jnp.asarray(lengths, jnp.int32)))
        peer = twin(kind, params, both=True, layers=1)
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            torch.tensor(x, dtype=torch.float64), torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        last = peer(packed)[1]
        h = last[0] if isinstance(last, tuple) else last
        near(y, torch.cat([h[0], h[1]], dim=1).detach())


@each_kind
def test_the_state_goes_in_and_comes_out_with_its_gradients(kind):
    net, x = net_of(kind, both=False), example()
    params = weights(net)
    rng = np.random.default_rng(1)
    given = [rng.standard_normal((2, BATCH, UNITS)).astype(np.float32) for _ in range(2 if kind is lm.LSTM else 1)]

    def loss(params, given):
        carried = {str(layer): tuple(part[layer] for part in given) for layer in range(2)}
        carried = carried if kind is lm.LSTM else {path: pair[0] for path, pair in carried.items()}
        y, after = memory.run(net, params, {}, x, carried)
        return jnp.sum(jnp.sin(y)) + sum(jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(after)), after

    (_, after), (d_params, d_given) = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(
        params, [jnp.asarray(part) for part in given]
    )
    peer = twin(kind, params, both=False)
    states = [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in given]
    out, last = peer(torch.tensor(x, dtype=torch.float64), tuple(states) if kind is lm.LSTM else states[0])
    lasts = last if isinstance(last, tuple) else (last,)
    (torch.sin(out).sum() + sum(torch.cos(part).sum() for part in lasts)).backward()
    for part, theirs in enumerate(lasts):
        ours = [after[str(layer)][part] if kind is lm.LSTM else after[str(layer)] for layer in range(2)]
        near(np.stack(ours), theirs.detach())
    for ours, theirs in zip(d_given, states, strict=True):
        near(ours, theirs.grad)
    same_gradients(d_params, peer, both=False)
