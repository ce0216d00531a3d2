from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.export  # not part of jax until imported
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lamina as lm
from lamina.data.augment import Shift
from lamina.data.base import Data
from lamina.losses import L1, L2, MaxNorm, SoftmaxCrossEntropy
from lamina.optim import SGD, Adam
from lamina.train.feed import Feed
from lamina.train.fitting import prepare
from lamina.train.step import Carry, Program

KEY = jax.random.key(0)
NETWORK = lm.Sequential(lm.Flatten(), lm.Dense(5), lm.tanh, lm.Dense(10))
CONV = lm.Sequential(lm.Conv(4, 3), lm.BatchNorm(), lm.relu, lm.MaxPool(2), lm.Flatten(), lm.Dropout(0.3), lm.Dense(10))


def program(network: lm.Layer, data: Data, **options: Any) -> Program:
    return prepare(network, data, **{"loss": None, "optimizer": SGD()} | options)


def started(made: Program, data: Data) -> Carry:
    params, state = made.network.init(KEY, data.preprocessing.input_spec())
    return made.start(params, state)


def batch(data: Data, n: int = 32) -> tuple[Any, jax.Array]:
    return jnp.asarray(data.train.read(np.arange(n))), jnp.asarray(data.train.targets[:n])


def step(made: Program, carry: Carry, data: Data, rate: Any = 0.1) -> Carry:
    return jax.jit(made.step)(carry, *batch(data), jnp.asarray(rate, jnp.float32), KEY)


def chunk(made: Program, data: Data, first: int, count: int, rates: int = 0) -> Carry:
    feed = Feed(data.train, 32, 0)
    (block,) = feed.blocks(1)
    shape = (feed.steps, rates) if rates else (feed.steps,)
    run = jax.jit(made.chunk)
    return run(started(made, data), *block[:3], jnp.full(shape, 0.1), jnp.int32(first), jnp.int32(count), KEY)


@pytest.mark.parametrize("rates", [0, 2])
def test_what_is_computed_again_is_the_same(digits: Data, rates: int) -> None:
    made = [program(CONV, digits, remat=remat, rates=rates) for remat in (False, True)]
    kept, again = (chunk(each, digits, 0, 3, rates) for each in made)
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_step_is_gradient_descent_on_the_loss(digits: Data) -> None:
    made = program(NETWORK, digits)
    carry = started(made, digits)
    x, y = batch(digits)
    inputs = digits.preprocessing.transform(x)

    def loss(params: Any) -> jax.Array:
        logits = NETWORK.apply(params, {}, inputs)[0]
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

    value, gradient = jax.value_and_grad(loss)(carry.params)
    done = step(made, carry, digits)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, carry.params, gradient)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), done.params, expected)
    np.testing.assert_allclose(done.sums.loss, value, rtol=1e-5)
    assert (int(done.step), int(done.sums.steps), int(done.bad)) == (1, 1, -1)
    right = np.mean(np.argmax(NETWORK.apply(carry.params, {}, inputs)[0], axis=1) == np.asarray(y))
    assert float(done.sums.score) == pytest.approx(right)


def test_adams_step_is_optaxs(digits: Data) -> None:
    made = program(NETWORK, digits, optimizer=Adam())
    carry = started(made, digits)
    x, y = batch(digits)
    peer = optax.adam(0.01)
    params, memory = carry.params, peer.init(carry.params)
    for index in range(3):
        grads, _ = jax.grad(made.objective, has_aux=True)(params, {}, x, y, jax.random.fold_in(KEY, index))
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = peer.update(grads, memory, params)
        params = optax.apply_updates(params, updates)
        carry = step(made, carry, digits, 0.01)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), carry.params, params)


def test_penalties_are_added_by_their_formulas(digits: Data) -> None:
    x, y = batch(digits)
    plain = program(NETWORK, digits)
    params = started(plain, digits).params
    bound = program(NETWORK, digits, penalties=(L1(0.01), L2(0.5)))
    without, with_them = (float(made.objective(params, {}, x, y, KEY)[0]) for made in (plain, bound))
    kernels = np.concatenate([np.ravel(params[name]["kernel"]) for name in ("1", "3")])
    assert with_them - without == pytest.approx(0.01 * np.abs(kernels).sum() + 0.5 * np.square(kernels).sum(), rel=1e-5)


def test_a_constraint_is_applied_after_the_step(digits: Data) -> None:
    made = program(NETWORK, digits)
    free = step(made, started(made, digits), digits, 1.0).params
    limit = MaxNorm(0.3)
    held = program(NETWORK, digits, constraint=limit)
    bound = step(held, started(held, digits), digits, 1.0).params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), bound, limit(free))


