"""Small models of every task, untrained: what is explained need not be true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from lamina import layers as L
from lamina.data.base import ClassTarget, MultiLabelTarget, Target, ValueTarget
from lamina.data.image_preprocessing import ImagePreprocessing
from lamina.model import Model

MakeModel = Callable[..., Model]

TARGETS: dict[str, Target] = {
    "classify": ClassTarget(("cat", "dog", "owl")),
    "binary": ClassTarget(("cat", "dog")),
    "multilabel": MultiLabelTarget(("cat", "dog", "owl")),
    "regress": ValueTarget(("price", "age"), (10.0, 20.0), (3.0, 5.0)),
}
UNITS = {"classify": 3, "binary": 1, "multilabel": 3, "regress": 2}


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """A function that makes a model of 12×10 pictures: its body, and a Dense head for the task."""

    def make(*body: Any, task: str = "classify", channels: int = 3, end: tuple[Any, ...] = ()) -> Model:
        # A mean that is a whole number: a pixel of that value is 0 in the network's input.
        preprocessing = ImagePreprocessing(12, 10, channels, (128.0,) * channels, (64.0,) * channels)
        net = L.Sequential(*body, L.Dense(UNITS[task]), *end)
        params, state = net.init(jax.random.key(1), preprocessing.input_spec())
        return Model(net, params, state, preprocessing, TARGETS[task])

    return make


@pytest.fixture(scope="session")
def convnet(make_model: MakeModel) -> Model:
    """Two convolutions with what usually stands around them."""
    return make_model(
        L.Conv(6, 3), L.BatchNorm(), L.relu, L.MaxPool(2), L.Conv(8, 3), L.gelu, L.GlobalAvgPool(), L.Dropout(0.5)
    )


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A picture, uint8 ``(12, 10, 3)``."""
    return np.random.default_rng(3).integers(0, 256, (12, 10, 3)).astype(np.uint8)
