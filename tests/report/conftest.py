"""Runs of every kind, made without training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from lamina import layers as L
from lamina.data.array_preprocessing import ArrayPreprocessing
from lamina.data.base import ArraySplit, ClassTarget, Data, DataCard, MultiLabelTarget, Target, ValueTarget
from lamina.data.image_preprocessing import ImagePreprocessing
from lamina.data.splits import describe_splits
from lamina.metrics import Interval, main_metric, standard
from lamina.model import Model
from lamina.run import Run

MakeRun = Callable[..., Run]


def history(metric: str, epochs: int, rates: tuple[float, ...] = ()) -> list[dict[str, Any]]:
    """Rows as the training writes them."""
    rows = []
    for epoch in range(1, epochs + 1):
        row: dict[str, Any] = {"epoch": epoch, "step": 10 * epoch, "loss": 2 / epoch, metric: 1 - 0.5 / epoch}
        row |= {"val_loss": 2.2 / epoch, f"val_{metric}": 1 - 0.6 / epoch, "learning_rate": 0.01 / epoch}
        row |= {"seconds": 0.5 * epoch, "examples_per_second": 1000.0, "best": epoch == epochs}
        if rates:
            # The last rate is the best.
            row["rates"] = [
                {"learning_rate": rate, "loss": 1.9, "val_loss": (3 - place) / epoch, f"val_{metric}": 0.5}
                for place, rate in enumerate(rates)
            ]
            row["val_loss"] = row["rates"][-1]["val_loss"]
        rows.append(row)
    return rows


def scores(task: str, classes: int) -> dict[str, Interval]:
    """Some value of every metric; one of them is undefined."""
    return {name: Interval(0.5, 0.4, 0.6) for name in standard(task, classes)} | {
        "log_loss": Interval(None, None, None)
    }


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """A function that makes a run of an untrained model on random data."""

    def make(
        task: str = "classify",
        *,
        names: tuple[str, ...] = ("cat", "dog", "owl"),
        pictures: bool = True,
        size: int = 60,
        test: bool = True,
        status: str = "finished",
        epochs: int = 3,
        rates: tuple[float, ...] = (),
        side: int = 8,
        dense: bool = False,
        **card: Any,
    ) -> Run:
        rng = np.random.default_rng(7)
        target: Target
        if task == "classify":
            target = ClassTarget(names)
            targets = [np.arange(size, dtype=np.int32) % len(names) for _ in range(3)]
        elif task == "multilabel":
            target = MultiLabelTarget(names)
            targets = [rng.integers(0, 2, (size, len(names))).astype(np.float32) for _ in range(3)]
        else:
            target = ValueTarget(names, (2.0,) * len(names), (3.0,) * len(names))
            targets = [rng.standard_normal((size, len(names))).astype(np.float32) for _ in range(3)]
        net: L.Layer
        if pictures:
            preprocessing: Any = ImagePreprocessing(side, side, 3, (128.0,) * 3, (64.0,) * 3)
            inputs = [rng.integers(0, 256, (size, side, side, 3)).astype(np.uint8) for _ in range(3)]
            first = (L.Flatten(), L.Dense(9)) if dense else (L.Conv(4, 3), L.relu, L.GlobalAvgPool())
            net = L.Sequential(*first, L.Dense(target.units))
        else:
            preprocessing = ArrayPreprocessing((5,), mean=(0.0,) * 5, std=(1.0,) * 5)
            inputs = [rng.standard_normal((size, 5)).astype(np.float32) for _ in range(3)]
            net = L.Sequential(L.Dense(6), L.relu, L.Dense(target.units))
        splits = [
            ArraySplit(x, y, tuple(f"{part} {i}" for i in range(size)))
            for x, y, part in zip(inputs, targets, ("train", "validation", "test"), strict=True)
        ]
        parts = {"train": splits[0].targets, "validation": splits[1].targets}
        if test:
            parts["test"] = splits[2].targets
        described = describe_splits(parts, names if task != "regress" else ())
        whole = {"source": "some/data", "kind": "image", "splits": described, "split_rule": "80 % and 20 %."} | card
        data = Data(splits[0], splits[1], splits[2] if test else None, preprocessing, target, DataCard(**whole))
        params, state = net.init(jax.random.key(0), preprocessing.input_spec())
        model = Model(net, params, state, preprocessing, target)
        interrupted = status == "interrupted"
        return Run(
            model=model,
            status=status,
            history=history(main_metric(task), epochs, rates),
            validation={} if interrupted else scores(task, len(names)),
            test={} if interrupted or not test else scores(task, len(names)),
            best_epoch=epochs,
            seconds=1.5,
            config={
                "command": "lamina train some/data",
                "epochs": 3,
                "loss": {"type": "SoftmaxCrossEntropy"},
                "why": ["A small network, since there are 60 examples."],
                "versions": {"lamina": "0.1", "jax": "0.10"},
                "device": "cpu",
                "patience": None,
            },
            folder=None,
            data=data,
        )

    return make
