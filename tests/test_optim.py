"""Optimisers against optax and PyTorch; schedules against optax's; names, ranges, JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina import optim
from lamina.config import from_json, to_json
from lamina.errors import ConfigError

RATE = 0.03
rng = np.random.default_rng(0)
START = {
    "0": {"kernel": rng.normal(size=(3, 4)).astype(np.float32), "bias": np.zeros(4, np.float32)},
    "1": {"kernel": rng.normal(size=(4, 2)).astype(np.float32), "bias": np.ones(2, np.float32)},
}


GOAL = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), START)
CURVATURE = jax.tree.map(lambda leaf: rng.uniform(0.1, 3, size=leaf.shape).astype(np.float32), START)


def loss(params: Any) -> jax.Array:
    """A bowl whose bottom is at GOAL."""
    parts = jax.tree.map(lambda w, goal, curve: jnp.sum(curve * jnp.square(w - goal)), params, GOAL, CURVATURE)
    return sum(jax.tree.leaves(parts), start=jnp.zeros(()))


def train(transformation: Any, rates: Any, steps: int) -> Any:
    """The weights after some steps, the updates multiplied by a traced rate as the training step does."""

    def step(carry: Any, rate: jax.Array) -> tuple[Any, None]:
        params, state = carry
        updates, state = transformation.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, jax.tree.map(lambda update: rate * update, updates)), state), None

    params = jax.tree.map(jnp.asarray, START)
    rates = jnp.broadcast_to(jnp.asarray(rates, jnp.float32), (steps,))
    return jax.jit(lambda rates: jax.lax.scan(step, (params, transformation.init(params)), rates)[0][0])(rates)


def assert_equal_trees(got: Any, expected: Any, **tolerance: float) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), got, expected)


def decayed(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def coupled(inner: Any) -> Any:
    return optax.chain(optax.add_decayed_weights(0.1, decayed), inner)


# ours, and optax's with the learning rate inside
PAIRS: list[tuple[optim.Optimizer, Any]] = [
    (optim.SGD(RATE), optax.sgd(RATE)),
    (optim.SGD(RATE, weight_decay=0.1), coupled(optax.sgd(RATE))),
    (optim.Momentum(RATE), optax.sgd(RATE, 0.9)),
    (optim.Momentum(RATE, momentum=0.5, weight_decay=0.1), coupled(optax.sgd(RATE, 0.5))),
    (optim.Nesterov(RATE), optax.sgd(RATE, 0.9, nesterov=True)),
    (optim.RMSProp(RATE), optax.rmsprop(RATE)),
    (optim.RMSProp(RATE, decay=0.99, eps=1e-6), optax.rmsprop(RATE, 0.99, 1e-6)),
    (optim.Adagrad(RATE), optax.adagrad(RATE)),
    (optim.Adagrad(RATE, initial_accumulator=0.0), optax.adagrad(RATE, 0.0)),
    (optim.Adam(RATE), optax.adam(RATE)),
    (optim.Adam(RATE, b1=0.8, b2=0.9, eps=1e-4, weight_decay=0.1), coupled(optax.adam(RATE, 0.8, 0.9, 1e-4))),
    (optim.AdamW(RATE), optax.adamw(RATE, weight_decay=0.01, mask=decayed)),
    (optim.AdamW(RATE, weight_decay=0.3), optax.adamw(RATE, weight_decay=0.3, mask=decayed)),
    (optim.Lion(RATE), optax.lion(RATE, weight_decay=0.1, mask=decayed)),
    (optim.Muon(RATE), optax.contrib.muon(RATE, weight_decay=0.01, consistent_rms=0.2)),
    (optim.Adam(RATE, clip_norm=0.1), optax.chain(optax.clip_by_global_norm(0.1), optax.adam(RATE))),
]
by_repr = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=[repr(pair[0]) for pair in PAIRS])


@by_repr
def test_a_rate_outside_gives_what_optax_gives_with_it_inside(ours: optim.Optimizer, theirs: Any) -> None:
    with jax.numpy_dtype_promotion("standard"):
        expected = train(theirs, 1.0, 8)
    assert_equal_trees(train(ours.build(START), RATE, 8), expected, rtol=1e-4, atol=1e-5)


COSINE = optax.cosine_decay_schedule(RATE, 8)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (optim.Nesterov(RATE), optax.sgd(COSINE, 0.9, nesterov=True)),
        (optim.RMSProp(RATE, weight_decay=0.1), coupled(optax.rmsprop(COSINE))),
        (optim.AdamW(RATE), optax.adamw(COSINE, weight_decay=0.01, mask=decayed)),
        (optim.Lion(RATE), optax.lion(COSINE, weight_decay=0.1, mask=decayed)),
        (optim.Muon(RATE), optax.contrib.muon(COSINE, weight_decay=0.01, consistent_rms=0.2)),
    ],
    ids=lambda value: value.name if isinstance(value, optim.Optimizer) else "optax",
)
def test_a_schedule_outside_gives_what_optax_gives_with_it_inside(ours: optim.Optimizer, theirs: Any) -> None:
    """Updates are linear in the rate of their own step and free of earlier rates."""
    with jax.numpy_dtype_promotion("standard"):
        expected = train(theirs, 1.0, 8)
    ours = dataclasses.replace(ours, schedule=optim.CosineDecay())
    assert_equal_trees(train(ours.build(START), ours.rate(np.arange(8), 8), 8), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (optim.Momentum(RATE, weight_decay=0.1), lambda p: torch.optim.SGD(p, RATE, momentum=0.9, weight_decay=0.1)),
        (optim.Nesterov(RATE), lambda p: torch.optim.SGD(p, RATE, momentum=0.9, nesterov=True)),
        (optim.Adam(RATE, weight_decay=0.1), lambda p: torch.optim.Adam(p, RATE, weight_decay=0.1)),
        (optim.AdamW(RATE), lambda p: torch.optim.AdamW(p, RATE)),
    ],
)
def test_weight_decay_and_momentum_mean_what_they_mean_in_pytorch(ours: optim.Optimizer, theirs: Any) -> None:
    kernel = torch.tensor(START["0"]["kernel"], requires_grad=True)
    optimizer = theirs([kernel])
    params = {"kernel": jnp.asarray(START["0"]["kernel"])}
    transformation = ours.build(params)
    state = transformation.init(params)
    update = jax.jit(transformation.update)
    for _ in range(5):
        optimizer.zero_grad()
        kernel.cos().sum().backward()
        optimizer.step()
        updates, state = update({"kernel": -np.sin(params["kernel"])}, state, params)
        params = {"kernel": params["kernel"] + ours.learning_rate * updates["kernel"]}
    np.testing.assert_allclose(params["kernel"], kernel.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", optim.names())
def test_the_loss_falls_at_the_default_rate(name: str) -> None:
    ours = optim.resolve(name)
    before, after = loss(START), loss(train(ours.build(START), ours.rate(np.arange(200), 200), 200))
    assert after < 0.98 * before


@pytest.mark.parametrize("name", optim.names())
def test_biases_are_never_decayed(name: str) -> None:
    params = {"kernel": np.ones((3, 2), np.float32), "bias": np.ones(2, np.float32)}
    transformation = optim.resolve(name, weight_decay=0.5).build(params)
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = jax.jit(transformation.update)(zero, transformation.init(params), params)
    np.testing.assert_array_equal(updates["bias"], 0.0)
    assert (updates["kernel"] < 0).all()


def test_gradients_are_clipped_by_their_norm_over_all_parameters() -> None:
    transformation = optim.SGD(clip_norm=1.0).build(START)
    gradients = jax.tree.map(lambda leaf: np.full(leaf.shape, 7.0, np.float32), START)
    updates, _ = jax.jit(transformation.update)(gradients, transformation.init(START), START)
    norm = math.sqrt(sum(float(np.sum(np.square(leaf))) for leaf in jax.tree.leaves(updates)))
    assert norm == pytest.approx(1.0, rel=1e-5)


def test_muon_makes_kernels_orthogonal_and_gives_the_rest_to_adam() -> None:
    shapes = {"conv": {"kernel": (3, 3, 2, 4)}, "dense": {"kernel": (6, 4), "bias": (4,)}, "embed": {"table": (9, 4)}}
    gradients = jax.tree.map(
        lambda shape: rng.normal(size=shape).astype(np.float32), shapes, is_leaf=lambda leaf: isinstance(leaf, tuple)
    )
    transformation = optim.Muon(weight_decay=0.0).build(gradients)
    updates, _ = jax.jit(transformation.update)(gradients, transformation.init(gradients), gradients)
    for kernel in (updates["conv"]["kernel"].reshape(18, 4), updates["dense"]["kernel"]):
        singular = np.linalg.svd(kernel, compute_uv=False) / (0.2 * math.sqrt(len(kernel)))
        assert ((singular > 0.6) & (singular < 1.3)).all()
    adam = optax.nadam(1.0)
    for part, name in (("dense", "bias"), ("embed", "table")):
        gradient = gradients[part][name]
        with jax.numpy_dtype_promotion("standard"):
            expected, _ = jax.jit(adam.update)(gradient, adam.init(gradient))
        np.testing.assert_allclose(updates[part][name], expected, rtol=1e-5)


def test_rates_train_at_once_under_vmap() -> None:
    transformation = optim.AdamW().build(START)
    rates = jnp.array([0.1, 0.01, 0.001])

    def run(rate: jax.Array) -> Any:
        state, params = transformation.init(START), jax.tree.map(jnp.asarray, START)
        for _ in range(2):
            updates, state = transformation.update(jax.grad(loss)(params), state, params)
            params = jax.tree.map(lambda leaf, update: leaf + rate * update, params, updates)
        return params

    together = jax.jit(jax.vmap(run))(rates)
    for index, rate in enumerate(rates):
        alone = train(transformation, rate, 2)
        assert_equal_trees(jax.tree.map(lambda leaf, at=index: leaf[at], together), alone, rtol=1e-4, atol=1e-5)


def one_cycle(total: int, peak: float, rise: float, fall: float) -> Any:
    if int(peak * total) == 0:  # optax's has no rise of zero steps
        return optax.cosine_decay_schedule(1.0, total, 1 / (rise * fall))
    return optax.cosine_onecycle_schedule(total, 1.0, peak, rise, fall)


@pytest.mark.parametrize("total", [1, 3, 7, 100])
@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (optim.ConstantRate(), lambda n: lambda count: 0 * count + optax.constant_schedule(1.0)(count)),
        (optim.StepDecay(0.25, 0.5), lambda n: optax.exponential_decay(1.0, max(1, round(n / 4)), 0.5, staircase=True)),
        (optim.ExponentialDecay(0.02), lambda n: optax.exponential_decay(1.0, n, 0.02)),
        (optim.CosineDecay(), lambda n: optax.cosine_decay_schedule(1.0, n)),
        (optim.CosineDecay(final=0.1), lambda n: optax.cosine_decay_schedule(1.0, n, 0.1)),
        (
            optim.CosineDecay(warmup=0.3, final=0.1),
            lambda n: optax.warmup_cosine_decay_schedule(
                1 / (min(round(0.3 * n), n - 1) + 1), 1.0, min(round(0.3 * n), n - 1), n, 0.1
            ),
        ),
        (
            optim.WarmUp(0.3, optim.ExponentialDecay(0.5)),
            lambda n: optax.join_schedules(
                [
                    optax.linear_schedule(1 / (round(0.3 * n) + 1), 1.0, max(1, round(0.3 * n))),
                    optax.exponential_decay(1.0, n - round(0.3 * n), 0.5),
                ],
                [round(0.3 * n)],
            ),
        ),
        (
            optim.OneCycle(),
            lambda n: one_cycle(n, 0.3, 25.0, 1e4),
        ),
        (
            optim.OneCycle(0.5, 0.1, 0.001),
            lambda n: one_cycle(n, 0.5, 10.0, 100.0),
        ),
    ],
    ids=lambda value: repr(value) if isinstance(value, optim.Schedule) else "optax",
)
def test_schedules_are_those_of_optax(schedule: optim.Schedule, theirs: Any, total: int) -> None:
    got = schedule(np.arange(total), total)
    assert got.dtype == np.float32
    assert got.shape == (total,)
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.vmap(theirs(total))(jnp.arange(total))
    np.testing.assert_allclose(got, np.broadcast_to(expected, total), rtol=1e-5, atol=1e-6)


schedules = st.recursive(
    st.one_of(
        st.just(optim.ConstantRate()),
        st.builds(optim.StepDecay, st.floats(0.01, 1), st.floats(0.01, 1)),
        st.builds(optim.ExponentialDecay, st.floats(0.001, 1)),
        st.builds(optim.CosineDecay, st.floats(0, 0.99), st.floats(0, 1)),
        st.builds(optim.OneCycle, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    ),
    lambda inner: st.builds(optim.WarmUp, st.floats(0, 0.99), inner),
    max_leaves=2,
)


@settings(max_examples=100, deadline=None)
@given(schedules, st.integers(1, 1000))
def test_any_schedule_stays_between_0_and_1_and_reads_one_step_as_many(schedule: optim.Schedule, total: int) -> None:
    steps = np.arange(-1, total + 3)
    values = schedule(steps, total)
    assert ((values >= 0) & (values <= 1 + 1e-6)).all()
    assert values[total // 2] == schedule(int(steps[total // 2]), total)
    assert values[-1] == values[total + 1]  # beyond the run: its end
    assert from_json(to_json(schedule), optim.Schedule) == schedule


def test_warm_up_wastes_no_step_and_reaches_the_whole_rate() -> None:
    np.testing.assert_allclose(optim.WarmUp(0.4)(np.arange(10), 10), [0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1], rtol=1e-6)
    assert optim.OneCycle(0.0)(0, 10) == 1.0
    assert optim.OneCycle(1.0)(10, 10) == 1.0
    with pytest.raises(ConfigError, match="total_steps=0"):
        optim.ConstantRate()(0, 0)


def test_the_rate_is_the_schedule_times_the_learning_rate() -> None:
    rates = optim.Adam(0.5, schedule=optim.StepDecay(0.5, 0.1)).rate([0, 1, 2, 3], 4)
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.05, 0.05], rtol=1e-6)
    assert rates.dtype == np.float32
    assert optim.Adam(0.5).rate(3, 4) == 0.5


@pytest.mark.parametrize("name", optim.names())
def test_every_optimiser_has_a_name_and_a_json_form(name: str) -> None:
    ours = optim.resolve(name)
    assert ours.name == name
    assert optim.resolve(ours) is not None
    assert optim.resolve(name.upper()) == ours
    changed = optim.resolve(
        ours, learning_rate=1, weight_decay=0.25, clip_norm=None, schedule=optim.WarmUp(0.1, optim.CosineDecay())
    )
    assert (changed.learning_rate, changed.weight_decay) == (1.0, 0.25)
    assert isinstance(changed.learning_rate, float)
    assert from_json(to_json(changed), optim.Optimizer) == changed
    assert hash(from_json(to_json(changed))) == hash(changed)
    assert {field.name for field in dataclasses.fields(ours)} >= {"learning_rate", "schedule", "clip_norm"}


@pytest.mark.parametrize("name", optim.schedule_names())
def test_schedules_are_found_by_name(name: str) -> None:
    schedule = optim.resolve_schedule(name)
    assert optim.resolve("sgd", schedule=name).schedule == schedule
    assert optim.resolve_schedule(schedule) is schedule


def test_any_optax_transformation_is_used_as_it_is() -> None:
    theirs = optax.adabelief(RATE)
    ours = optim.resolve(theirs)
    with jax.numpy_dtype_promotion("standard"):
        expected = train(theirs, 1.0, 5)
    np.testing.assert_array_equal(ours.rate(np.arange(3), 3), 1.0)
    assert_equal_trees(train(ours.build(START), ours.rate(np.arange(5), 5), 5), expected, rtol=1e-5, atol=1e-6)
    clipped = optim.resolve(theirs, clip_norm=0.5)
    assert clipped.clip_norm == 0.5
    with pytest.raises(ConfigError, match="cannot be written as data"):
        to_json(ours)
    with pytest.raises(ConfigError, match="has its own learning rate"):
        optim.resolve(theirs, learning_rate=0.1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.SGD(-0.1), "learning_rate above 0. Received: learning_rate=-0.1"),
        (lambda: optim.SGD(0), "learning_rate above 0. Received: learning_rate=0"),
        (lambda: optim.SGD(float("nan")), "finite number as learning_rate. Received: learning_rate=nan"),
        (lambda: optim.SGD("0.1"), "Received: learning_rate='0.1'"),
        (lambda: optim.SGD(True), "Received: learning_rate=True"),
        (lambda: optim.SGD(weight_decay=-1), "weight_decay of at least 0. Received: weight_decay=-1"),
        (lambda: optim.SGD(clip_norm=0.0), "clip_norm above 0. Received: clip_norm=0.0"),
        (lambda: optim.SGD(schedule="cosine"), "Received: schedule='cosine'"),
        (lambda: optim.Momentum(momentum=1.0), "momentum below 1. Received: momentum=1.0"),
        (lambda: optim.RMSProp(decay=-0.1), "decay of at least 0"),
        (lambda: optim.Adagrad(eps=0), "eps above 0"),
        (lambda: optim.Adam(b1=1.5), "Adam expects a b1 below 1. Received: b1=1.5."),
        (lambda: optim.AdamW(b2=1), "b2 below 1"),
        (lambda: optim.Lion(b2=-1), "b2 of at least 0"),
        (lambda: optim.Muon(beta=1), "beta below 1"),
        (lambda: optim.StepDecay(every=0), "(0, 1] as every. Received: every=0"),
        (lambda: optim.ExponentialDecay(0), "(0, 1] as final. Received: final=0"),
        (lambda: optim.CosineDecay(warmup=1), "[0, 1) as warmup. Received: warmup=1"),
        (lambda: optim.OneCycle(peak=float("inf")), "[0, 1] as peak. Received: peak=inf"),
        (lambda: optim.WarmUp(0.1, 3), "schedule as then. Received: then=3"),
        (lambda: optim.resolve("adma"), "Unknown optimiser 'adma'. Did you mean 'adam'"),
        (lambda: optim.resolve("adam", momentom=1), "Adam has no option 'momentom'."),
        (lambda: optim.resolve("momentum", momentom=1), "Did you mean 'momentum'?"),
        (lambda: optim.resolve(3), "Received: 3."),
        (lambda: optim.resolve_schedule("cosin"), "Did you mean 'cosine'?"),
        (lambda: optim.resolve_schedule(3), "Unknown schedule 3."),
    ],
)
def test_values_out_of_range_and_unknown_names_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make()
    assert words in str(raised.value)
