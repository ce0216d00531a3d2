"""What ``lamina predict`` says with an auto-encoder: how well it gives each input back, and its code."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from lamina.errors import DataError

if TYPE_CHECKING:
    from lamina.data import Inputs
    from lamina.model import Model

__all__ = ["columns", "reconstructed", "shown"]

_SHOWN = 8  # numbers of a code that are printed


def reconstructed(
    model: Model, given: Inputs, batch_size: int, skipped: list[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """One JSON-able answer an input that can be read; of the others, name and reason are added to ``skipped``."""
    import numpy as np

    from lamina.data.base import ArraySplit
    from lamina.layers.autoencoder import autoencoder_in

    failed: dict[int, str] = {}
    readable = (name for index, name in enumerate(given.names) if index not in failed)
    has_code = autoencoder_in(model.network, model.params, model.state) is not None
    answered = False
    for encoded in model.preprocessing.batches(given.raw, batch_size, failed.__setitem__):
        x = np.asarray(model.preprocessing.transform(encoded), np.float32)
        split = ArraySplit(encoded, np.zeros(len(x), np.int32))
        answered = answered or len(x) > 0
        errors = np.square(model.outputs(split, batch_size) - x).reshape(len(x), -1).sum(axis=1, dtype=np.float64)
        codes = model.encode(split, batch_size).reshape(len(x), -1) if has_code else None
        for index, name in enumerate(list(islice(readable, len(x)))):
            answer: dict[str, Any] = {"input": name, "squared_error": float(errors[index])}
            yield answer if codes is None else answer | {"code": [float(number) for number in codes[index]]}
    skipped += [(given.names[index], reason) for index, reason in failed.items()]
    if not answered:
        first = f"{skipped[0][0]}: {skipped[0][1]}" if skipped else "the input holds no example"
        raise DataError(f"There is nothing to predict: {first}.")


def shown(answer: dict[str, Any]) -> list[str]:
    """The cells of an answer for people: the squared error, and the beginning of the code."""
    code = answer.get("code", [])
    cells = [f"{number:8.3f}" for number in code[:_SHOWN]]
    return [f"{answer['squared_error']:10.4f}", *cells, *(["…"] if len(code) > _SHOWN else [])]


def columns(answers: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The answers as a table's columns."""
    table: dict[str, list[Any]] = {"squared_error": [answer["squared_error"] for answer in answers]}
    for index in range(len(answers[0].get("code", []))):
        table[f"code_{index}"] = [answer["code"][index] for answer in answers]
    return table
