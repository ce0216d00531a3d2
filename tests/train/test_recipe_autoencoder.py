"""The auto-encoders that are chosen."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import lamina as lm
from lamina.data import Data
from lamina.errors import ConfigError, ShapeError
from lamina.losses import BinaryCrossEntropy, SquaredError
from lamina.train.recipe_autoencoder import ARCHITECTURES, autoencoder
from lamina.train.recipes import choose


def pictures(height: int, width: int, channels: int = 1) -> Data:
    random = np.random.default_rng(0)
    return lm.data.load(random.integers(0, 256, (20, height, width, channels), np.uint8), task="autoencode")


def test_pictures_of_mnists_size_get_the_papers_network() -> None:
    recipe = autoencoder(pictures(28, 28), 30)
    network = recipe.network
    assert isinstance(network, lm.Autoencoder)
    params, _ = jax.eval_shape(lambda key: network.init(key, (28, 28, 1)), jax.random.key(0))
    down = [leaf["kernel"].shape for leaf in params["encoder"].values()]
    up = [leaf["kernel"].shape for leaf in params["decoder"].values()]
    assert down == [(784, 1000), (1000, 500), (500, 250), (250, 30)]
    assert up == [(30, 250), (250, 500), (500, 1000), (1000, 784)]
    assert recipe.loss == BinaryCrossEntropy()


@pytest.mark.parametrize(("height", "width", "channels"), [(64, 48, 3), (33, 47, 1), (96, 96, 3), (100, 35, 1)])
@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_every_network_gives_back_the_inputs_shape_and_has_the_code_that_was_asked_for(
    height: int, width: int, channels: int, arch: str
) -> None:
    data = pictures(height, width, channels)
    network = autoencoder(data, 7, arch).network
    assert isinstance(network, lm.Autoencoder)
    spec = data.preprocessing.input_spec()
    assert network.out_spec(spec).shape == spec.shape
    assert network.code_spec(spec).shape == (7,)


def test_large_pictures_are_convolved_and_other_numbers_have_no_sigmoid() -> None:
    assert "Conv" in repr(choose(pictures(64, 64)).network)
    assert "Conv" not in repr(choose(pictures(28, 28)).network)
    x = np.random.default_rng(0).normal(size=(40, 12))
    standardised = choose(lm.data.load(x, task="autoencode"))
    assert standardised.loss == SquaredError()
    assert "Sigmoid" not in repr(standardised.network)
    assert isinstance(standardised.network, lm.Autoencoder)
    assert standardised.network.code_spec(lm.layers.base.spec((12,))).shape == (3,)


def test_a_code_as_large_as_the_input_is_refused_and_a_network_of_another_shape_too() -> None:
    data = lm.data.load(np.random.default_rng(0).normal(size=(40, 4)), task="autoencode")
    with pytest.raises(ConfigError, match="A code of 4 units is no smaller than the input of 4"):
        autoencoder(data, 4)
    with pytest.raises(ConfigError, match="takes pictures; these examples have the shape"):
        autoencoder(data, 2, "convnet")
    with pytest.raises(ShapeError, match=r"its output has shape \(3,\), the input \(4,\)"):
        lm.fit(lm.Autoencoder(lm.Dense(2), lm.Dense(3)), data, progress=False)


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_binary_cross_entropy_is_refused_where_it_has_no_meaning(scale: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
    data = lm.data.load(x, task="autoencode", scale=scale)
    flat, back = lm.Flatten(), lm.Reshape((4, 4, 1))
    end = [lm.sigmoid] if scale == "standard" else []
    network = lm.Autoencoder(lm.Sequential(flat, lm.Dense(2)), lm.Sequential(lm.Dense(16), *end, back))
    message = "inputs between 0 and 1; these are -1" if scale == "standard" else "outputs between 0 and 1"
    with pytest.raises(ConfigError, match=message):
        lm.fit(network, data, loss="binary_cross_entropy", progress=False)


@pytest.mark.parametrize(
    "options",
    [
        {"noise": lm.MaskingNoise(0.3)},
        {"noise": lm.GaussianNoise(0.2)},
        {"sparsity": lm.ActivityL1(1e-3)},
        {"variational": True, "beta": 0.1},
        {"tied": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_kind_learns_without_labels(options: dict[str, object]) -> None:
    data = lm.data.load("digits", task="autoencode")
    units = 16 if "variational" in options else 8
    network = lm.Autoencoder(
        lm.Sequential(lm.Flatten(), lm.Dense(32), lm.relu, lm.Dense(units)),
        lm.Sequential(lm.Dense(32), lm.relu, lm.Dense(64), lm.sigmoid, lm.Reshape((8, 8, 1))),
        **options,  # type: ignore[arg-type]
    )
    run = lm.fit(network, data, loss="binary_cross_entropy", epochs=15, progress=False)
    assert run.test["variance_explained"].value > 0.4  # type: ignore[operator]
    assert run.model.encode(data.validation).shape[1] == 8