def test_auxiliary_heads_and_emitted_losses_are_added(digits: Data) -> None:
    class Thrift(lm.Layer):
        def forward(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
            ctx.emit("loss", jnp.float32(0.25))
            return x, state

    x, y = batch(digits)
    inputs = digits.preprocessing.transform(x)
    body, head = lm.Sequential(lm.Flatten(), lm.Dense(5), lm.tanh), lm.Dense(10)
    network = lm.Sequential(body, Thrift(), lm.Auxiliary(head, weight=0.4), lm.Dense(10))
    made = program(network, digits)
    params = started(made, digits).params
    hidden = body.apply(params["0"], {}, inputs)[0]
    main = SoftmaxCrossEntropy()(lm.Dense(10).apply(params["3"], {}, hidden)[0], y)
    aside = SoftmaxCrossEntropy()(head.apply(params["2"]["head"], {}, hidden)[0], y)
    loss, gradient = jax.value_and_grad(lambda p: made.objective(p, {}, x, y, KEY)[0])(params)
    assert float(loss) == pytest.approx(float(main) + 0.4 * float(aside) + 0.25, rel=1e-5)
    assert np.abs(gradient["2"]["head"]["kernel"]).max() > 0


@pytest.mark.parametrize(
    "body",
    [
        (lm.Dense(5),),
        (lambda x: x.astype(jnp.int32), lm.Embedding(17, 2), lm.Flatten()),
        (lambda x: x.astype(jnp.int32), lm.BagOfNGrams(17, 5)),
    ],
    ids=["floats", "embedding", "bag"],
)
def test_bfloat16_computes_in_it_and_keeps_float32(digits: Data, body: tuple[Any, ...]) -> None:
    seen: list[Any] = []

    def look(x: jax.Array) -> jax.Array:
        seen.append(x.dtype)
        return x

    made = program(lm.Sequential(lm.Flatten(), *body, look, lm.Dense(10)), digits, precision="bf16")
    start = started(made, digits)
    done = step(made, start, digits)
    assert seen[-1] == jnp.bfloat16
    made.predict(start.params, start.state, batch(digits)[0])
    assert seen[-1] == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((done.params, done.sums.loss))} == {np.dtype(np.float32)}


def test_augmentation_changes_training_alone(digits: Data) -> None:
    made = program(NETWORK, digits, augmentation=Shift(0.2))
    x, _ = batch(digits)
    clean = np.asarray(digits.preprocessing.transform(x))
    moved = np.asarray(made.inputs(x, KEY))
    assert not np.array_equal(moved, clean)
    np.testing.assert_array_equal(made.inputs(x, None), clean)
    assert not np.array_equal(moved, made.inputs(x, jax.random.key(1)))
    params, state = NETWORK.init(KEY, (8, 8, 1))
    plain = program(NETWORK, digits)
    np.testing.assert_array_equal(made.predict(params, state, x), plain.predict(params, state, x))


def test_a_chunk_is_its_steps_one_after_the_other(digits: Data) -> None:
    made = program(CONV, digits)
    whole = chunk(made, digits, 0, 5)
    feed = Feed(digits.train, 32, 0)
    carry = started(made, digits)
    for rows in feed.order(1)[:5]:
        x, y = jnp.asarray(digits.train.read(rows)), jnp.asarray(digits.train.targets[rows])
        carry = jax.jit(made.step)(carry, x, y, jnp.float32(0.1), KEY)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5), whole, carry)
    assert int(whole.step) == 5


def test_a_loss_that_is_not_finite_ends_the_chunk_and_marks_its_step(digits: Data) -> None:
    made = program(lm.Sequential(lm.Flatten(), lm.Dense(10), lambda x: jnp.log(x - 1e9)), digits)
    done = chunk(made, digits, 0, 9)
    assert (int(done.bad), int(done.step)) == (0, 1)


def test_a_gradient_that_is_not_finite_is_found_at_the_chunks_end(digits: Data) -> None:
    made = program(lm.Sequential(lm.Flatten(), lm.Dense(10), lambda x: jnp.sqrt(x * 0)), digits)
    done = chunk(made, digits, 0, 1)
    assert (int(done.bad), int(done.step)) == (1, 1)
    assert np.isfinite(done.sums.loss)


def test_the_score_is_that_of_the_task(digits: Data, two_blobs: Data) -> None:
    made = program(NETWORK, digits)
    assert float(made.score(jnp.eye(10)[:4], jnp.array([0, 1, 2, 9]))) == 0.75
    single = program(lm.Dense(1), two_blobs)
    assert float(single.score(jnp.array([[1.0], [-1.0], [2.0], [0.5]]), jnp.array([1, 0, 0, 1]))) == 0.75
    values = replace(made, target=lm.data.base.ValueTarget(("v",), (0.0,), (1.0,)))
    y = jnp.array([[1.0], [-1.0]])
    assert float(values.score(y, y)) == 1.0
    assert float(values.score(jnp.zeros((2, 1)), y)) == 0.0
    several = replace(made, target=lm.data.base.MultiLabelTarget(("a", "b")))
    assert float(several.score(jnp.array([[1.0, -1.0]]), jnp.array([[1.0, 1.0]]))) == 0.5


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("rates", [0, 2])
def test_the_program_lowers_for_accelerators_without_calls_of_our_own(platform: str, rates: int, digits: Data) -> None:
    made = program(CONV, digits, optimizer=Adam(), augmentation=Shift(0.1), rates=rates)
    steps = 3
    integer = jax.ShapeDtypeStruct((), jnp.int32)
    carry = jax.eval_shape(lambda: started(made, digits))
    exported = jax.export.export(
        jax.jit(lambda *arguments: tuple(jax.tree.leaves(made.chunk(*arguments, KEY)))), platforms=[platform]
    )(
        carry,
        jax.ShapeDtypeStruct((64, 8, 8, 1), jnp.uint8),
        jax.ShapeDtypeStruct((64,), jnp.int32),
        jax.ShapeDtypeStruct((steps, 32), jnp.int32),
        jax.ShapeDtypeStruct((steps, rates) if rates else (steps,), jnp.float32),
        integer,
        integer,
    )
    assert exported.platforms == (platform,)
    text = exported.mlir_module()
    assert "stablehlo.convolution" in text
    assert "lamina" not in "".join(line for line in text.splitlines() if "custom_call" in line)
