"""Losses against PyTorch, by value and gradient; numerical gradients; the primers' identity; penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as tf

from lamina import losses
from lamina.config import from_json, to_json
from lamina.errors import ConfigError, ShapeError

rng = np.random.default_rng(0)
VALUES = rng.normal(size=(6, 3)).astype(np.float32) * 2
OTHERS = rng.normal(size=(6, 3)).astype(np.float32)
LOGITS = rng.normal(size=(6, 5)).astype(np.float32) * 3
CLASSES = np.array([0, 4, 2, 2, 1, 4])
SOFT = rng.dirichlet(np.ones(5), 6).astype(np.float32)
BINARY = np.array([0, 1, 1, 0, 1, 0])
LABELS = rng.integers(0, 2, (6, 3))
CLASS_WEIGHTS = (0.5, 2.0, 1.0, 0.25, 3.0)
TEXT_LOGITS = rng.normal(size=(4, 7, 5)).astype(np.float32)  # (batch, positions, classes)
TEXT = rng.integers(0, 5, (4, 7))


def ce(**options: Any) -> Any:
    return lambda z, y: tf.cross_entropy(z, y, weight=torch.tensor(CLASS_WEIGHTS, dtype=z.dtype), **options)


# loss, outputs, targets, PyTorch's function, and how PyTorch wants its targets
CASES: list[tuple[losses.Loss, Any, Any, Any, Any]] = [
    (losses.SquaredError(), VALUES, OTHERS, tf.mse_loss, np.float32),
    (losses.SquaredError(), VALUES[:, :1], OTHERS[:, 0], lambda z, y: tf.mse_loss(z[:, 0], y), np.float32),
    (losses.AbsoluteError(), VALUES, OTHERS, tf.l1_loss, np.float32),
    (losses.Huber(), VALUES, OTHERS, tf.huber_loss, np.float32),
    (losses.Huber(0.3), VALUES, OTHERS, lambda z, y: tf.huber_loss(z, y, delta=0.3), np.float32),
    (losses.BinaryCrossEntropy(), VALUES[:, 0], BINARY, tf.binary_cross_entropy_with_logits, np.float32),
    (losses.BinaryCrossEntropy(), VALUES, LABELS, tf.binary_cross_entropy_with_logits, np.float32),
    (
        losses.BinaryCrossEntropy(label_smoothing=0.2),
        VALUES[:, :1],
        BINARY,
        lambda z, y: tf.binary_cross_entropy_with_logits(z[:, 0], y * 0.8 + 0.1),
        np.float32,
    ),
    (
        losses.BinaryCrossEntropy(positive_weight=3.0),
        VALUES,
        LABELS,
        lambda z, y: tf.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(3.0)),
        np.float32,
    ),
    (losses.SoftmaxCrossEntropy(), LOGITS, CLASSES, tf.cross_entropy, np.int64),
    (losses.SoftmaxCrossEntropy(), LOGITS, CLASSES[:, None], lambda z, y: tf.cross_entropy(z, y[:, 0]), np.int64),
    (losses.SoftmaxCrossEntropy(), LOGITS, SOFT, tf.cross_entropy, np.float32),
    (
        losses.SoftmaxCrossEntropy(label_smoothing=0.1),
        LOGITS,
        CLASSES,
        lambda z, y: tf.cross_entropy(z, y, label_smoothing=0.1),
        np.int64,
    ),
    (losses.SoftmaxCrossEntropy(class_weights=CLASS_WEIGHTS), LOGITS, CLASSES, ce(), np.int64),
    (
        losses.SoftmaxCrossEntropy(label_smoothing=0.1, class_weights=CLASS_WEIGHTS),
        LOGITS,
        CLASSES,
        ce(label_smoothing=0.1),
        np.int64,
    ),
    (
        losses.SoftmaxCrossEntropy(class_weights=CLASS_WEIGHTS),
        TEXT_LOGITS,
        TEXT,
        lambda z, y: ce()(z.transpose(1, 2), y),
        np.int64,
    ),
    (losses.SoftmaxCrossEntropy(class_weights=CLASS_WEIGHTS, reduction="sum"), LOGITS, SOFT, ce(reduction="sum"), None),
    (
        losses.Hinge(),
        VALUES[:, :1],
        BINARY,
        lambda z, y: tf.hinge_embedding_loss(z[:, 0] * (2 * y - 1), -torch.ones(6), margin=1.0),
        np.float32,
    ),
    (
        losses.Hinge(margin=0.0),
        VALUES[:, 0],
        BINARY,
        lambda z, y: torch.relu(-z * (2 * y - 1)).mean(),
        np.float32,
    ),
    (
        losses.KLDivergence(),
        LOGITS,
        SOFT,
        lambda z, y: tf.kl_div(z.log_softmax(1), y, reduction="batchmean"),
        np.float32,
    ),
    (losses.CosineDistance(), VALUES, OTHERS, lambda z, y: (1 - tf.cosine_similarity(z, y)).mean(), np.float32),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]!r}-{np.shape(case[1])}-{np.shape(case[2])}")
def test_value_and_gradient_are_those_of_pytorch(case: Any) -> None:
    loss, outputs, targets, reference, dtype = case
    given = torch.tensor(outputs, requires_grad=True)
    expected = reference(given, torch.tensor(targets.astype(dtype) if dtype else targets))
    expected.backward()
    value, gradient = jax.jit(jax.value_and_grad(loss))(outputs, targets)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=2e-6)
    np.testing.assert_allclose(gradient, given.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_several_classes_hinge_is_crammer_and_singers() -> None:
    for margin in (1.0, 0.3, 0.0):
        expected = []
        for scores, true in zip(LOGITS, CLASSES, strict=True):
            others = [margin + scores[other] - scores[true] for other in range(5) if other != true]
            expected.append(max(0.0, *others))
        got = jax.jit(losses.Hinge(margin).per_example)(LOGITS, CLASSES)
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_perceptron_that_starts_at_zero_learns() -> None:
    gradient = jax.grad(losses.Hinge(margin=0.0, reduction="sum"))(jnp.zeros(3), jnp.array([1, 0, 1]))
    np.testing.assert_array_equal(gradient, [-1.0, 1.0, -1.0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]!r}-{np.shape(case[1])}-{np.shape(case[2])}")
@pytest.mark.usefixtures("x64")
def test_gradients_are_the_numerical_ones_in_float64(case: Any) -> None:
    loss, outputs, targets, *_ = case
    exact = jax.jit(jax.grad(loss))(outputs.astype(np.float64), targets)
    assert exact.dtype == jnp.float64
    steps = 1e-5 * np.eye(outputs.size).reshape(-1, *outputs.shape)
    values = jax.jit(jax.vmap(loss, (0, None)))(np.concatenate([outputs + steps, outputs - steps]), targets)
    above, below = np.split(np.asarray(values), 2)
    np.testing.assert_allclose(exact.ravel(), (above - below) / 2e-5, rtol=1e-6, atol=1e-9)


def test_the_error_of_the_last_layer_is_prediction_minus_target() -> None:
    """The primers' identity, for the three pairs of output and loss."""
    z, y = VALUES[:, 0], OTHERS[:, 0]
    softmax = jax.jit(jax.grad(losses.SoftmaxCrossEntropy(reduction="sum")))(LOGITS, CLASSES)
    exponentials = np.exp(LOGITS)
    predicted = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax, predicted - np.eye(5)[CLASSES], atol=1e-6)
    sigmoid = jax.jit(jax.grad(losses.BinaryCrossEntropy(reduction="sum")))(z, BINARY)
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-z)) - BINARY, atol=1e-6)
    half = jax.jit(jax.grad(lambda z, y: losses.SquaredError(reduction="sum")(z, y) / 2))(z, y)
    np.testing.assert_allclose(half, z - y, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (losses.SoftmaxCrossEntropy(), np.array([0, 1])),
        (losses.SoftmaxCrossEntropy(label_smoothing=0.1), np.array([0, 1])),
        (losses.SoftmaxCrossEntropy(), np.eye(2, dtype=np.float32)),
        (losses.KLDivergence(), np.eye(2, dtype=np.float32)),
        (losses.BinaryCrossEntropy(label_smoothing=0.1), np.eye(2)),
        (losses.Hinge(), np.array([0, 1])),
        (losses.Huber(), np.eye(2)),
        (losses.CosineDistance(), np.array([[0.0, 0.0], [1.0, 0.0]])),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_outputs_give_finite_losses_and_gradients(loss: losses.Loss, targets: Any, sign: int) -> None:
    outputs = sign * jnp.array([[1e4, -1e4], [1e4, -1e4]])
    value, gradient = jax.jit(jax.value_and_grad(loss))(outputs, jnp.asarray(targets))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if isinstance(loss, losses.SoftmaxCrossEntropy) and not loss.label_smoothing:
        np.testing.assert_allclose(value, 1e4)  # one of the two examples is wrong by 2e4


def test_vectors_of_zeros_have_cosine_distance_one() -> None:
    value, gradient = jax.jit(jax.value_and_grad(losses.CosineDistance()))(jnp.zeros((2, 3)), jnp.ones((2, 3)))
    assert value == 1.0
    assert np.isfinite(gradient).all()
    tiny = jax.jit(losses.CosineDistance())(jnp.full((2, 3), 1e-10), jnp.ones((2, 3)))
    np.testing.assert_allclose(tiny, 0.0, atol=1e-6)


def test_one_hot_targets_equal_integers() -> None:
    for options in ({}, {"label_smoothing": 0.2}, {"class_weights": CLASS_WEIGHTS}):
        loss = losses.SoftmaxCrossEntropy(**options)
        integers = jax.jit(loss)(LOGITS, CLASSES)
        for dtype in (np.float32, np.int32):
            np.testing.assert_allclose(jax.jit(loss)(LOGITS, np.eye(5, dtype=dtype)[CLASSES]), integers, rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]!r}-{np.shape(case[1])}-{np.shape(case[2])}")
