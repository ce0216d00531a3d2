"""Activations computed again: the same numbers, with less memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.kernels import native
from lamina.layers.base import Context, Tape


def normed(filters: int, window: int = 3) -> lm.Sequential:
    return lm.Sequential(lm.Conv(filters, window, use_bias=False), lm.BatchNorm(), lm.relu)


def residual(filters: int) -> lm.Sequential:
    body = lm.Sequential(*(layer for _, layer in normed(filters).parts()), lm.Conv(filters, 3), lm.BatchNorm())
    return lm.Sequential(lm.Residual(body), lm.relu)


NETWORKS = {
    "residual": lm.Sequential(
        *(lm.Conv(8, 3, use_bias=False), lm.BatchNorm(), lm.relu6, lm.MaxPool(2)),
        lm.Sequential(residual(8), residual(8)),
        *(
            lm.Residual(lm.Residual(lm.Sequential(lm.Conv(8, 3), lm.BatchNorm()))),
            lm.relu,
            lm.GlobalAvgPool(),
            lm.Dense(5),
        ),
    ),
    "a long chain with dropout": lm.Sequential(
        *(lm.Conv(6, 3), lm.relu, lm.Conv(6, 3), lm.relu, lm.MaxPool(2), lm.Dropout(0.3)),
        lm.Flatten(),
        *(layer for _ in range(8) for layer in (lm.Dense(20), lm.relu, lm.Dropout(0.1))),
        lm.Dense(5),
    ),
    "branches and auxiliary heads": lm.Sequential(
        normed(6),
        lm.Auxiliary(lm.Sequential(lm.GlobalAvgPool(), lm.Dropout(0.5), lm.Dense(5))),
        lm.Parallel(normed(4, 1), lm.Sequential(normed(4), normed(3))),
        lm.Sequential(lm.Auxiliary(lm.Sequential(lm.Flatten(), lm.Dense(5)), weight=0.5), normed(4)),
        *(lm.AvgPool(2), lm.Flatten(), lm.Dense(5)),
    ),
}


def objective(network: lm.Layer, remat: bool, params: Any, state: Any, x: Any, y: Any, tape: Tape | None = None) -> Any:
    tape = tape or Tape()
    ctx = Context(train=True, root_key=jax.random.key(3), tape=tape, remat=remat)
    logits, state = network.apply(params, state, x, ctx)
    loss = lm.losses.SoftmaxCrossEntropy()
    return loss(logits, y) + sum(weight * loss(head, y) for _, _, (weight, head) in tape.emitted), state


def gradients(network: lm.Layer, remat: bool, size: int = 12) -> tuple[Any, str]:
    """Loss, new state and gradients, and the program that computed them."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, size, size, 3)).astype(np.float32), rng.integers(0, 5, 6)
    params, state = network.init(jax.random.key(0), x.shape[1:])
    grad = jax.value_and_grad(lambda *args: objective(network, remat, *args), has_aux=True)
    program = jax.jit(grad)
    return program(params, state, x, y), str(jax.make_jaxpr(grad)(params, state, x, y))


def check(network: lm.Layer, size: int = 12) -> None:
    (kept, plain), (again, program) = gradients(network, False, size), gradients(network, True, size)
    assert jax.tree.structure(kept) == jax.tree.structure(again)
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        wrong = np.linalg.norm(np.asarray(one - other))
        assert wrong <= 1e-5 * np.linalg.norm(np.asarray(one)) + 1e-6  # a bias before a norm has none
    assert program.count("cond[") > plain.count("cond[")


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_states_and_gradients_are_the_same(name: str) -> None:
    check(NETWORKS[name])


def test_where_chains_are_cut() -> None:
    assert list(NETWORKS["residual"]._blocks()) == [(0, 4, True), (4, 5, False), (5, 7, True), (7, 9, True)]
    ends = [beyond for _, beyond, _ in NETWORKS["a long chain with dropout"]._blocks()]
    assert ends == [5, 15, 25, 32]
    ends = [beyond for _, beyond, _ in lm.zoo.build("vgg16", classes=10).layers[0][1]._blocks()]
    assert ends == [5, 10, 17, 24, 31]  # after each pooling


def test_frozen_statistics_stay_frozen() -> None:
    network = NETWORKS["residual"]
    x = np.random.default_rng(0).standard_normal((4, 12, 12, 3)).astype(np.float32)
    params, state = network.init(jax.random.key(0), x.shape[1:])

    def loss(params: Any, remat: bool) -> Any:
        ctx = Context(train=True, remat=remat, frozen_statistics=True)
        y, after = network.apply(params, state, x, ctx)
        return jnp.sum(jnp.square(y)), after

    program = jax.make_jaxpr(jax.grad(loss, has_aux=True), static_argnums=1)
    assert str(program(params, True)).count("cond[") > str(program(params, False)).count("cond[")
    (kept, _), (again, after) = (jax.grad(loss, has_aux=True)(params, remat) for remat in (False, True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), kept, again)
    jax.tree.map(np.testing.assert_array_equal, after, state)


def test_who_looks_at_a_layer_sees_it() -> None:
    network = NETWORKS["residual"]
    x = jnp.ones((2, 12, 12, 3))
    params, state = network.init(jax.random.key(0), x.shape[1:])
    tape = Tape(tap_all=True)
    objective(network, True, params, state, x, jnp.zeros(2, jnp.int32), tape)
    assert {"0", "1", "4.0.0.body.1", "4.0.1", "6"} <= set(tape.taps)


@pytest.mark.skipif(native.native().library is None, reason="XLA's own convolutions take memory of their own")
def test_a_deep_network_takes_less_memory() -> None:
    network = lm.Sequential(
        lm.Conv(16, 3), lm.Sequential(*(residual(16) for _ in range(8))), lm.GlobalAvgPool(), lm.Dense(5)
    )
    x, y = (jax.ShapeDtypeStruct(shape, kind) for shape, kind in (((32, 32, 32, 3), jnp.float32), ((32,), jnp.int32)))
    params, state = jax.eval_shape(lambda: network.init(jax.random.key(0), x.shape[1:]))
    taken = {}
    for remat in (False, True):
        grad = jax.jit(jax.grad(lambda *args, remat=remat: objective(network, remat, *args), has_aux=True))
        taken[remat] = grad.lower(params, state, x, y).compile().memory_analysis().temp_size_in_bytes
    activation = 32 * 32 * 32 * 16 * 4
    assert taken[False] > 8 * 4 * activation  # a block has two convolutions and two norms
    assert taken[True] < taken[False] / 2
