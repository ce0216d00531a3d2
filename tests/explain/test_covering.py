"""Occlusion against brute force."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from lamina import layers as L
from lamina.errors import ConfigError
from lamina.explain import occlusion
from lamina.model import Model

from .conftest import MakeModel


def answer(model: Model, pixels: np.ndarray, column: int) -> float:
    said = model.predict(pixels)
    values = said.probabilities if said.values is None else said.values
    assert values is not None
    return float(values[0, column])


@pytest.mark.parametrize("task", ["classify", "binary", "multilabel", "regress"])
@pytest.mark.parametrize(("window", "stride"), [((4, 3), (3, 2)), (5, 5), ((12, 1), 1)])
def test_it_is_what_covering_the_pixels_does(
    make_model: MakeModel, photo: np.ndarray, task: str, window: int | tuple[int, int], stride: int | tuple[int, int]
) -> None:
    model = make_model(L.Conv(4, 3), L.relu, L.Flatten(), task=task)
    (tall, wide), (down, across) = (pair if isinstance(pair, tuple) else (pair, pair) for pair in (window, stride))
    column = 0
    whole = answer(model, photo, column)
    falls: list[list[list[float]]] = [[[] for _ in range(10)] for _ in range(12)]
    for top in [*range(0, 12 - tall, down), 12 - tall]:
        for left in [*range(0, 10 - wide, across), 10 - wide]:
            covered = photo.copy()
            covered[top : top + tall, left : left + wide] = 128  # the training mean
            fall = whole - answer(model, covered, column)
            for row in range(top, top + tall):
                for place in range(left, left + wide):
                    falls[row][place].append(fall)
    expected = np.asarray([[np.mean(found) for found in row] for row in falls])
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(
        occlusion(model, photo, model.target.names[column], window, stride), expected, rtol=1e-3, atol=1e-5
    )


def test_only_what_is_looked_at_is_missed(make_model: MakeModel, photo: np.ndarray) -> None:
    model = make_model(L.Function(lambda x: x[:, 2:4, 5:7]), L.Flatten())
    found = occlusion(model, photo, window=1, stride=1)
    looked_at = np.zeros((12, 10), bool)
    looked_at[2:4, 5:7] = True
    assert np.abs(found[looked_at]).min() > 1e-4
    np.testing.assert_allclose(found[~looked_at], 0, atol=1e-6)


def test_the_default_window_covers_everything(make_model: MakeModel, photo: np.ndarray) -> None:
    # Probabilities of a constant network do not fall; a pixel without a window would be NaN.
    model = make_model(L.Function(jnp.zeros_like), L.Flatten())
    np.testing.assert_allclose(occlusion(model, photo), np.zeros((12, 10)), atol=1e-6)


@pytest.mark.parametrize(
    ("window", "stride", "words"),
    [
        (0, 1, r"at least 1 and at most 12×10, the network's input. Received: window=0"),
        ((3, 11), 1, r"Received: window=\(3, 11\)"),
        (2.5, 1, r"Received: window=2.5"),
        (3, 4, r"at most 3×3, the window, or some pixels would never be covered. Received: stride=4"),
        (3, True, r"Received: stride=True"),
    ],
)
def test_windows_that_do_not_fit_are_refused(
    convnet: Model, photo: np.ndarray, window: int, stride: int, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        occlusion(convnet, photo, window=window, stride=stride)
