"""The zoo's networks compute what torchvision's do: logits, gradients, running statistics.

tools/torchvision_reference.py wrote the numbers of tests/zoo/torchvision.json, and its formula gives the weights and
pictures on both sides.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina import zoo
from lamina.config import from_json, to_json
from lamina.losses import SoftmaxCrossEntropy
from lamina.zoo import weights
from lamina.zoo.naming import Entry, entries

REFERENCE = json.loads(Path(__file__).with_name("torchvision.json").read_text())["networks"]
TIMES = 10  # as far from float64 as torchvision's own float32 is
FAST = ("resnet18", "squeezenet1_1")
NAMES = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in REFERENCE]


@pytest.fixture(scope="module")
def formula() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "torchvision_reference.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_dropout(value: Any) -> Any:
    """A network's JSON with every dropout's rate 0."""
    if isinstance(value, list):
        return [without_dropout(item) for item in value]
    if not isinstance(value, dict):
        return value
    changes = {"rate": 0.0} if value.get("type") == "Dropout" else {}
    return {key: without_dropout(item) for key, item in value.items()} | changes


def results(network: lm.Layer, params: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any, Any]:
    """Logits in evaluation, gradients of the loss in training, the running statistics after it."""

    def loss(params: Any) -> tuple[jax.Array, Any]:
        tape = lm.Tape()
        outputs, after = network.apply(params, state, x, train=True, key=jax.random.key(0), tape=tape)
        cross_entropy = SoftmaxCrossEntropy()
        heads = [weight * cross_entropy(logits, y) for _, _, (weight, logits) in tape.emitted]
        return sum(heads, cross_entropy(outputs, y)), after

    gradients, after = jax.grad(loss, has_aux=True)(params)
    return network.apply(params, state, x)[0], gradients, after


def at(entry: Entry, params: Any, state: Any) -> np.ndarray:
    value = state if entry.running else params
    for part in entry.path:
        value = value[part]
    return entry.to_torch(np.asarray(value))


@pytest.mark.parametrize("name", NAMES)
def test_as_torchvision(name: str, formula: ModuleType) -> None:
    found, expected = zoo.architecture(name), REFERENCE[name]
    network = from_json(without_dropout(to_json(zoo.build(name, formula.CLASSES))))
    in_shape = (*expected["size"], 3)
    named = entries(network, in_shape, found.unnamed)
    tensors = {entry.name: formula.tensor(entry.name, entry.torch_shape, **expected["formula"]) for entry in named}
    params, state = weights.assign(network, in_shape, tensors, found.unnamed)
    x = jnp.asarray(formula.pictures(expected["seed"], expected["size"]).transpose(0, 2, 3, 1))
    logits, gradients, after = jax.jit(results, static_argnums=0)(
        network, params, state, x, jnp.asarray(formula.labels())
    )
    far = np.linalg.norm(np.asarray(logits, np.float64).ravel() - expected["logits"])
    assert far < TIMES * expected["logits_distance"]

    tensors = ((entry.name, at(entry, gradients, after)) for entry in named)
    got = formula.projections(tensors)
    assert set(got) == set(expected["tensors"])
    distances = {}
    for key, (_, theirs, *exact) in expected["tensors"].items():
        distances[key] = np.sqrt(np.mean((got[key] - exact) ** 2)), theirs
        # Only four projections tell the norm of a single tensor within a factor of 2.
        assert distances[key][0] < 2 * TIMES * theirs, key
    ours, theirs = np.linalg.norm([pair for key, pair in distances.items() if not key.startswith("running")], axis=0)
    assert ours < TIMES * theirs
