"""The loop goes back to the weights before a step that was not finite."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina.data import Data
from lamina.errors import TrainingError
from lamina.layers import Layer
from lamina.optim import SGD
from lamina.train.fitting import prepare
from lamina.train.loop import Plan, Training


def diverged(network: Layer, data: Data, rate: float, rates: tuple[float, ...] = ()) -> tuple[Training, str]:
    optimizer = SGD(1.0 if rates else rate)
    made = prepare(network, data, loss=None, optimizer=optimizer, rates=len(rates))
    params, state = network.init(jax.random.key(0), data.preprocessing.input_spec())
    training = Training(made, data, Plan(3, 16, rates=rates), lambda: (params, state))
    training.compile()
    with pytest.raises(TrainingError) as caught:
        training.run()
    return training, str(caught.value)


@pytest.mark.parametrize("rates", [(), (1e25, 1e30)])
def test_a_loss_that_explodes(rates: tuple[float, ...], blobs: Data) -> None:
    network = lm.Sequential(lm.Dense(8), lm.relu, lm.Dense(8), lm.relu, lm.Dense(blobs.target.units))
    training, words = diverged(network, blobs, 1e25, rates)
    assert training.status == "diverged"
    assert "is not finite" in words
    for rate in range(max(1, len(rates))):
        weights, _ = training.weights(rate)
        if rate == int(np.argmax(np.asarray(training.carry.bad))):
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights))


def test_a_gradient_that_overflows_while_the_loss_is_finite(blobs: Data) -> None:
    network = lm.Sequential(lm.Dense(blobs.target.units), lambda x: jnp.sqrt(x * 0))
    training, words = diverged(network, blobs, 0.1)
    assert "step 1 of" in words
    assert "gradient of" in words
    start, _ = network.init(jax.random.key(0), blobs.preprocessing.input_spec())
    jax.tree.map(np.testing.assert_array_equal, training.weights()[0], start)
