"""Networks that begin with given weights, and chains cut in two."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import lamina as lm
from lamina.errors import ConfigError
from lamina.layers.pretrained import holds_weights
from lamina.layers.surgery import chain_paths, head_path, onward, stages, upto, with_outputs

CHAIN = lm.Sequential(
    features=lm.Sequential(lm.Conv(4, 3), lm.BatchNorm(), lm.relu, lm.Residual(lm.Conv(4, 1))),
    pool=lm.GlobalAvgPool(),
    classifier=lm.Sequential(lm.Dropout(0.5), lm.Dense(5), lm.softmax),
)


def test_the_given_weights_are_used_and_the_rest_is_drawn() -> None:
    params, state = CHAIN.init(jax.random.key(1), (6, 6, 2))
    given = {"features": params["features"]}
    network = lm.Pretrained(CHAIN, given, state)
    got, got_state = network.init(jax.random.key(2), (6, 6, 2))
    drawn, _ = jax.jit(lambda key: CHAIN.init(key, (6, 6, 2)))(jax.random.key(2))
    jax.tree.map(np.testing.assert_array_equal, got, {**drawn, "features": params["features"]})
    jax.tree.map(np.testing.assert_array_equal, got_state, state)
    assert holds_weights(lm.Sequential(lm.relu, network))
    assert not holds_weights(CHAIN)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"head": {"kernel": np.zeros((4, 5))}}, "'head.kernel', which the network does not have"),
        ({"classifier": {"1": {"kernel": np.zeros((4, 6))}}}, r"'classifier.1.kernel' have shape \(4, 6\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        lm.Pretrained(CHAIN, given, {}).init(jax.random.key(0), (6, 6, 2))


def test_two_are_equal_only_with_the_same_weights() -> None:
    params, state = CHAIN.init(jax.random.key(0), (6, 6, 2))
    one, other = lm.Pretrained(CHAIN, params, state), lm.Pretrained(CHAIN, params, state)
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def test_the_head_is_the_last_layer_with_weights() -> None:
    assert head_path(CHAIN) == "classifier.1"
    assert with_outputs(CHAIN, 3).out_spec(jax.ShapeDtypeStruct((6, 6, 2), np.float32)).shape == (3,)
    assert with_outputs(CHAIN, 5) == CHAIN
    squeezed = lm.Sequential(lm.Conv(8, 3), lm.relu, lm.Conv(5, 1), lm.relu, lm.GlobalAvgPool())
    assert head_path(squeezed) == "2"


@pytest.mark.parametrize("network", [lm.Residual(lm.Dense(2)), lm.Sequential(lm.Dense(2), lm.BatchNorm())])
def test_a_network_without_a_head_is_refused(network: lm.Layer) -> None:
    with pytest.raises(ConfigError, match="ends in none"):
        head_path(network)


@pytest.mark.parametrize("path", ["features", "features.1", "pool", "classifier", "classifier.1"])
def test_what_is_cut_in_two_does_the_same(path: str) -> None:
    params, state = CHAIN.init(jax.random.key(0), (6, 6, 2))
    x = np.random.default_rng(0).standard_normal((3, 6, 6, 2)).astype(np.float32)
    whole, _ = CHAIN.apply(params, state, x)
    before, after = upto(CHAIN, path, included=False), onward(CHAIN, path)
    middle, _ = before.apply(params, state, x)
    np.testing.assert_array_equal(after.apply(params, state, middle)[0], whole)
    tape = lm.Tape(wanted=frozenset({path}))
    CHAIN.apply(params, state, x, tape=tape)
    np.testing.assert_array_equal(upto(CHAIN, path).apply(params, state, x)[0], tape.taps[path])


def test_where_a_chain_can_be_cut() -> None:
    assert "features.3" in chain_paths(CHAIN)
    with pytest.raises(ConfigError, match=r"Did you mean 'features\.3'"):
        upto(CHAIN, "features.3.body")
    with pytest.raises(ConfigError, match="Only a Sequential"):
        upto(lm.Residual(lm.Dense(2)), "body")


def test_stages_are_blocks_where_a_part_is_a_chain_of_them() -> None:
    network = lm.zoo.build("resnet18")
    assert stages(network)[:7] == ["conv1", "bn1", "relu", "maxpool", "layer1.0", "layer1.1", "layer2.0"]


def test_frozen_statistics_stay_and_are_used() -> None:
    from lamina.layers import Context

    network = lm.Sequential(lm.Conv(4, 3), lm.BatchNorm(), lm.relu)
    params, state = network.init(jax.random.key(0), (6, 6, 2))
    x = 3 + np.random.default_rng(0).standard_normal((8, 6, 6, 2)).astype(np.float32)
    frozen, kept = network.apply(params, state, x, Context(train=True, frozen_statistics=True))
    np.testing.assert_array_equal(frozen, network.apply(params, state, x)[0])
    jax.tree.map(np.testing.assert_array_equal, kept, state)
    moved = network.apply(params, state, x, train=True)[1]
    assert not np.allclose(moved["1"]["mean"], state["1"]["mean"])
