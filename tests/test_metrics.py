"""Metrics against scikit-learn, over random batches with ties and absent classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from lamina import metrics as lm
from lamina.errors import BadInputError, ConfigError, ShapeError

seeds = st.integers(0, 2**32 - 1)


def softmax_case(seed: int, classes: int, *, ties: bool = False) -> tuple[Any, Any, Any]:
    """Probabilities, classes and weights of up to 60 examples; some classes may be absent."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    scores = rng.normal(size=(count, classes)) * 2
    if ties:
        scores = np.round(scores)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    targets = rng.integers(0, rng.integers(1, classes + 1), count)
    return probabilities, targets, rng.uniform(0.1, 2, count)


def streamed(metric: Any, outputs: Any, targets: Any, weights: Any = None, sizes: tuple[int, ...] = (7, 1, 16)) -> Any:
    """The result over batches of uneven sizes."""
    start, turn = 0, 0
    while start < len(targets):
        part = slice(start, start + sizes[turn % len(sizes)])
        metric.update(outputs[part], targets[part], None if weights is None else weights[part])
        start, turn = part.stop, turn + 1
    return metric.result()


def reference(name: str, p: Any, y: Any, w: Any = None) -> float | None:
    """The same metric by scikit-learn, or written out where it has none."""
    classes = p.shape[1]
    predicted, present = p.argmax(axis=1), np.union1d(y, p.argmax(axis=1))
    weigh = np.ones(len(y)) if w is None else w
    shared = {"labels": present, "sample_weight": w, "zero_division": 0.0}
    if name == "accuracy":
        return sk.accuracy_score(y, predicted, sample_weight=w)
    if name == "balanced_accuracy":
        return sk.recall_score(y, predicted, average="macro", **(shared | {"labels": np.unique(y)}))
    for kind, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        if name.startswith(kind):
            return score(y, predicted, average=name.partition("_")[2] or "macro", **shared)
    if name == "auc":
        columns = [1] if classes == 2 else range(classes)
        areas = [
            sk.roc_auc_score(y == c, p[:, c] - (p[:, 0] if classes == 2 else 0), sample_weight=w)
            for c in columns
            if 0 < (y == c).sum() < len(y)
        ]
        return float(np.mean(areas)) if areas else None
    if name == "log_loss":
        return sk.log_loss(y, p, labels=np.arange(classes), sample_weight=w)
    if name == "brier":
        if classes == 2:
            return sk.brier_score_loss(y, p[:, 1], sample_weight=w, pos_label=1, labels=[0, 1])
        return float(np.average(((p - np.eye(classes)[y]) ** 2).sum(axis=1), weights=weigh))
    if name == "ece":
        confidence, total = p.max(axis=1), 0.0
        for low in range(15):
            inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
            if inside.any():
                gap = np.average((predicted == y)[inside], weights=weigh[inside]) - np.average(
                    confidence[inside], weights=weigh[inside]
                )
                total += weigh[inside].sum() / weigh.sum() * abs(gap)
        return total
    if name == "top5":
        return sk.top_k_accuracy_score(y, p, k=5, labels=np.arange(classes), sample_weight=w)
    raise AssertionError(name)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([2, 3, 7]), st.booleans())
