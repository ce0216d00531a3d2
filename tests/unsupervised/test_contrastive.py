"""The learning rule: against autodiff of the free energies, and against the exact gradient of the log-likelihood."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lamina.unsupervised import RBM, free_energy, log_likelihood
from lamina.unsupervised.contrastive import Carry, chunk, gibbs, gradients, start, step
from lamina.unsupervised.training import first_params
from lamina.unsupervised.units import units

KINDS = [
    ("bernoulli", "bernoulli"),
    ("gaussian", "bernoulli"),
    ("bernoulli", "gaussian"),
    ("bernoulli", "relu"),
    ("gaussian", "relu"),
]


def params(visible: int, hidden: int, seed: int = 0, scale: float = 0.5) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    sizes = {"kernel": (visible, hidden), "visible_bias": (visible,), "hidden_bias": (hidden,)}
    return {name: jnp.asarray(scale * random.normal(size=size), jnp.float32) for name, size in sizes.items()}


def batch(rows: int, visible: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(0, 2, (rows, visible)), jnp.float32)


@pytest.mark.parametrize(("visible", "hidden_units"), KINDS)
@pytest.mark.parametrize("persistent", [False, True])
def test_the_gradient_is_that_of_the_free_energies(visible: Any, hidden_units: Any, persistent: bool) -> None:
    """d/dθ of the mean free energy of what the chains came to, less that of the data."""
    rbm = RBM(4, visible=visible, hidden_units=hidden_units, persistent=persistent)
    weights, x, key = params(6, 4), batch(10, 6), jax.random.key(3)
    chains = start(rbm, weights, 10, jax.random.key(4)).chains
    found, _, _ = gradients(rbm, weights, x, chains, key)
    first, middle = jax.random.split(key)
    above = units(hidden_units)
    begin = chains if persistent else above.sample(first, weights["hidden_bias"], x @ weights["kernel"])
    fantasy = gibbs(rbm, weights, begin, middle)

    def contrast(weights: Any) -> jax.Array:
        return jnp.mean(free_energy(rbm, weights, fantasy)) - jnp.mean(free_energy(rbm, weights, x))

    wanted = jax.grad(contrast)(weights)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, atol=2e-5, err_msg=name)


@pytest.mark.parametrize(("visible", "hidden_units"), [("bernoulli", "bernoulli"), ("gaussian", "bernoulli")])
def test_with_many_steps_it_is_the_gradient_of_the_log_likelihood(visible: Any, hidden_units: Any) -> None:
    rbm = RBM(3, visible=visible, hidden_units=hidden_units, steps=30)
    weights, x = params(4, 3, seed=1, scale=0.7), batch(4, 4)
    exact = jax.grad(lambda weights: jnp.mean(log_likelihood(rbm, weights, x)))(weights)
    copies = 50_000
    many = jnp.tile(x, (copies // 4, 1))  # as many chains
    nothing = jnp.zeros((0, 3), jnp.float32)
    found, _, _ = jax.jit(lambda weights: gradients(rbm, weights, many, nothing, jax.random.key(0)))(weights)
    for name, value in exact.items():
        assert float(jnp.abs(value).max()) > 0.03
        np.testing.assert_allclose(found[name], value, atol=5 * 1.5 / np.sqrt(copies), err_msg=name)


def test_persistent_chains_come_to_the_machines_distribution() -> None:
    """After many updates at rate 0 the statistics are those of the machine, not of the data."""
    rbm = RBM(3, persistent=True, learning_rate=0.01)
    weights, x = params(4, 3, seed=1, scale=0.7), batch(2000, 4)
    carry = start(rbm, weights, len(x), jax.random.key(0))
    indices = jnp.broadcast_to(jnp.arange(len(x), dtype=jnp.int32), (50, len(x)))
    still = jnp.zeros(50, jnp.float32)
    carry = chunk(rbm, carry, x, indices, still, jnp.float32(0), jnp.int32(0), jnp.int32(50), jax.random.key(1))
    assert int(carry.step) == 50
    found, _, _ = gradients(rbm, carry.params, x, carry.chains, jax.random.key(2))
    exact = jax.grad(lambda weights: jnp.mean(log_likelihood(rbm, weights, x)))(carry.params)
    for name, value in exact.items():
        np.testing.assert_allclose(found[name], value, atol=5 / np.sqrt(len(x)), err_msg=name)


def updated(rbm: RBM, velocity: float = 0.0, momentum: float = 0.0) -> tuple[Carry, Carry, dict[str, Any]]:
    weights, x, key = params(6, 4), batch(10, 6), jax.random.key(3)
    carry = start(rbm, weights, 10, jax.random.key(4))
    carry = carry._replace(velocity=jax.tree.map(lambda leaf: jnp.full_like(leaf, velocity), weights))
    after = step(rbm, carry, x, jnp.float32(0.1), jnp.float32(momentum), key)
    gradient, _, wake = gradients(rbm, weights, x, carry.chains, jax.random.fold_in(key, 0))
    return carry, after, {"gradient": gradient, "wake": wake, "x": x}


def test_an_update_is_momentum_gradient_and_decay() -> None:
    before, after, told = updated(RBM(4, weight_decay=0.3), velocity=0.2, momentum=0.9)
    gradient = told["gradient"]
    for name, old in before.params.items():
        decay = 0.3 * old if name == "kernel" else 0
        wanted = old + 0.9 * 0.2 + 0.1 * (gradient[name] - decay)
        np.testing.assert_allclose(after.params[name], wanted, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(after.velocity[name], wanted - old, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_sparsity_target_draws_the_hidden_units() -> None:
    rbm = RBM(4, weight_decay=0, sparsity_target=0.1, sparsity_cost=2.0)
    before, after, told = updated(rbm)
    activity = 0.95 * 0.1 + 0.05 * np.mean(told["wake"], axis=0)
    np.testing.assert_allclose(after.activity, activity, rtol=1e-5)
    excess = 2.0 * (activity - 0.1)
    bias = before.params["hidden_bias"] + 0.1 * (told["gradient"]["hidden_bias"] - excess)
    np.testing.assert_allclose(after.params["hidden_bias"], bias, rtol=1e-5)
    kernel = told["gradient"]["kernel"] - np.mean(told["x"], axis=0)[:, None] * excess
    np.testing.assert_allclose(after.params["kernel"], before.params["kernel"] + 0.1 * kernel, rtol=1e-5)


def test_an_epoch_compiles_once() -> None:
    rbm, x = RBM(3, learning_rate=0.123), batch(20, 5)
    before = chunk._cache_size()
    rbm.fit(x, epochs=3, batch_size=5, progress=False)
    assert chunk._cache_size() - before <= 2  # the first carry's arrays are not committed to a device as the others are


@pytest.mark.parametrize(
    ("rbm", "visible", "hidden"),
    [
        (RBM(3), [0, 0, 0, 0], 0),
        (RBM(3, visible="gaussian"), [0, 0.3, 0.999, 1], 0),
        (RBM(3, sparsity_target=0.1), np.log([1 / 99, 3 / 7, 99, 99]), -np.log(9)),
    ],
)
def test_where_biases_begin(rbm: RBM, visible: Any, hidden: float) -> None:
    """At 0; at the data's means (Gaussian); at log-odds of means within 0.01 and 0.99, and of the target (sparse)."""
    x = np.zeros((1000, 4), np.float32)
    x[:300, 1], x[:999, 2], x[:, 3] = 1, 1, 1
    first = first_params(rbm, x, jax.random.key(0))
    np.testing.assert_allclose(first["visible_bias"], visible, rtol=1e-5)
    np.testing.assert_allclose(first["hidden_bias"], np.full(3, hidden), rtol=1e-5)
    assert 0 < np.abs(first["kernel"]).max() < 0.05
