"""Initial values against the formulas and functions of PyTorch and JAX."""

from __future__ import annotations

import json
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from lamina import initializers as init
from lamina.config import from_json, to_json
from lamina.errors import ConfigError

ALL = [
    init.Zeros(),
    init.Ones(),
    init.Constant(-0.5),
    init.Uniform(0.1),
    init.Normal(0.02),
    init.TruncatedNormal(0.1),
    init.GlorotUniform(),
    init.GlorotNormal(gain=1.5),
    init.LeCunUniform(),
    init.LeCunNormal(),
    init.HeUniform(),
    init.HeNormal(),
    init.FanInUniform(),
    init.Orthogonal(gain=2.0),
    init.Dirac(groups=2),
]
KERNEL = (3, 3, 16, 32)  # fan_in 144, fan_out 288
TORCH = torch.empty(32, 16, 3, 3)


def from_torch(fill: Any, **options: Any) -> float:
    """Standard deviation that PyTorch gives the same convolution's kernel."""
    torch.manual_seed(0)
    return float(fill(TORCH.clone(), **options).std())


@pytest.mark.parametrize(
    ("initializer", "std", "limit"),
    [
        (init.GlorotUniform(), from_torch(torch.nn.init.xavier_uniform_), math.sqrt(6 / 432)),
        (init.GlorotUniform(2.0), from_torch(torch.nn.init.xavier_uniform_, gain=2.0), 2 * math.sqrt(6 / 432)),
        (init.GlorotNormal(), from_torch(torch.nn.init.xavier_normal_), None),
        (init.GlorotNormal(0.5), from_torch(torch.nn.init.xavier_normal_, gain=0.5), None),
        (init.HeUniform(), from_torch(torch.nn.init.kaiming_uniform_), math.sqrt(6 / 144)),
        (init.HeNormal(), from_torch(torch.nn.init.kaiming_normal_), None),
        (init.LeCunUniform(), from_torch(torch.nn.init.kaiming_uniform_, nonlinearity="linear"), math.sqrt(3 / 144)),
        (init.LeCunNormal(), from_torch(torch.nn.init.kaiming_normal_, nonlinearity="linear"), None),
        (init.FanInUniform(), from_torch(torch.nn.init.kaiming_uniform_, a=math.sqrt(5)), 1 / 12),
        (init.Uniform(0.3), from_torch(torch.nn.init.uniform_, a=-0.3, b=0.3), 0.3),
        (init.Normal(0.3), from_torch(torch.nn.init.normal_, std=0.3), None),
        (init.TruncatedNormal(0.3), from_torch(torch.nn.init.trunc_normal_, std=0.3, a=-0.6, b=0.6), 0.6),
    ],
)
def test_spread_is_that_of_torch(initializer: init.Initializer, std: float, limit: float | None) -> None:
    values = np.asarray(initializer(jax.random.key(0), KERNEL), np.float64)
    assert values.shape == KERNEL
    np.testing.assert_allclose(values.std(), std, rtol=0.03)
    assert abs(values.mean()) < 4 * std / math.sqrt(values.size)
    if limit is not None:
        assert 0.99 * limit < np.abs(values).max() <= limit * (1 + 1e-6)
    else:
        # A normal, not cut off: 0.27 % lie beyond three standard deviations.
        assert 0.001 < np.mean(np.abs(values) > 3 * std) < 0.005


@pytest.mark.parametrize(
    ("initializer", "mode", "distribution", "scale"),
    [
        (init.GlorotUniform(), "fan_avg", "uniform", 1.0),
        (init.LeCunNormal(), "fan_in", "normal", 1.0),
        (init.HeUniform(), "fan_in", "uniform", 2.0),
        (init.FanInUniform(), "fan_in", "uniform", 1 / 3),
    ],
)
@pytest.mark.parametrize("shape", [(7,), (300, 40), (5, 6, 20)])
def test_scale_is_that_of_jax(
    initializer: init.Initializer, mode: Any, distribution: Any, scale: float, shape: tuple[int, ...]
) -> None:
    if len(shape) < 2:  # JAX knows no fans of a vector; ours are its length
        theirs = jax.nn.initializers.variance_scaling(scale, mode, distribution)(jax.random.key(0), (*shape, *shape))
        assert np.abs(initializer(jax.random.key(0), shape)).max() < 4 * np.abs(theirs).max()
        return
    theirs = jax.nn.initializers.variance_scaling(scale, mode, distribution)(
        jax.random.key(0), (math.prod(shape[:-2]) * shape[-2], shape[-1]) if mode == "fan_in" else shape
    )
    # The same draws in the same order, so the same numbers up to the scale's rounding.
    ours = np.asarray(initializer(jax.random.key(0), shape)).ravel()
    np.testing.assert_allclose(ours, np.asarray(theirs).ravel(), rtol=1e-5, atol=1e-7)


