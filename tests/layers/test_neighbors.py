"""NearestNeighbors against scikit-learn's."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import lamina as lm
from lamina.errors import ShapeError


@pytest.mark.parametrize("neighbors", [1, 5])
def test_the_shares_of_scikit_learn(neighbors: int) -> None:
    rng = np.random.default_rng(0)
    examples, labels = rng.standard_normal((60, 7)).astype(np.float32), rng.integers(0, 3, 60)
    x = rng.standard_normal((20, 7)).astype(np.float32)
    theirs = KNeighborsClassifier(neighbors, metric="cosine", algorithm="brute").fit(examples, labels)
    layer = lm.NearestNeighbors(3, neighbors, 60)
    unit = examples / np.linalg.norm(examples, axis=1, keepdims=True)
    logits, _ = layer.apply({}, {"examples": unit, "labels": np.eye(3, dtype=np.float32)[labels]}, x)
    np.testing.assert_allclose(jax.nn.softmax(logits), theirs.predict_proba(x), atol=1e-6)


def test_maps_are_refused() -> None:
    with pytest.raises(ShapeError, match="GlobalAvgPool"):
        lm.NearestNeighbors(2, 1, 4).init(jax.random.key(0), (3, 3, 2))
