"""Saliency and integrated gradients against formulas and PyTorch."""

from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import lamina as lm
from lamina import layers as L
from lamina.errors import ConfigError
from lamina.explain import integrated_gradients, saliency, subject
from lamina.model import Model

from .conftest import MakeModel


@pytest.mark.parametrize(
    ("task", "name", "column", "sign"),
    [
        ("classify", "owl", 2, 1),
        ("binary", "cat", 0, -1),
        ("binary", "dog", 0, 1),
        ("multilabel", "dog", 1, 1),
        ("regress", "age", 1, 1),
    ],
)
def test_a_linear_networks_weights_are_its_gradient(
    make_model: MakeModel, photo: np.ndarray, task: str, name: str, column: int, sign: int
) -> None:
    model = make_model(L.Flatten(), task=task)
    weights = np.asarray(model.params["1"]["kernel"])[:, column].reshape(12, 10, 3)
    found = saliency(model, photo, name)
    assert found.shape == (12, 10)
    np.testing.assert_allclose(found, np.abs(weights).max(axis=-1), rtol=1e-5)
    x = (photo - 128.0) / 64.0
    attributed = integrated_gradients(model, photo, name, steps=3)
    np.testing.assert_allclose(attributed.values, sign * weights * x, rtol=1e-4, atol=1e-6)
    assert attributed.score == pytest.approx(sign * float((weights * x).sum()), abs=1e-4)
    assert attributed.baseline_score == 0


def test_saliency_is_pytorchs_gradient(convnet: Model, photo: np.ndarray) -> None:
    params, state = convnet.params, convnet.state
    first, second = torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.Conv2d(6, 8, 3, padding=1)
    norm, dense = torch.nn.BatchNorm2d(6, eps=convnet.network.part("1").epsilon), torch.nn.Linear(8, 3)
    with torch.no_grad():
        for layer, name in ((first, "0"), (second, "4")):
            layer.weight.copy_(torch.tensor(np.asarray(params[name]["kernel"])).permute(3, 2, 0, 1))
            layer.bias.copy_(torch.tensor(np.asarray(params[name]["bias"])))
        norm.running_mean.copy_(torch.tensor(np.asarray(state["1"]["mean"])))
        norm.running_var.copy_(torch.tensor(np.asarray(state["1"]["var"])))
        dense.weight.copy_(torch.tensor(np.asarray(params["8"]["kernel"])).T)
        dense.bias.copy_(torch.tensor(np.asarray(params["8"]["bias"])))
    gelu = torch.nn.GELU(approximate="tanh" if convnet.network.part("5").approximate else "none")
    net = torch.nn.Sequential(first, norm, torch.nn.ReLU(), torch.nn.MaxPool2d(2), second, gelu).eval()
    x = torch.tensor((photo - 128.0) / 64.0, dtype=torch.float32).permute(2, 0, 1)[None].requires_grad_()
    scores = dense(net(x).mean(dim=(2, 3)))[0]
    for column, name in enumerate(convnet.target.names):
        (gradient,) = torch.autograd.grad(scores[column], x, retain_graph=True)
        expected = gradient[0].abs().amax(dim=0).numpy()
        np.testing.assert_allclose(saliency(convnet, photo, name), expected, rtol=1e-3, atol=1e-6)


def test_what_closes_the_network_is_not_part_of_the_score(make_model: MakeModel, photo: np.ndarray) -> None:
    body = (L.Conv(4, 3), L.tanh, L.Flatten())
    for task, end in (("classify", L.softmax), ("binary", L.sigmoid)):
        plain, closed = make_model(*body, task=task), make_model(*body, task=task, end=(end,))
        np.testing.assert_array_equal(saliency(plain, photo, "dog"), saliency(closed, photo, "dog"))


def test_a_square_is_attributed_exactly(make_model: MakeModel, photo: np.ndarray) -> None:
    # ∫₀¹ 2 w (b + t (x − b)) dt (x − b) = w (x² − b²), from two points of the quadrature on.
    model = make_model(L.Function(jnp.square), L.Flatten())
    weights = np.asarray(model.params["2"]["kernel"])[:, 1].reshape(12, 10, 3)
    x, baseline = (photo - 128.0) / 64.0, np.asarray([0.5, -1.0, 0.25])
    found = integrated_gradients(model, photo, "dog", baseline=baseline, steps=2)
    np.testing.assert_allclose(found.values, weights * (x**2 - baseline**2), rtol=1e-3, atol=1e-5)
    assert found.gap == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("task", ["classify", "binary", "multilabel", "regress"])
def test_attributions_add_up_to_the_difference_of_the_scores(
    make_model: MakeModel, photo: np.ndarray, task: str
) -> None:
    model = make_model(L.Conv(6, 3), L.tanh, L.MaxPool(2), L.Conv(8, 3), L.gelu, L.Flatten(), task=task)
    name = model.target.names[-1]
    found = integrated_gradients(model, photo, name)
    blank = np.full((12, 10, 3), 128, np.uint8)

    def score(pixels: np.ndarray) -> float:
        return float(model.outputs(lm.data.ArraySplit(pixels[None], np.zeros(1)))[0, -1])

    assert found.values.shape == (12, 10, 3)
    assert found.score == pytest.approx(score(photo), abs=1e-4)
    assert found.baseline_score == pytest.approx(score(blank), abs=1e-4)
    difference = score(photo) - score(blank)
    assert abs(difference) > 0.05
    assert found.values.sum() == pytest.approx(difference, abs=0.005 * abs(difference) + 1e-3)
    assert found.gap == pytest.approx(found.values.sum() - difference, abs=1e-3)


def test_the_two_classes_of_one_logit_are_opposites(make_model: MakeModel, photo: np.ndarray) -> None:
    model = make_model(L.Conv(4, 3), L.gelu, L.Flatten(), task="binary")
    cat, dog = (integrated_gradients(model, photo, name) for name in ("cat", "dog"))
    np.testing.assert_allclose(cat.values, -dog.values, rtol=1e-5)
    assert cat.score == -dog.score


def test_portions_change_nothing(convnet: Model, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = integrated_gradients(convnet, photo, steps=10)
    monkeypatch.setattr(subject, "_MOST", 4)  # 4 + 4 + 2
    np.testing.assert_allclose(integrated_gradients(convnet, photo, steps=10).values, whole.values, atol=1e-5)
    monkeypatch.setattr(subject, "_MEMORY", 1)
    assert subject.examine(convnet, photo).portion == 1
    np.testing.assert_allclose(integrated_gradients(convnet, photo, steps=10).values, whole.values, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "at least 1. Received: steps=0"),
        ({"steps": 2.5}, "whole number of steps"),
        ({"baseline": np.zeros((3, 3))}, "broadcasts to the network's input (12, 10, 3). Received: shape (3, 3)"),
        ({"baseline": "black"}, "Received: 'black'"),
        ({"baseline": np.nan}, "NaN"),
    ],
)
def test_what_cannot_be_integrated_is_refused(
    convnet: Model, photo: np.ndarray, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        integrated_gradients(convnet, photo, **options)  # type: ignore[arg-type]