def test_example_weights_repeat_or_leave_out(case: Any) -> None:
    loss, outputs, targets, *_ = case
    counts = np.array([2, 0, 1, 3, 0, 1])[: len(outputs)]
    compiled = jax.jit(loss)
    repeated = compiled(np.repeat(outputs, counts, 0), np.repeat(targets, counts, 0))
    np.testing.assert_allclose(compiled(outputs, targets, counts.astype(np.float32)), repeated, rtol=1e-6)
    assert compiled(outputs, targets, np.zeros(len(outputs), np.float32)) == 0.0
    assert jax.eval_shape(loss.per_example, outputs, targets).shape == (len(outputs),)


def test_an_example_left_out_does_not_bring_its_infinity_in() -> None:
    outputs, weights = jnp.array([1.0, jnp.inf]), jnp.array([1.0, 0.0])
    assert losses.SquaredError()(outputs, jnp.zeros(2), weights) == 1.0


def test_bfloat16_outputs_are_summed_in_float32() -> None:
    outputs = jnp.asarray(LOGITS, jnp.bfloat16)
    for loss, targets in (
        (losses.SoftmaxCrossEntropy(class_weights=CLASS_WEIGHTS), jnp.asarray(CLASSES)),
        (losses.SquaredError(), jnp.asarray(LOGITS)),
        (losses.Hinge(), jnp.asarray(CLASSES)),
    ):
        assert loss(outputs, targets).dtype == jnp.float32
        np.testing.assert_allclose(loss(outputs, targets), loss(outputs.astype(jnp.float32), targets))


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "words"),
    [
        (losses.SquaredError(), (4, 2), (4,), "got outputs (4, 2) and targets (4,)"),
        (losses.BinaryCrossEntropy(), (4, 3), (4, 1), "got outputs (4, 3) and targets (4, 1)"),
        (losses.SoftmaxCrossEntropy(), (4, 3), (5,), "got outputs (4, 3) and targets (5,)"),
        (losses.SoftmaxCrossEntropy(class_weights=(1, 2)), (4, 3), (4,), "has 2 class weights"),
        (losses.Hinge(), (4, 3), (5,), "Hinge expects"),
        (losses.KLDivergence(), (4, 3), (4, 2), "of one shape"),
        (losses.CosineDistance(), (4,), (4,), "of one shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(loss: losses.Loss, outputs: Any, targets: Any, words: str) -> None:
    with pytest.raises(ShapeError) as raised:
        loss(jnp.zeros(outputs), jnp.zeros(targets, jnp.int32))
    assert words in str(raised.value)


def test_classes_given_as_floats_are_refused() -> None:
    with pytest.raises(ShapeError, match="integer targets"):
        losses.SoftmaxCrossEntropy()(jnp.zeros((4, 3)), jnp.zeros(4))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: losses.SquaredError(reduction="none"), "reduction='none'"),
        (lambda: losses.Huber(0), "delta=0"),
        (lambda: losses.Huber(float("nan")), "delta=nan"),
        (lambda: losses.Hinge(margin=-1), "margin=-1"),
        (lambda: losses.BinaryCrossEntropy(label_smoothing=1.0), "label_smoothing=1.0"),
        (lambda: losses.BinaryCrossEntropy(positive_weight=True), "positive_weight=True"),
        (lambda: losses.SoftmaxCrossEntropy(label_smoothing="a"), "label_smoothing='a'"),
        (lambda: losses.SoftmaxCrossEntropy(class_weights=(0.0, 0.0)), "class_weights=(0.0, 0.0)"),
        (lambda: losses.SoftmaxCrossEntropy(class_weights=(1.0, -1.0)), "class_weights=(1.0, -1.0)"),
        (lambda: losses.SoftmaxCrossEntropy(class_weights=3), "class_weights=3"),
        (lambda: losses.L2(-1.0), "strength=-1.0"),
        (lambda: losses.MaxNorm(0), "limit=0"),
    ],
)
def test_values_out_of_range_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make()
    assert f"Received: {words}" in str(raised.value)


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_has_a_name_and_a_json_form(name: str) -> None:
    loss = losses.resolve(name)
    assert losses.resolve(loss) is loss
    assert losses.resolve(name.replace("_", "-").upper()) == loss
    assert from_json(to_json(loss), losses.Loss) == loss