def test_the_standard_metrics_of_classes_are_those_of_scikit_learn(seed: int, classes: int, weighted: bool) -> None:
    p, y, w = softmax_case(seed, classes)
    w = w if weighted else None
    for name, metric in lm.standard("classify", classes).items():
        expected = reference(name, p, y, w)
        assert streamed(metric, p, y, w) == (None if expected is None else pytest.approx(expected, abs=1e-9)), name


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([2, 4]))
def test_ties_count_half_in_the_area_under_the_curve(seed: int, classes: int) -> None:
    p, y, w = softmax_case(seed, classes, ties=True)
    for weights in (None, w):
        expected = reference("auc", p, y, weights)
        got = streamed(lm.RocAuc(), p, y, weights)
        assert got == (None if expected is None else pytest.approx(expected, abs=1e-9))


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(["macro", "micro", "weighted"]))
def test_averages_are_those_of_scikit_learn(seed: int, average: str) -> None:
    p, y, w = softmax_case(seed, 4)
    for cls in (lm.Precision, lm.Recall, lm.F1):
        metric = cls(average)
        expected = reference(f"{metric.kind}_{average}", p, y, w)
        assert streamed(metric, p, y, w) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_one_unit_reads_as_two_classes(seed: int) -> None:
    p, y, _ = softmax_case(seed, 2)
    both = np.stack([1 - p[:, 1], p[:, 1]], axis=1)
    for outputs in (p[:, 1], p[:, 1:]):
        for name, metric in lm.standard("classify", 2).items():
            two = streamed(lm.standard("classify", 2)[name], both, y)
            assert streamed(metric, outputs, y[:, None]) == (None if two is None else pytest.approx(two, abs=1e-9)), (
                name
            )
            metric.reset()
    shared = {"average": "binary", "zero_division": 0.0}
    if (y | p.argmax(axis=1)).any():
        assert streamed(lm.F1("binary"), p[:, 1], y) == pytest.approx(sk.f1_score(y, p.argmax(axis=1), **shared))
        assert streamed(lm.Recall("binary"), p, y) == pytest.approx(sk.recall_score(y, p.argmax(axis=1), **shared))
    else:
        assert streamed(lm.F1("binary"), p, y) is None


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_several_labels_are_measured_as_by_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 50))
    p, y = rng.uniform(size=(count, 3)), rng.integers(0, 2, (count, 3)) * rng.integers(0, 2, 3)
    decided = (p > 0.5).astype(int)
    present = np.flatnonzero((y | decided).any(axis=0))
    mixed = [c for c in range(3) if 0 < y[:, c].sum() < count]
    expected = {
        "accuracy": float((decided == y).mean()),
        "exact_match": sk.accuracy_score(y, decided),
        "f1": sk.f1_score(y, decided, average="macro", labels=present, zero_division=0.0) if len(present) else None,
        "auc": float(np.mean([sk.roc_auc_score(y[:, c], p[:, c]) for c in mixed])) if mixed else None,
        "log_loss": float(np.mean([sk.log_loss(y[:, c], p[:, c], labels=[0, 1]) for c in range(3)])),
    }
    for name, metric in lm.standard("multilabel", 3).items():
        value = expected.pop(name)
        assert streamed(metric, p, y) == (None if value is None else pytest.approx(value, abs=1e-9)), name
    assert not expected
    assert streamed(lm.Brier(), p, y) == pytest.approx(((p - y) ** 2).mean())
    assert (
        streamed(lm.Precision("micro"), p, y)
        == pytest.approx(sk.precision_score(y, decided, average="micro", zero_division=0.0))
        or not (y | decided).any()
    )


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([None, 1, 3]), st.sampled_from([0.0, 1e8]))
def test_values_are_measured_as_by_scikit_learn(seed: int, width: int | None, offset: float) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 60))
    shape = (count,) if width is None else (count, width)
    y = rng.normal(size=shape) + offset
    predicted, w = y + rng.normal(size=shape), rng.uniform(0.1, 2, count)
    expected = {
        "mse": sk.mean_squared_error(y, predicted, sample_weight=w),
        "rmse": math.sqrt(sk.mean_squared_error(y, predicted, sample_weight=w)),
        "mae": sk.mean_absolute_error(y, predicted, sample_weight=w),
        "r2": sk.r2_score(y, predicted, sample_weight=w),
    }
    for name, metric in lm.standard("regress").items():
        assert streamed(metric, predicted, y, w) == pytest.approx(expected.pop(name), rel=1e-6, abs=1e-6), name
    assert not expected


def test_the_confusion_matrix_counts_targets_by_predictions() -> None:
    p, y, w = softmax_case(5, 4)
    matrix = streamed(lm.ConfusionMatrix(), p, y)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(y, p.argmax(axis=1), labels=range(4)))
    weighted = streamed(lm.ConfusionMatrix(), p, y, w)
    np.testing.assert_allclose(
        weighted, sk.confusion_matrix(y, p.argmax(axis=1), labels=range(4), sample_weight=w), rtol=1e-12
    )
    assert lm.ConfusionMatrix().result() is None
    with pytest.raises(ShapeError, match="one class an example"):
        lm.ConfusionMatrix().update(np.ones((2, 3)), np.ones((2, 3), int))


@pytest.mark.parametrize("task", ["classify", "multilabel", "regress"])
def test_weight_zero_leaves_an_example_out(task: str) -> None:
    rng = np.random.default_rng(3)
    p, w = rng.uniform(size=(40, 8)), np.repeat([1.0, 0.0], 20)
    y = {"classify": rng.integers(0, 8, 40), "multilabel": rng.integers(0, 2, (40, 8)), "regress": p + 1}[task]
    for name, metric in lm.standard(task, 8).items():
        alone = streamed(lm.standard(task, 8)[name], p[:20], y[:20])
        assert streamed(metric, p, y, w) == pytest.approx(alone, abs=1e-12), name


