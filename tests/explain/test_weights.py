"""Filters are the weights themselves."""

from __future__ import annotations

import numpy as np
import pytest

from lamina import layers as L
from lamina.errors import ConfigError
from lamina.explain import filters
from lamina.model import Model

from .conftest import MakeModel


def test_filters_of_a_convolution_are_its_kernels(convnet: Model) -> None:
    for path, shape in ((None, (6, 3, 3, 3)), ("4", (8, 3, 3, 6))):
        found = filters(convnet, path)
        kernel = np.asarray(convnet.params[path or "0"]["kernel"])
        assert found.shape == shape
        for index in range(shape[0]):
            np.testing.assert_array_equal(found[index], kernel[:, :, :, index])


def test_a_dense_layer_on_the_picture_has_templates(make_model: MakeModel, photo: np.ndarray) -> None:
    model = make_model(L.Flatten())
    found = filters(model)
    assert found.shape == (3, 12, 10, 3)
    # Each class's logit is its template's product with the picture.
    x = (photo - 128.0) / 64.0
    said = model.predict(photo).probabilities
    assert said is not None
    logits = (found * x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(said[0], np.exp(logits) / np.exp(logits).sum(), rtol=1e-3)


def test_layers_without_filters_are_refused(convnet: Model, make_model: MakeModel) -> None:
    with pytest.raises(ConfigError, match=r"Layer '1' has no filters. Known: 0, 4"):
        filters(convnet, "1")
    with pytest.raises(ConfigError, match=r"no layer '0.0'. Did you mean '0'"):
        filters(convnet, "0.0")
    with pytest.raises(ConfigError, match="no layer whose weights are filters"):
        filters(make_model(L.MaxPool(2), L.Flatten()))