def test_options_survive_json() -> None:
    loss = losses.SoftmaxCrossEntropy(0.1, [1, 2], reduction="sum")  # type: ignore[arg-type]
    assert loss.class_weights == (1.0, 2.0)
    assert from_json(to_json(loss)) == loss
    assert from_json(to_json(losses.L1(0.1, "*.bias"))) == losses.L1(0.1, "*.bias")


def test_unknown_losses_are_refused_with_near_names() -> None:
    with pytest.raises(ConfigError, match="'squared_error'"):
        losses.resolve("squard_error")
    with pytest.raises(ConfigError, match="Received: 3"):
        losses.resolve(3)  # type: ignore[arg-type]


def test_a_loss_of_your_own_needs_one_method() -> None:
    @dataclass(frozen=True, repr=False)
    class LogCosh(losses.Loss):
        def per_example(self, outputs: Any, targets: Any) -> jax.Array:
            return jnp.log(jnp.cosh(outputs - targets))

    got = LogCosh()(jnp.array([1.0, 3.0]), jnp.zeros(2), jnp.array([3.0, 1.0]))
    np.testing.assert_allclose(got, (3 * np.log(np.cosh(1.0)) + np.log(np.cosh(3.0))) / 4, rtol=1e-6)


def params() -> dict[str, Any]:
    return {
        "0": {"kernel": jnp.asarray(rng.normal(size=(3, 3, 2, 4)), jnp.float32), "bias": jnp.ones(4)},
        "body": {"1": {"kernel": jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)}},
    }