def test_nothing_seen_or_undefined_is_none_and_not_nan() -> None:
    for task in ("classify", "multilabel", "regress"):
        for metric in lm.standard(task, 8).values():
            assert metric.result() is None
            metric.update(np.zeros((0, 8)), np.zeros((0, 8) if task != "classify" else 0, int))
            assert metric.result() is None
    one_class = np.zeros(5, int)
    assert streamed(lm.RocAuc(), np.full((5, 3), 1 / 3), one_class) is None
    assert streamed(lm.R2(), np.arange(3.0), np.full(3, 0.1)) is None
    assert streamed(lm.Accuracy(), np.eye(3), np.arange(3), np.zeros(3)) is None


def test_reset_forgets() -> None:
    p, y, _ = softmax_case(11, 7)
    for name, metric in lm.standard("classify", 7).items():
        metric.update(p[::-1], np.zeros_like(y))
        metric.reset()
        assert streamed(metric, p, y) == streamed(lm.standard("classify", 7)[name], p, y)
    r2 = lm.R2()
    r2.update(np.zeros(3), np.arange(3.0))
    r2.reset()
    assert streamed(r2, np.arange(4.0), np.arange(4.0)) == 1.0


def test_equal_scores_go_to_the_lower_class() -> None:
    p, y = np.full((4, 4), 0.25), np.arange(4)
    assert streamed(lm.Accuracy(), p, y) == streamed(lm.TopK(1), p, y) == 0.25
    assert streamed(lm.TopK(3), p, y) == 0.75
    assert streamed(lm.TopK(9), p, y) == 1.0


def test_a_certain_mistake_costs_a_finite_log_loss() -> None:
    p = np.array([[1.0, 0.0]], np.float32)
    assert streamed(lm.LogLoss(), p, np.array([1])) == pytest.approx(-math.log(np.finfo(np.float32).eps))


def test_bfloat16_outputs_are_read() -> None:
    import jax.numpy as jnp

    outputs = jnp.asarray([[0.25, 0.75], [0.5, 0.5]], jnp.bfloat16)
    assert streamed(lm.Brier(), outputs, jnp.asarray([1, 0])) == pytest.approx((0.25**2 + 0.5**2) / 2)


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "error", "words"),
    [
        (lm.Accuracy(), np.ones((3, 4)), np.zeros(2, int), ShapeError, "got outputs (3, 4) and targets (2,)"),
        (lm.Accuracy(), np.ones((3, 4)), np.array([0, 1, 4]), BadInputError, "targets from 0 to 4"),
        (lm.Accuracy(), np.ones((3, 4)), np.array([0, 1, 0.5]), BadInputError, "whole numbers"),
        (lm.Accuracy(), np.full((3, 4), np.nan), np.zeros(3, int), BadInputError, "12 of 12 outputs are NaN"),
        (lm.LogLoss(), np.full((3, 4), 7.0), np.zeros(3, int), BadInputError, "softmax or sigmoid"),
        (lm.Accuracy(), np.full(3, -7.0), np.zeros(3, int), BadInputError, "outputs between -7 and -7"),
        (lm.CalibrationError(), np.ones((3, 4)), np.zeros((3, 4), int), ShapeError, "one class an example"),
        (lm.F1("binary"), np.ones((3, 4)), np.zeros(3, int), ShapeError, "needs two classes"),
        (lm.MeanSquaredError(), np.ones((3, 4)), np.zeros(3), ShapeError, "got outputs (3, 4) and targets (3,)"),
        (lm.R2(), np.array([1.0, np.inf]), np.zeros(2), BadInputError, "1 of 2 outputs"),
    ],
)
def test_bad_batches_are_refused(metric: Any, outputs: Any, targets: Any, error: Any, words: str) -> None:
    with pytest.raises(error) as raised:
        metric.update(outputs, targets)
    assert words in str(raised.value)


def test_bad_weights_and_changing_widths_are_refused() -> None:
    with pytest.raises(BadInputError, match="finite and at least 0"):
        lm.Accuracy().update(np.eye(2), np.arange(2), np.array([1.0, -1.0]))
    with pytest.raises(ShapeError, match=r"weights of shape \(3,\)"):
        lm.MeanSquaredError().update(np.ones(2), np.ones(2), np.ones(3))
    for metric in (lm.RocAuc(), lm.F1(), lm.ConfusionMatrix()):
        metric.update(np.eye(3), np.arange(3))
        with pytest.raises(ShapeError):
            metric.update(np.eye(4), np.arange(4))


