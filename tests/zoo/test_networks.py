"""The zoo's networks: as many parameters as torchvision's, and what they take."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import pytest

import lamina as lm
from lamina import zoo
from lamina.config import from_json, to_json
from lamina.errors import ConfigError, ShapeError

# Torchvision's own counts (of GoogLeNet's without its auxiliary heads), and those of the CIFAR networks in table 6 of
# He et al. 2016, to the last one.
PARAMETERS = {
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "mobilenet_v2": 3_504_872,
    "efficientnet_lite0": 4_652_008,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "lenet5": 61_706,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_as_many_parameters_as_in_torchvision(name: str) -> None:
    found = zoo.architecture(name)
    network = (found.plain or found.make)(found.classes)
    assert network.count_parameters(found.input_shape) == PARAMETERS[name]


@pytest.mark.parametrize("found", zoo.networks(), ids=lambda found: found.name)
def test_another_size_other_channels_and_other_classes(found: zoo.Architecture) -> None:
    height, width, _ = found.input_shape
    network = zoo.build(found.name, 7)
    shape = (height + 19, width + 6, 2)
    params, state = jax.eval_shape(lambda key: network.init(key, shape), jax.random.key(0))
    outputs = jax.eval_shape(
        lambda params, state, x: network.apply(params, state, x)[0],
        params,
        state,
        jax.ShapeDtypeStruct((3, *shape), jnp.float32),
    )
    assert outputs.shape == (3, 7)


@pytest.mark.parametrize("found", zoo.networks(), ids=lambda found: found.name)
def test_a_network_is_data(found: zoo.Architecture) -> None:
    network = zoo.build(found.name)
    assert network == zoo.build(found.name)
    assert from_json(to_json(network)) == network


def test_googlenets_heads_add_their_losses_in_training() -> None:
    network = zoo.build("googlenet", 5)
    params, state = jax.eval_shape(lambda key: network.init(key, (64, 64, 3)), jax.random.key(0))
    tape = lm.Tape()
    x = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)

    def run(params, state, x, key):
        return network.apply(params, state, x, train=True, key=key, tape=tape)[0]

    jax.eval_shape(run, params, state, x, jax.random.key(0))
    assert [(kind, path, value[0]) for kind, path, value in tape.emitted] == [
        ("logits", "aux1", 0.3),
        ("logits", "aux2", 0.3),
    ]


def test_an_unknown_name_and_a_picture_that_is_too_small() -> None:
    with pytest.raises(ConfigError, match="no network 'resnet19'") as caught:
        zoo.build("resnet19")
    assert "resnet18" in str(caught.value.hint)
    with pytest.raises(ShapeError, match="features"):
        zoo.build("alexnet").init(jax.random.key(0), (16, 16, 3))


def test_every_paper_is_named() -> None:
    years = [found.year for found in zoo.networks()]
    assert years == sorted(years)
    assert all(found.paper and math.prod(found.input_shape) for found in zoo.networks())
