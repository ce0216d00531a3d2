"""Configurations: printing, comparing, JSON and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

import lamina as lm
from lamina.config import Config, from_json, to_json
from lamina.errors import ConfigError
from lamina.initializers import Initializer
from lamina.layers.base import Layer


def test_round_trip_keeps_equality_and_hash():
    net = lm.Sequential(lm.Conv(8, (3, 5), strides=2), lm.BatchNorm(), lm.relu, end=lm.Dense(3))
    back = from_json(json.loads(json.dumps(to_json(net))), Layer)
    assert back == net
    assert hash(back) == hash(net)
    assert repr(back) == repr(net)


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(lm.Dense(3)) == "Dense(units=3)"
    assert repr(lm.Dense(3, use_bias=False)) == "Dense(units=3, use_bias=False)"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"type": "Dens", "units": 3}, "Unknown type 'Dens'.*Did you mean 'Dense'"),
        ({"units": 3}, "Unknown type None"),
        ({"type": "Dense", "unit": 3}, "Dense has no field 'unit'.*Did you mean 'units'"),
        ({"type": "Dense"}, "Dense cannot be built"),
        ({"type": "Dense", "units": 0}, "at least 1 for units"),
        ({"type": "Dense", "units": "many"}, "Dense"),
        ({"type": "os.system", "command": "true"}, "Unknown type 'os.system'"),
        ([1, 2], "Expected a Layer"),
        ({"type": "Zeros"}, "Expected a Layer"),
    ],
)
def test_json_that_is_no_network_is_refused(data, words):
    with pytest.raises(ConfigError, match=words):
        from_json(data, Layer)


@pytest.mark.parametrize("value", [lambda x: x, object(), float("nan"), {"a": 1}])
def test_values_without_a_form_as_data_are_refused(value):
    with pytest.raises(ConfigError):
        to_json((value,))


def test_a_class_of_ones_own_is_found_once_defined_but_takes_no_name_of_lamina():
    @dataclass(frozen=True, repr=False)
    class Doubler(Layer):
        factor: float = 2.0

    assert from_json(to_json(Doubler(3.0))) == Doubler(3.0)
    with pytest.raises(ConfigError, match="'Dense' is taken"):
        type("Dense", (Layer,), {"__module__": "mine"})


def test_fields_may_be_configurations():
    assert isinstance(from_json(to_json(lm.Dense(2))).kernel_init, Initializer)
    assert issubclass(Layer, Config)
