"""Feature maps and Grad-CAM against PyTorch and a formula."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import torch
from torch.nn import functional

from lamina import layers as L
from lamina.errors import ConfigError
from lamina.explain import feature_maps, grad_cam, layers_with_maps
from lamina.model import Model

from .conftest import MakeModel


def tensor(array: object, *axes: int) -> torch.Tensor:
    found = torch.tensor(np.asarray(array))
    return found.permute(axes) if axes else found


def torch_maps(model: Model, photo: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The maps after the second convolution's tanh, and the class scores, of `model`'s network in PyTorch."""
    x = tensor(((photo - 128.0) / 64.0).astype(np.float32), 2, 0, 1)[None]
    for name, stride in (("first", 1), ("second", 2)):
        conv = model.params["body"][name]
        x = torch.tanh(functional.conv2d(x, tensor(conv["kernel"], 3, 2, 0, 1), tensor(conv["bias"]), stride, 1))
    dense = model.params["2"]
    flat = x.permute(0, 2, 3, 1).flatten(1)
    return x.requires_grad_(), flat @ tensor(dense["kernel"]) + tensor(dense["bias"])


@pytest.fixture(scope="module")
def chain(make_model: MakeModel) -> Model:
    body = L.Sequential(first=L.Conv(5, 3, padding=1), a=L.tanh, second=L.Conv(7, 3, strides=2, padding=1), b=L.tanh)
    made = make_model(L.Flatten())
    net = L.Sequential(body=body, flat=L.Flatten(), **{"2": L.Dense(3)})
    params, state = net.init(jax.random.key(0), (12, 10, 3))
    return Model(net, params, state, made.preprocessing, made.target)


def test_grad_cam_is_pytorchs(chain: Model, photo: np.ndarray) -> None:
    maps, _ = torch_maps(chain, photo)
    leaf = maps.detach().requires_grad_()
    dense = chain.params["2"]
    scores = leaf.permute(0, 2, 3, 1).flatten(1) @ tensor(dense["kernel"]) + tensor(dense["bias"])
    for column, name in enumerate(chain.target.names):
        (gradient,) = torch.autograd.grad(scores[0, column], leaf, retain_graph=True)
        heat = torch.relu((gradient.mean(dim=(2, 3), keepdim=True) * leaf).sum(dim=1, keepdim=True))
        heat = functional.interpolate(heat, (12, 10), mode="bilinear", align_corners=False)[0, 0].detach()
        assert heat.max() > 0
        found = grad_cam(chain, photo, name, "body.b")
        assert found.shape == (12, 10)
        np.testing.assert_allclose(found, (heat / heat.max()).numpy(), atol=1e-4)
        np.testing.assert_array_equal(found, grad_cam(chain, photo, name))  # the last layer with maps


def test_feature_maps_are_pytorchs(chain: Model, photo: np.ndarray) -> None:
    maps, _ = torch_maps(chain, photo)
    expected = maps[0].permute(1, 2, 0).detach().numpy()
    for path in ("body.b", "body"):
        np.testing.assert_allclose(feature_maps(chain, photo, path), expected, atol=1e-5)
    assert feature_maps(chain, photo, "body.first").shape == (12, 10, 5)


def test_with_a_pooled_linear_head_grad_cam_is_the_class_activation_map(
    make_model: MakeModel, photo: np.ndarray
) -> None:
    # Zhou et al. 2016, arXiv:1512.04150: Σₖ wₖ Aᵏ; Selvaraju et al. 2017, appendix A, show that they agree.
    model = make_model(L.Conv(16, 3), L.relu, L.GlobalAvgPool(), task="binary")
    maps = feature_maps(model, photo, "1")
    weighed = maps @ np.asarray(model.params["3"]["kernel"])[:, 0]
    for name, sign in (("dog", 1), ("cat", -1)):
        expected = np.maximum(sign * weighed, 0)
        expected = expected / max(expected.max(), 1e-9)
        np.testing.assert_allclose(grad_cam(model, photo, name), expected, atol=1e-5)


def test_nothing_for_the_class_is_an_empty_map(make_model: MakeModel, photo: np.ndarray) -> None:
    model = make_model(L.Conv(4, 3), L.relu, L.GlobalAvgPool())
    model.params["3"]["kernel"] = -np.abs(np.asarray(model.params["3"]["kernel"]))
    np.testing.assert_array_equal(grad_cam(model, photo, "owl"), np.zeros((12, 10)))


def test_layers_with_maps_begin_at_the_first_convolution(convnet: Model, make_model: MakeModel) -> None:
    assert layers_with_maps(convnet) == ["0", "1", "2", "3", "4", "5"]
    # Before a convolution a map is the picture; a single place is no map.
    later = make_model(L.BatchNorm(), L.Sequential(L.Conv(4, 3), L.relu), L.MaxPool((12, 10)), L.Flatten())
    assert layers_with_maps(later) == ["1.0", "1.1", "1"]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("44", r"no layer '44'. Did you mean '4'"),
        ("convolution", r"no layer 'convolution'. Known: 0, 1, 2, 3, 4, 5"),
        ("6", r"layer '6' has the shape \(8,\) and is no feature maps. Layers with maps: 0, 1, 2, 3, 4, 5"),
    ],
)
def test_layers_without_maps_are_refused(convnet: Model, photo: np.ndarray, layer: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        feature_maps(convnet, photo, layer)
    with pytest.raises(ConfigError, match=words):
        grad_cam(convnet, photo, layer=layer)


def test_a_network_without_convolutions_has_no_maps(make_model: MakeModel, photo: np.ndarray) -> None:
    model = make_model(L.BatchNorm(), L.Flatten())
    for show in (grad_cam, layers_with_maps):
        with pytest.raises(ConfigError, match="no convolution, and so no feature maps"):
            show(model, photo) if show is grad_cam else show(model)
