"""Auto-encoders: tied weights, the variational code, what may stand together, the body that is left."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import lamina.layers as lm
from lamina.errors import ConfigError, ShapeError
from lamina.layers.autoencoder import autoencoder_in

KEY = jax.random.key(0)


def made(net: lm.Layer, shape: Any) -> Any:
    return jax.jit(lambda key: net.init(key, shape))(KEY)


def test_a_tied_decoders_kernels_are_the_encoders_transposed_in_mirrored_order() -> None:
    net = lm.Autoencoder(
        lm.Sequential(lm.Dense(4), lm.tanh, lm.Dense(2)), lm.Sequential(lm.Dense(4), lm.tanh, lm.Dense(6)), tied=True
    )
    params, _ = made(net, (6,))
    assert set(params["decoder"]["0"]) == set(params["decoder"]["2"]) == {"bias"}
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    first, second = params["encoder"]["0"]["kernel"], params["encoder"]["2"]["kernel"]
    expected = np.tanh(np.tanh(x @ first) @ second @ second.T) @ first.T
    np.testing.assert_allclose(net.apply(params, {}, x)[0], expected, rtol=1e-4, atol=1e-5)
    gradient = jax.grad(lambda params: jnp.sum(net.apply(params, {}, x)[0]))(params)
    assert jax.tree.structure(gradient) == jax.tree.structure(params)


def test_a_tied_convolutional_decoder_is_the_adjoint_of_its_encoder() -> None:
    net = lm.Autoencoder(
        lm.Conv(4, 3, strides=2, use_bias=False), lm.ConvTranspose(2, 3, strides=2, use_bias=False), tied=True
    )
    params, _ = made(net, (6, 6, 2))
    assert set(params) == {"encoder"}
    random = np.random.default_rng(0)
    x, y = (jnp.asarray(random.normal(size=shape), jnp.float32) for shape in ((1, 6, 6, 2), (1, 3, 3, 4)))
    (encoder, own, _), _ = net.halves(params, {})
    _, adjoint = jax.vjp(lambda x: encoder.apply(own, {}, x)[0], x)
    (_, _, _), (decoder, back, _) = net.halves(params, {})
    np.testing.assert_allclose(decoder.apply(back, {}, y)[0], adjoint(y)[0], rtol=1e-4, atol=1e-5)


def test_the_variational_code_is_sampled_in_training_and_its_mean_in_evaluation() -> None:
    code = lm.GaussianCode(beta=2.0)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(20_000, 4)), jnp.float32)
    np.testing.assert_array_equal(code.apply({}, {}, x)[0], x[:, :2])
    tape = lm.Tape()
    drawn, _ = code.apply({}, {}, x, train=True, key=KEY, tape=tape)
    noise = (drawn - x[:, :2]) / jnp.exp(0.5 * x[:, 2:])
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    ((kind, _, emitted),) = tape.emitted
    mean, std = torch.tensor(np.asarray(x[:, :2])), torch.exp(0.5 * torch.tensor(np.asarray(x[:, 2:])))
    ours, standard = torch.distributions.Normal(mean, std), torch.distributions.Normal(0.0, 1.0)
    expected = 2.0 * torch.distributions.kl_divergence(ours, standard).sum(1).mean()
    assert kind == "loss"
    assert float(emitted) == pytest.approx(float(expected), rel=1e-4)


def test_the_divergence_is_weighed_against_a_loss_that_is_a_mean_over_the_inputs_numbers() -> None:
    net = lm.Autoencoder(lm.Dense(4), lm.Dense(10), variational=True, beta=3.0)
    params, state = made(net, (10,))
    x = jnp.ones((2, 10))
    tape, alone = lm.Tape(), lm.Tape()
    net.apply(params, state, x, train=True, key=KEY, tape=tape)
    code, _ = lm.Dense(4).apply(params["encoder"], {}, x)
    lm.GaussianCode(3.0).apply({}, {}, code, train=True, key=KEY, tape=alone)
    assert float(tape.emitted[0][2]) == pytest.approx(float(alone.emitted[0][2]) / 10)


def test_noise_and_penalties_are_there_in_training_only() -> None:
    net = lm.Autoencoder(lm.Dense(3), lm.Dense(6), noise=lm.MaskingNoise(0.5), sparsity=lm.ActivityL1(0.5))
    params, state = made(net, (6,))
    x = jnp.ones((4, 6))
    tape = lm.Tape()
    evaluated, _ = net.apply(params, state, x, tape=tape)
    assert not tape.emitted
    trained, _ = net.apply(params, state, x, train=True, key=KEY, tape=tape)
    assert len(tape.emitted) == 1
    assert not np.allclose(evaluated, trained)


@pytest.mark.parametrize("variational", [False, True])
def test_the_body_and_the_chain_for_evaluation_do_what_the_auto_encoder_does(variational: bool) -> None:
    net = lm.Autoencoder(
        lm.Sequential(lm.Dense(8), lm.BatchNorm(), lm.relu, lm.Dense(4)), lm.Dense(6), variational=variational
    )
    params, state = made(net, (6,))
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    whole, _ = net.apply(params, state, x)
    chain, own, kept = net.for_evaluation(params, state)
    np.testing.assert_allclose(chain.apply(own, kept, x)[0], whole, rtol=1e-5)
    (encoder, *weights), (decoder, *back) = net.halves(params, state)
    code, _ = encoder.apply(*weights, x)
    assert code.shape[1:] == net.code_spec(lm.base.spec((6,))).shape == ((2,) if variational else (4,))
    np.testing.assert_allclose(decoder.apply(*back, code)[0], whole, rtol=1e-5)


def test_an_auto_encoder_is_found_in_a_chain_that_holds_nothing_else() -> None:
    net = lm.Autoencoder(lm.Dense(2), lm.Dense(6))
    chain = lm.Sequential(net=net)
    params, state = made(chain, (6,))
    found = autoencoder_in(chain, params, state)
    assert found is not None
    assert found[0] == net
    assert found[1] == params["net"]
    assert autoencoder_in(lm.Sequential(net, lm.relu), params, state) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lm.Autoencoder(lm.Dense(2), lm.Conv(2, 3), tied=True), "mirrors its encoder's layers.*Dense"),
        (
            lambda: lm.Autoencoder(lm.Dense(2), lm.Sequential(lm.Dense(3), lm.Dense(4)), tied=True),
            "Received: Dense, De",
        ),
        (lambda: lm.Autoencoder(lm.Dense(4), lm.Dense(2), tied=True, variational=True), "cannot be tied"),
        (lambda: lm.Autoencoder(lm.Dense(2), lm.Dense(4), noise=lm.Dropout(0.5)), "noise is MaskingNoise"),
        (lambda: lm.Autoencoder(lm.Dense(2), lm.Dense(4), sparsity=lm.relu), "sparsity is ActivityL1"),
        (lambda: lm.Autoencoder(lm.Dense(2), lm.Dense(4), sparsity=lm.ActivityKL()), "code between 0 and 1"),
        (lambda: lm.Autoencoder(lm.Dense(2), lm.Dense(4), beta=-1.0), "beta between"),
        (
            lambda: lm.Autoencoder(lm.Dense(2), lm.Dense(4), variational=True, sparsity=lm.ActivityL1(1.0)),
            "is not sparse",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_code_of_an_odd_number_and_ties_of_other_sizes_are_refused() -> None:
    with pytest.raises(ShapeError, match="an even number"):
        lm.Autoencoder(lm.Dense(3), lm.Dense(6), variational=True).init(KEY, (6,))
    with pytest.raises(ConfigError, match=r"decoder.kernel has shape \(2, 5\)"):
        lm.Autoencoder(lm.Dense(2), lm.Dense(5), tied=True).init(KEY, (6,))
