"""Containers: what they compute, how they name their parts, what they refuse."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ConfigError, ShapeError
from lamina.layers.base import Layer, Tape

KEY = jax.random.key(0)
X = jnp.arange(12.0).reshape(2, 6) / 10


def run(net: Layer, x=X, shape=(6,), **kwargs):
    params, state = net.init(KEY, shape)
    return net.apply(params, state, x, **kwargs)[0], params


def test_sequential_composes_and_names_parts_by_index_or_keyword():
    net = lm.Sequential(lm.Dense(4), lm.tanh, head=lm.Dense(2))
    y, params = run(net)
    assert set(params) == {"0", "head"}
    hidden = jnp.tanh(X @ params["0"]["kernel"] + params["0"]["bias"])
    np.testing.assert_allclose(y, hidden @ params["head"]["kernel"] + params["head"]["bias"], rtol=1e-5)


def test_a_layer_keeps_its_initial_weights_when_another_is_added_elsewhere():
    small = lm.Sequential(first=lm.Dense(4), last=lm.Dense(2))
    large = lm.Sequential(first=lm.Dense(4), middle=lm.relu, last=lm.Dense(2))
    np.testing.assert_array_equal(run(small)[1]["last"]["kernel"], run(large)[1]["last"]["kernel"])


@pytest.mark.parametrize(
    ("mode", "formula"),
    [
        ("add", lambda a, b: a + b),
        ("subtract", lambda a, b: a - b),
        ("multiply", lambda a, b: a * b),
        ("mean", lambda a, b: (a + b) / 2),
        ("max", np.maximum),
        ("concat", lambda a, b: np.concatenate([a, b], -1)),
    ],
)
def test_merge_modes(mode, formula):
    a, b = np.array([[1.0, -2.0]], np.float32), np.array([[3.0, 5.0]], np.float32)
    merge = lm.Merge(mode)
    y, _ = merge.apply({}, {}, (jnp.asarray(a), jnp.asarray(b)))
    np.testing.assert_allclose(y, formula(a, b))
    assert merge.out_spec((jax.ShapeDtypeStruct((2,), "f4"),) * 2).shape == y.shape[1:]


def test_residual_adds_the_input_or_the_shortcut():
    plain = lm.Residual(lm.Dense(6))
    y, params = run(plain)
    np.testing.assert_allclose(y, X + X @ params["body"]["kernel"] + params["body"]["bias"], rtol=1e-5)
    projected = lm.Residual(lm.Dense(3), shortcut=lm.Dense(3, use_bias=False))
    y, params = run(projected)
    body = X @ params["body"]["kernel"] + params["body"]["bias"]
    np.testing.assert_allclose(y, body + X @ params["shortcut"]["kernel"], rtol=1e-5)


def test_parallel_branches_are_merged_or_kept_apart():
    y, params = run(lm.Parallel(a=lm.Dense(2), b=lm.Dense(3)))
    assert y.shape == (2, 5)
    np.testing.assert_allclose(y[:, :2], X @ params["a"]["kernel"] + params["a"]["bias"], rtol=1e-5)
    apart, _ = run(lm.Parallel(lm.Dense(2), lm.Dense(3), merge=None))
    assert [part.shape for part in apart] == [(2, 2), (2, 3)]


def test_time_distributed_equals_the_layer_on_each_step():
    x = jnp.arange(24.0).reshape(2, 3, 4)
    net = lm.TimeDistributed(lm.Dense(5))
    params, state = net.init(KEY, (3, 4))
    y, _ = net.apply(params, state, x)
    for step in range(3):
        alone, _ = lm.Dense(5).apply(params["body"], {}, x[:, step])
        np.testing.assert_allclose(y[:, step], alone, rtol=1e-6)


def test_graph_with_several_inputs_and_outputs():
    net = lm.Graph(
        inputs=("a", "b"),
        nodes={"sum": (lm.Merge("add"), ("a", "b")), "wide": (lm.Dense(4), "sum"), "narrow": (lm.Dense(1), "wide")},
        outputs=("wide", "narrow"),
    )
    params, state = net.init(KEY, {"a": (6,), "b": (6,)})
    y, _ = net.apply(params, state, {"a": X, "b": X})
    assert {name: value.shape for name, value in y.items()} == {"wide": (2, 4), "narrow": (2, 1)}
    with pytest.raises(ShapeError, match=r"dictionary with \['a', 'b'\], got \['a'\]"):
        net.apply(params, state, {"a": X})


def test_a_batchnorm_called_twice_follows_both_batches():
    net = lm.Graph(
        inputs=("a", "b"),
        nodes={
            "left": (lm.BatchNorm(momentum=0.5), "a"),
            "right": ("left", "b"),
            "out": (lm.Merge("add"), ("left", "right")),
        },
        outputs="out",
    )
    params, state = net.init(KEY, {"a": (1,), "b": (1,)})
    a, b = jnp.array([[1.0], [3.0]]), jnp.array([[10.0], [30.0]])
    _, state = net.apply(params, state, {"a": a, "b": b}, train=True)
    assert float(state["left"]["mean"][0]) == pytest.approx(0.5 * (0.5 * 0 + 0.5 * 2) + 0.5 * 20)


def test_tied_parameters_are_one():
    net = lm.Tied(
        lm.Sequential(enc=lm.Dense(3, use_bias=False), dec=lm.Dense(6, use_bias=False)),
        {"dec.kernel": "enc.kernel.T"},
    )
    y, params = run(net)
    assert list(params) == ["enc"]
    np.testing.assert_allclose(y, X @ params["enc"]["kernel"] @ params["enc"]["kernel"].T, rtol=1e-5)


def test_auxiliary_head_speaks_in_training_only():
    net = lm.Sequential(lm.Dense(4), lm.Auxiliary(lm.Dense(2), weight=0.4), lm.Dense(2))
    params, state = net.init(KEY, (6,))
    for train, emitted in ((True, 1), (False, 0)):
        tape = Tape()
        net.apply(params, state, X, train=train, tape=tape)
        assert len(tape.emitted) == emitted
    tape = Tape()
    net.apply(params, state, X, train=True, tape=tape)
    kind, path, (weight, logits) = tape.emitted[0]
    assert (kind, path, weight, logits.shape) == ("logits", "1", 0.4, (2, 2))


def test_taps_and_perturbations_are_at_the_layers_path():
    net = lm.Sequential(lm.Dense(4), inner=lm.Sequential(lm.relu, lm.Dense(2)))
    params, state = net.init(KEY, (6,))
    tape = Tape(tap_all=True)
    y, _ = net.apply(params, state, X, tape=tape)
    assert list(tape.taps) == ["0", "inner.0", "inner.1", "inner"]
    np.testing.assert_array_equal(tape.taps["inner"], y)

    def total(delta):
        return net.apply(params, state, X, tape=Tape(perturbations={"inner.0": delta}))[0].sum()

    gradient = jax.grad(total)(jnp.zeros((2, 4)))
    np.testing.assert_allclose(gradient, jnp.broadcast_to(params["inner"]["1"]["kernel"].sum(1), (2, 4)), rtol=1e-6)


def test_a_bare_function_is_a_layer():
    net = lm.Sequential(lambda x: x * 2, lm.Dense(1))
    y, params = run(net)
    np.testing.assert_allclose(y, 2 * X @ params["1"]["kernel"] + params["1"]["bias"], rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: lm.Merge("plus"), ConfigError, "Merge has no mode 'plus'"),
        (lambda: lm.Parallel(), ConfigError, "at least one branch"),
        (lambda: lm.Sequential(lm.Dense), ConfigError, r"write Dense\(\.\.\.\)"),
        (lambda: lm.Sequential(3), ConfigError, "Expected a layer or a function, got 3"),
        (lambda: lm.Sequential(**{"a.b": lm.relu}), ConfigError, "cannot name a layer"),
        (lambda: lm.Graph("x", {"y": (lm.relu, "z")}, "y"), ConfigError, "reads 'z', which is not computed before"),
        (lambda: lm.Graph("x", {"x": (lm.relu, "x")}, "x"), ConfigError, "cannot name a node"),
        (lambda: lm.Graph("x", {"y": ("q", "x")}, "y"), ConfigError, "calls 'q' again"),
        (lambda: lm.Graph("x", {"y": (lm.relu, "x")}, "z"), ConfigError, "output 'z' is not computed"),
        (lambda: lm.Residual(lm.Dense(3)).init(KEY, (6,)), ShapeError, r"\(3,\) to its shortcut's \(6,\)"),
        (lambda: lm.Sequential(a=lm.Sequential(b=lm.Conv(3, 3))).init(KEY, (6,)), ShapeError, r"layer 'a\.b"),
        (lambda: lm.Sequential(lm.Dense(3)).init(KEY, "large"), ConfigError, "Expected an input shape"),
        (
            lambda: lm.Tied(lm.Sequential(lm.Dense(3)), {"0.kernel": "1.kernel"}).init(KEY, (6,)),
            ConfigError,
            "no parameter '1.kernel'",
        ),
        (
            lambda: lm.Tied(lm.Sequential(lm.Dense(3), lm.Dense(3)), {"1.kernel": "0.kernel"}).init(KEY, (6,)),
            ConfigError,
            r"shape \(3, 3\), but 0.kernel has \(6, 3\)",
        ),
    ],
)
def test_refusals_name_the_fault(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_an_input_that_does_not_fit_the_weights_names_the_layer():
    net = lm.Sequential(lm.relu, head=lm.Dense(3))
    params, state = net.init(KEY, (6,))
    with pytest.raises(ShapeError, match=r"layer 'head \(Dense\)': Dense expects 6 inputs"):
        net.apply(params, state, jnp.ones((2, 5)))


def test_dropout_without_a_key_says_how_to_give_one():
    net = lm.Sequential(drop=lm.Dropout(0.5))
    with pytest.raises(ConfigError, match="'drop' needs random numbers"):
        net.apply({}, {}, X, train=True)


def test_part_finds_layers_by_path():
    net = lm.Sequential(a=lm.Sequential(b=lm.Dense(3)))
    assert net.part("a.b") == lm.Dense(3)
    assert net.part("a.c") is None
