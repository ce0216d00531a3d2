from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, softmax

import lamina as lm
from lamina import heads
from lamina.data.base import ClassTarget, MultiLabelTarget, Target, ValueTarget
from lamina.errors import ShapeError
from lamina.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError

THREE = ClassTarget(("a", "b", "c"))
TWO = ClassTarget(("no", "yes"))
LABELS = MultiLabelTarget(("x", "y"))
VALUES = ValueTarget(("v", "w"), (10.0, -1.0), (2.0, 0.5))

logits = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-1000, 1000, width=32))


@given(logits)
def test_classes_get_the_softmax(outputs: np.ndarray) -> None:
    answered = heads.answers(THREE, outputs)
    np.testing.assert_allclose(answered, softmax(outputs.astype(np.float64), axis=1), atol=1e-12)
    np.testing.assert_allclose(answered.sum(axis=1), 1)


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(1)), elements=st.floats(-1000, 1000, width=32)))
def test_a_single_logit_is_that_of_the_second_class(outputs: np.ndarray) -> None:
    answered = heads.answers(TWO, outputs)
    np.testing.assert_allclose(answered[:, 1], expit(outputs[:, 0].astype(np.float64)), atol=1e-12)
    np.testing.assert_allclose(answered.sum(axis=1), 1)
    decided = np.abs(outputs[:, 0]) > 1e-6
    np.testing.assert_array_equal(answered.argmax(axis=1)[decided], (outputs[decided, 0] > 0).astype(int))


def test_labels_get_a_probability_each_and_values_their_unit() -> None:
    outputs = np.array([[0.0, 2.0], [-800.0, 800.0]], np.float32)
    np.testing.assert_allclose(heads.answers(LABELS, outputs), expit(outputs.astype(np.float64)), atol=1e-12)
    np.testing.assert_allclose(heads.answers(VALUES, np.array([[0.0, 2.0]], np.float32)), [[10.0, 0.0]])


@pytest.mark.parametrize(
    ("target", "units", "loss"),
    [
        (THREE, 3, SoftmaxCrossEntropy()),
        (TWO, 2, SoftmaxCrossEntropy()),
        (TWO, 1, BinaryCrossEntropy()),
        (LABELS, 2, BinaryCrossEntropy()),
        (VALUES, 2, SquaredError()),
    ],
)
def test_each_task_has_its_loss_and_its_number_of_outputs(target: Target, units: int, loss: Any) -> None:
    assert heads.default_loss(target, units) == loss
    heads.check_head(lm.Dense(units), lm.layers.base.spec((4,)), target)


@pytest.mark.parametrize(
    ("network", "target", "words"),
    [
        (lm.Dense(1), THREE, r"shape \(1,\), but the data has 3 classes. End the network in Dense\(3\)"),
        (lm.Dense(4), TWO, r"shape \(4,\), but the data has 2 classes"),
        (lm.Dense(3), LABELS, r"2 labels"),
        (lm.Dense(1), VALUES, r"2 values"),
        (lm.Sequential(lm.Reshape((2, 2)), lm.Dense(3)), THREE, r"shape \(2, 3\)"),
        (lm.Parallel(lm.Dense(3), lm.Dense(3), merge=None), THREE, "3 classes"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(network: lm.Layer, target: Target, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        heads.check_head(network, lm.layers.base.spec((4,)), target)


@pytest.mark.parametrize("last", [lm.softmax, lm.sigmoid])
def test_a_closing_activation_is_left_to_the_loss(last: lm.Layer) -> None:
    assert heads.logits_network(lm.Sequential(lm.Dense(3), last), THREE) == lm.Sequential(lm.Dense(3))
    nested = lm.Sequential(lm.Flatten(), head=lm.Sequential(lm.Dense(3), last))
    assert heads.logits_network(nested, THREE) == lm.Sequential(lm.Flatten(), head=lm.Sequential(lm.Dense(3)))


def test_what_does_not_close_a_classifier_stays() -> None:
    for network in (lm.Sequential(lm.softmax, lm.Dense(3)), lm.Sequential(lm.Dense(3), lm.relu), lm.Dense(3)):
        assert heads.logits_network(network, THREE) == network
    closed = lm.Sequential(lm.Dense(2), lm.sigmoid)
    assert heads.logits_network(closed, VALUES) == closed