def test_names_and_directions() -> None:
    assert list(lm.standard("classify", 5)) == [
        "accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc", "log_loss", "brier", "ece",
    ]  # fmt: skip
    assert "top5" in lm.standard("classify", 6)
    assert [lm.main_metric(task) for task in ("classify", "multilabel", "regress")] == ["accuracy", "f1", "r2"]
    lower = [name for task in ("classify", "regress") for name in lm.standard(task, 9) if not lm.higher_is_better(name)]
    assert lower == ["log_loss", "brier", "ece", "mse", "rmse", "mae"]
    assert not lm.higher_is_better("loss")
    with pytest.raises(ConfigError, match="'accuracy'"):
        lm.higher_is_better("acuracy")
    with pytest.raises(ConfigError, match="'classify'"):
        lm.standard("classification")
    with pytest.raises(ConfigError, match="'macro'"):
        lm.F1("macr")
    for make in (lm.TopK, lm.CalibrationError):
        with pytest.raises(ConfigError, match="Received"):
            make(0)


def naive_bootstrap(task: str, p: Any, y: Any, classes: int, resamples: int, seed: int) -> dict[str, list[float]]:
    """Each resample drawn by index and measured by the streaming metrics."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for row in rng.integers(0, len(y), size=(resamples, len(y))):
        for name, metric in lm.standard(task, classes).items():
            metric.update(p[row], y[row])
            value = metric.result()
            if value is not None:
                drawn.setdefault(name, []).append(value)
    return drawn


@pytest.mark.parametrize(("task", "classes"), [("classify", 2), ("classify", 7), ("multilabel", 3), ("regress", 0)])
def test_the_bootstrap_equals_measuring_each_resample(task: str, classes: int) -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(max(classes, 2)), 30) if task != "regress" else rng.normal(size=(30, 2))
    y = {
        "classify": rng.integers(0, max(classes, 1), 30),
        "multilabel": rng.integers(0, 2, (30, 3)),
        "regress": rng.normal(size=(30, 2)),
    }[task]
    intervals = lm.bootstrap(task, p, y, classes, resamples=50, seed=4, level=0.8)
    drawn = naive_bootstrap(task, p, y, classes, 50, 4)
    assert list(intervals) == list(lm.standard(task, classes))
    for name, (value, low, high) in intervals.items():
        assert value == streamed(lm.standard(task, classes)[name], p, y, sizes=(30,))
        expected = np.quantile(drawn[name], [0.1, 0.9])
        if name == "ece":
            expected = [max(0.0, min(value, 2 * value - expected[1])), max(value, 2 * value - expected[0])]
        assert (low, high) == pytest.approx(tuple(expected), abs=1e-9), name
    assert lm.bootstrap(task, p, y, classes, resamples=50, seed=4, level=0.8) == intervals
    assert lm.bootstrap(task, p, y, classes, resamples=50, seed=5, level=0.8) != intervals


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        right = rng.uniform(size=100) < 0.7
        p = np.where(right[:, None] ^ np.array([False, True]), 0.9, 0.1)
        interval = lm.bootstrap("classify", p, np.zeros(100, int), 2, resamples=200)["accuracy"]
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= 0.7 <= interval.high
    assert 0.88 <= held / 200 <= 0.99


def test_a_bootstrap_of_the_undefined_is_none() -> None:
    p, y = np.full((4, 3), 1 / 3), np.zeros(4, int)
    assert lm.bootstrap("classify", p, y, 3, resamples=5)["auc"] == (None, None, None)
    assert lm.bootstrap("regress", np.arange(3.0), np.full(3, 0.1), resamples=5)["r2"] == (None, None, None)
    assert lm.bootstrap("regress", np.zeros(0), np.zeros(0), resamples=5)["mse"] == (None, None, None)
    value, low, high = lm.bootstrap("regress", np.zeros(1), np.ones(1), resamples=5)["mse"]
    assert value == low == high == 1.0
    with pytest.raises(ConfigError, match="resamples=0"):
        lm.bootstrap("classify", p, y, 3, resamples=0)


def test_variance_explained_is_scikit_learns_variance_weighted_r2_and_its_resamples_agree() -> None:
    random = np.random.default_rng(0)
    true = random.normal(size=(40, 5)) * np.asarray([5.0, 1.0, 0.1, 1.0, 0.5])
    predicted = true + random.normal(size=true.shape)
    metric = lm.VarianceExplained()
    metric.update(predicted[:15], true[:15])
    metric.update(predicted[15:], true[15:])
    assert metric.result() == pytest.approx(sk.r2_score(true, predicted, multioutput="variance_weighted"))
    counts = random.integers(0, 4, (40, 3)).astype(np.float64)
    for column, value in zip(counts.T, metric.reweighted(predicted, true)(counts), strict=True):
        rows = np.repeat(np.arange(40), column.astype(int))
        assert value == pytest.approx(sk.r2_score(true[rows], predicted[rows], multioutput="variance_weighted"))
    constant = lm.VarianceExplained()
    constant.update(np.ones((3, 2)), np.zeros((3, 2)))
    assert constant.result() is None
