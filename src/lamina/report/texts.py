"""Texts in the report: as the network reads them, and what a generator writes."""

from __future__ import annotations

import numpy as np

from lamina.data.base import Preprocessing, Split
from lamina.report.markup import Markup, join, tag
from lamina.run import Run

__all__ = ["read_texts", "written"]

_LONG = 240  # characters
_SAMPLE = 600  # characters that a generator writes
_TEMPERATURES = (0.5, 0.8, 1.0)


def read_texts(split: Split, preprocessing: Preprocessing, indices: np.ndarray) -> list[str] | None:
    """For each index the text as far as the network sees it; None where the data are no texts."""
    if preprocessing.kind != "text":
        return None
    from lamina.data.text_preprocessing import TextPreprocessing

    if not isinstance(preprocessing, TextPreprocessing):
        return None
    encoded = split.read(indices)
    shown = []
    for codes, length in zip(np.asarray(encoded.values), np.asarray(encoded.lengths), strict=True):
        text = preprocessing.vocabulary.decode(codes[:length].tolist())
        shown.append(text if len(text) <= _LONG else text[: _LONG - 1] + "…")
    return shown


def written(run: Run) -> Markup:
    """What a generator writes, more and less cautiously."""
    said = "Drawn character by character from the model's own probabilities. At a lower temperature it writes more"
    parts = [tag("p", f"{said} cautiously; 1 is what it has learned. Always from the same seed.")]
    for temperature in _TEMPERATURES:
        text = run.model.sample("", _SAMPLE, temperature=temperature, seed=0)
        parts += [tag("h3", f"Temperature {temperature:g}"), tag("pre", text, class_="written")]
    return join(parts)
