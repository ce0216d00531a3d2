"""Small data that trains in no time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import lamina as lm
from lamina.data import load
from lamina.data.base import Data


@pytest.fixture(scope="session")
def digits() -> Data:
    return load("digits")


@pytest.fixture(scope="session")
def blobs() -> Data:
    """Three overlapping clouds in the plane: 100 training examples, 40 to validate, 40 to test."""
    return clouds(3)


@pytest.fixture(scope="session")
def two_blobs() -> Data:
    return clouds(2)


@pytest.fixture
def fit() -> Callable[..., Any]:
    """`lamina.fit` that says nothing."""
    return partial(lm.fit, progress=False)


def clouds(classes: int) -> Data:
    random = np.random.default_rng(0)

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(n) % classes
        angle = 2 * np.pi * y / classes
        x = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + random.normal(size=(n, 2))
        return x.astype(np.float32), y

    return load({"train": part(100), "validation": part(40), "test": part(40)})
