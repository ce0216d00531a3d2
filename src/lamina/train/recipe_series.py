"""Networks and recipes for series: forecasts from windows, classes of whole series."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from lamina.data.base import Data
from lamina.data.series_baselines import Ridge, fit_ridge, mean_absolute_error, numbers_in
from lamina.data.series_windows import WindowSplit
from lamina.initializers import Zeros
from lamina.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    LayerNorm,
    Masked,
    Parallel,
    Pretrained,
    Reversible,
    Sequential,
    relu,
)
from lamina.losses import AbsoluteError
from lamina.optim import AdamW, OneCycle
from lamina.train.recipe import Recipe

__all__ = ["convnet", "series"]

_LONG = 256  # steps of a series, above which the first convolution strides
_STEPS = 1_200  # of the optimiser
_STEPS_AN_EPOCH = 32  # above which batches grow
_FEW = 100  # validation examples, of which one epoch's luck is more than its merit


def series(data: Data) -> Recipe:
    """Network and recipe for windows of a series, or for whole ones."""
    return _forecast(data) if data.target.task == "forecast" else _whole(data)


def _forecast(data: Data, width: int = 128, dropout: float = 0.5, rate: float = 1e-3, decay: float = 0.05) -> Recipe:
    """A linear map of the window that begins as ridge regression, and two dense layers that begin as nothing.

    Source: Zeng et al. 2023, arXiv:2205.13504 (linear maps of the window rival deeper networks).
    """
    assert isinstance(data.train, WindowSplit)
    assert isinstance(data.validation, WindowSplit)
    by, kernel, bias = _start(data, data.train, data.validation)
    horizon = data.target.units
    linear = Sequential(Flatten(), Dense(horizon))
    bent = Sequential(Flatten(), Dense(width), relu, Dropout(dropout), Dense(horizon, kernel_init=Zeros()))
    both = Parallel(linear=linear, bent=bent, merge="add")
    begun: dict[str, Any] = {"linear": {"1": {"kernel": kernel, "bias": bias}}}
    network = Sequential(forecast=both if by == "none" else Reversible(both, by))
    params = {"forecast": begun if by == "none" else {"body": begun}}
    return Recipe(
        network=Pretrained(network, params, {}),
        optimizer=AdamW(rate, schedule=OneCycle(), weight_decay=decay),
        loss=AbsoluteError(),
        epochs=_forecast_epochs(len(data.train)),
        batch_size=64,
        reasons=(
            "A linear map of the window, which begins as ridge regression's solution"
            + (", learns changes from the window's last value" if by == "last" else "")
            + "; two dense layers with dropout learn what it misses.",
            "The absolute error is made small, and chooses the epoch on the validation part.",
        ),
    )


def _forecast_epochs(windows: int) -> int:
    return min(max(round(100_000 / windows), 10), 100)


def _start(
    data: Data, train: WindowSplit, validation: WindowSplit
) -> tuple[Literal["none", "last"], np.ndarray, np.ndarray]:
    """Whether changes are learned or values, by ridge regression's error on the validation part; and its weights."""
    found: dict[Literal["none", "last"], tuple[float, Ridge, tuple[int, ...]]] = {}
    ways: tuple[Literal["none", "last"], ...] = ("none", "last")
    truth = data.target.decode(validation.targets)
    for by in ways:
        x, y = _changes(train, by)
        x_held, y_held = _changes(validation, by)
        ridge = fit_ridge(x, y, x_held, y_held)
        level = validation.targets - y_held
        error = mean_absolute_error(data.target.decode(ridge(x_held) + level), truth)
        found[by] = error, ridge, x.shape[1:]
    by = min(found, key=lambda name: found[name][0])
    _, ridge, (window, channels) = found[by]
    kernel = np.zeros((train.window, train.steps.shape[1], data.target.units), np.float32)
    kernel[-window:, :channels] = ridge.weights.reshape(window, channels, -1)
    return by, kernel.reshape(-1, data.target.units), ridge.bias.astype(np.float32)


def _changes(split: WindowSplit, by: str) -> tuple[np.ndarray, np.ndarray]:
    """Windows and what follows them, less the window's last value where changes are learned."""
    x, y = numbers_in(split), split.targets
    if by == "none":
        return x, y
    last = x[:, -1:, :1]
    return np.concatenate([x[:, :, :1] - last, x[:, :, 1:]], axis=2), y - last[:, :, 0]


def convnet(data: Data) -> Layer:
    """Three convolutions over time with BatchNorm and ReLU, the mean over time, and a dense layer.

    Source: Wang, Yan & Oates 2017, "Time series classification from scratch with deep neural networks",
    arXiv:1611.06455 (the fully convolutional network). Departures: half as many filters, and dropout before the end;
    the first convolution strides over long series; LayerNorm for series of unequal length, whose filling would go into
    a batch's statistics.
    """
    spec = data.preprocessing.input_spec()
    stride = -(-spec.shape[0] // _LONG)
    layers: list[Layer] = []
    for filters, width, strides in ((64, 8, stride), (128, 5, 1), (64, 3, 1)):
        norm = LayerNorm() if isinstance(spec, Masked) else BatchNorm()
        layers += [Conv(filters, width, strides=strides, use_bias=False), norm, relu]
    return Sequential(*layers, GlobalAvgPool(), Dropout(0.2), Dense(data.target.units))


def _whole(data: Data) -> Recipe:
    count, batch = len(data.train), 16
    while batch < 128 and count // batch > _STEPS_AN_EPOCH:
        batch *= 2
    steps = -(-count // batch)
    few = len(data.validation) < _FEW
    kept = (
        f"{len(data.validation)} validation examples are too few to choose an epoch by: the last weights are kept, at "
        "which the learning rate has come to zero."
    )
    return Recipe(
        network=convnet(data),
        optimizer=AdamW(2e-3, schedule=OneCycle(), weight_decay=0.02),
        epochs=min(max(round(_STEPS / steps), 20), 400),
        batch_size=batch,
        keep="last" if few else "best",
        reasons=(
            "Series: three convolutions over time with BatchNorm, and the mean over time.",
            f"{count:,} training examples decide batch and epochs; a one-cycle learning rate.",
            *((kept,) if few else ()),
        ),
    )
