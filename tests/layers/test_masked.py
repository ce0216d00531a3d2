"""Sequences of unequal length, and what layers do with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ShapeError
from lamina.layers import Masked
from lamina.layers.base import spec

SPEC = Masked(spec((5, 3)), spec((), "int32"))


def made(seed: int = 0) -> Masked:
    rng = np.random.default_rng(seed)
    return Masked(jnp.asarray(rng.normal(size=(4, 5, 3)), jnp.float32), jnp.asarray([5, 1, 3, 2], jnp.int32))


def test_layers_that_take_each_step_by_itself_keep_the_lengths():
    net = lm.Sequential(lm.Dense(4), lm.relu, lm.LayerNorm(), lm.Dropout(0.5))
    params, state = net.init(jax.random.key(0), SPEC)
    x = made()
    y, _ = net.apply(params, state, x)
    assert isinstance(y, Masked)
    assert y.shape == (4, 5, 4)
    np.testing.assert_array_equal(y.lengths, x.lengths)
    plain, _ = net.apply(params, state, x.values)
    np.testing.assert_array_equal(y.values, plain)
    assert net.out_spec(SPEC).shape == (5, 4)


def test_layers_that_would_mix_steps_refuse_them():
    net = lm.Sequential(lm.Dense(4), lm.Flatten())
    with pytest.raises(ShapeError, match=r"'1 .Flatten.'.*mix the steps"):
        net.init(jax.random.key(0), SPEC)


def test_the_mask_says_which_steps_belong_to_a_sequence():
    np.testing.assert_array_equal(np.asarray(made().mask()).sum(axis=1), [5, 1, 3, 2])


def test_masked_sequences_go_through_jit_and_gradients():
    net = lm.Sequential(lm.Residual(lm.Dense(3)), lm.tanh)
    params, state = net.init(jax.random.key(0), SPEC)

    @jax.jit
    def loss(params, x):
        y, _ = net.apply(params, state, x)
        return jnp.sum(jnp.where(y.mask()[..., None], y.values, 0))

    assert np.isfinite(jax.grad(loss)(params, made())["0"]["body"]["kernel"]).all()