def test_penalties_sum_over_the_matching_parameters() -> None:
    tree = params()
    kernels = [np.asarray(tree["0"]["kernel"]), np.asarray(tree["body"]["1"]["kernel"])]
    np.testing.assert_allclose(losses.L1(0.5)(tree), 0.5 * sum(np.abs(k).sum() for k in kernels), rtol=1e-6)
    np.testing.assert_allclose(losses.L2(0.5)(tree), 0.5 * sum((k**2).sum() for k in kernels), rtol=1e-6)
    np.testing.assert_allclose(losses.L2(1, "body.*")(tree), (kernels[1] ** 2).sum(), rtol=1e-6)
    np.testing.assert_allclose(losses.L1(2.0, "0.bias")(tree), 8.0)
    gradient = jax.grad(losses.L2(0.5))(tree)
    np.testing.assert_allclose(gradient["0"]["kernel"], kernels[0], rtol=1e-6)
    np.testing.assert_array_equal(gradient["0"]["bias"], 0)
    with pytest.raises(ConfigError, match=r"matches 'kernal'.*kernel"):
        losses.L1(0.1, "kernal")(tree)


def test_max_norm_shrinks_the_incoming_weights_of_each_unit() -> None:
    tree = params()
    tree["body"]["1"]["kernel"] = tree["body"]["1"]["kernel"].at[:, 0].set(0.0).at[:, 1].set(0.1)
    limited = jax.jit(losses.MaxNorm(1.0))(tree)
    for before, after in (
        (tree["0"]["kernel"], limited["0"]["kernel"]),
        (tree["body"]["1"]["kernel"], limited["body"]["1"]["kernel"]),
    ):
        flat, shrunk = np.asarray(before).reshape(-1, 4), np.asarray(after).reshape(-1, 4)
        renormed = torch.renorm(torch.tensor(flat), 2, 1, 1.0).numpy()
        np.testing.assert_allclose(shrunk, renormed, atol=1e-6)
        assert after.dtype == before.dtype
    np.testing.assert_array_equal(limited["0"]["bias"], tree["0"]["bias"])
    with pytest.raises(ConfigError, match="no parameter"):
        losses.MaxNorm(1.0, "weights")(tree)


def test_binary_cross_entropy_of_probabilities_is_that_of_their_logits() -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(5, 7)).astype(np.float32) * 3, random.random((5, 7)).astype(np.float32)
    shares = 1 / (1 + np.exp(-logits))
    of_logits, of_shares = losses.BinaryCrossEntropy(), losses.BinaryCrossEntropy(logits=False)
    assert float(of_shares(shares, labels)) == pytest.approx(float(of_logits(logits, labels)), rel=1e-5)
    gradients = [
        jax.grad(lambda z: of_logits(z, labels))(logits),
        jax.grad(lambda z: of_shares(jax.nn.sigmoid(z), labels))(logits),
    ]
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-6)
    assert np.isfinite(float(of_shares(np.asarray([[0.0, 1.0]]), np.asarray([[1.0, 0.0]]))))