def test_constants() -> None:
    for initializer, value in ((init.Zeros(), 0.0), (init.Ones(), 1.0), (init.Constant(-0.5), -0.5)):
        np.testing.assert_array_equal(initializer(jax.random.key(0), (2, 3)), np.full((2, 3), value))


@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (3, 3, 2, 7), (4, 4)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = np.asarray(init.Orthogonal(gain=2.0)(jax.random.key(0), shape), np.float64).reshape(-1, shape[-1])
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(gram, 4 * np.eye(min(matrix.shape)), atol=1e-5)


@pytest.mark.parametrize(
    ("window", "inputs", "outputs", "groups"),
    [((3,), 4, 4, 1), ((3, 5), 3, 6, 1), ((2, 3, 3), 2, 6, 3), ((1, 1), 5, 2, 1)],
)
def test_dirac_is_that_of_torch(window: tuple[int, ...], inputs: int, outputs: int, groups: int) -> None:
    theirs = torch.nn.init.dirac_(torch.empty(outputs, inputs, *window), groups).movedim((0, 1), (-1, -2))
    ours = init.Dirac(groups)(jax.random.key(0), (*window, inputs, outputs))
    np.testing.assert_array_equal(ours, theirs)


def test_dirac_of_a_matrix_is_the_identity() -> None:
    np.testing.assert_array_equal(init.Dirac()(jax.random.key(0), (3, 4)), np.eye(3, 4))


@pytest.mark.parametrize("initializer", ALL, ids=repr)
def test_is_data_and_depends_on_its_key_alone(initializer: init.Initializer) -> None:
    again = from_json(json.loads(json.dumps(to_json(initializer))), init.Initializer)
    assert again == initializer
    assert eval(repr(initializer), {name: getattr(init, name) for name in init.__all__}) == initializer
    one, other = (np.asarray(initializer(jax.random.key(seed), (4, 6))) for seed in (0, 1))
    assert one.dtype == np.float32
    jitted = jax.jit(initializer, static_argnums=1)(jax.random.key(0), (4, 6))
    np.testing.assert_allclose(one, jitted, rtol=1e-5, atol=1e-6)
    drawn = not isinstance(initializer, init.Zeros | init.Ones | init.Constant | init.Dirac)
    assert np.array_equal(one, other) != drawn


def test_every_initializer_is_tested() -> None:
    assert {type(initializer).__name__ for initializer in ALL} == set(init.__all__) - {"Initializer"}


@pytest.mark.parametrize("initializer", ALL, ids=repr)
def test_stays_float32_in_double_precision(initializer: init.Initializer, x64: None) -> None:
    assert initializer(jax.random.key(0), (4, 6)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: init.Uniform(0), r"positive finite limit\. Received: limit=0"),
        (lambda: init.Normal(-1.0), r"positive finite std\. Received: std=-1\.0"),
        (lambda: init.TruncatedNormal(float("inf")), r"Received: std=inf"),
        (lambda: init.GlorotUniform("2"), r"Received: gain='2'"),
        (lambda: init.Constant(None), r"Received: value=None"),
        (
            lambda: init.Orthogonal()(jax.random.key(0), (3,)),
            r"matrix or a convolution's kernel\. Received: shape=\(3,\)",
        ),
        (
            lambda: init.Dirac(2)(jax.random.key(0), (3, 3, 1, 5)),
            r"its 2 groups divide\. Received: shape=\(3, 3, 1, 5\)",
        ),
        (lambda: init.Dirac(1.5), r"Received: groups=1\.5"),
    ],
)
def test_refuses_bad_options(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
