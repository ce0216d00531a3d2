"""``lamina evaluate MODEL DATA --against pca``: an auto-encoder beside PCA and logistic PCA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamina.cli.terminal import aligned, clean, metric_number, percent
from lamina.errors import ConfigError

if TYPE_CHECKING:
    from lamina.model import Model
    from lamina.unsupervised import Comparison

__all__ = ["compared", "lines"]


def compared(model: Model, data: str) -> Comparison:
    """The comparison on the data's test part, split as the model's training split it.

    Raises:
        ConfigError: for a model that is no auto-encoder, and where scikit-learn is not installed.
        DataError: for data that cannot be read.
    """
    from lamina.data import load
    from lamina.unsupervised import compare

    if model.target.answer != "input":
        raise ConfigError("--against pca is for auto-encoders.", "Train one with --task autoencode.")
    seed = int(model.card.get("seed", 0))
    return compare(model, load(data, task="autoencode", seed=seed, preprocessing=model.preprocessing))


def lines(found: Comparison) -> list[str]:
    """The figures for people."""
    classed = found.methods[0].neighbours is not None
    rows = [["", "squared error", "95 % interval", *(["nearest neighbours"] if classed else [])]]
    for method in found.methods:
        value, low, high = method.squared_error
        row = [method.name, metric_number(value), f"{metric_number(low)} – {metric_number(high)}"]
        if method.neighbours is not None:
            row.append(percent(method.neighbours))
        rows.append(row)
    said: list[Any] = [
        f"Codes of {found.units} numbers; {len(found.inputs):,} examples of the {found.part} part of "
        f"{clean(found.data.card.source)}; PCA fitted to {found.fitted_on:,} training examples.",
        "",
        *aligned(rows, right=(1, 3)),
    ]
    return said + [f"{name} is left out: {why}" for name, why in found.left_out.items()]
