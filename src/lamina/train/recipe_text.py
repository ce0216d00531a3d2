"""The networks and recipes that are chosen for texts: to tell them apart, and to go on with one."""

from __future__ import annotations

from typing import cast

import numpy as np

from lamina.data.base import Data
from lamina.data.characters import CharacterPreprocessing
from lamina.data.text_preprocessing import TextPreprocessing
from lamina.initializers import Zeros
from lamina.kernels import native
from lamina.layers import GRU, LSTM, BagOfNGrams, Bidirectional, Dense, Dropout, Embedding, Layer, Parallel, Sequential
from lamina.losses import Loss, SoftmaxCrossEntropy
from lamina.optim import AdamW, OneCycle
from lamina.train.recipe import Recipe

__all__ = ["generator", "texts"]

_BUCKETS = 1 << 18  # vectors that word pairs share
_TEXTS_SEEN = 130_000  # by a bag of words, those of every epoch counted
_NAMES_SEEN = 200_000  # by a network of characters
_UNEVEN = 2.0  # times that the commonest class is more frequent than the rarest, from which on classes are weighted
_SEEN = 15_000_000  # characters that a generator is trained on, those of every epoch counted


def texts(data: Data) -> Recipe:
    """The recipe for texts to be told apart."""
    preprocessing = cast(TextPreprocessing, data.preprocessing)
    size, unit = len(preprocessing.vocabulary), preprocessing.vocabulary.unit
    loss = _for_rare_classes(data)
    rare = ("Rare classes count more in the loss: by the root of how much rarer they are.",) if loss else ()
    if unit == "words":
        return Recipe(
            network=Sequential(
                BagOfNGrams(size, data.target.units, order=2, buckets=_BUCKETS, drop=0.3, table_init=Zeros())
            ),
            optimizer=AdamW(2e-2, schedule=OneCycle(), weight_decay=0.0),
            loss=loss,
            epochs=min(max(round(_TEXTS_SEEN / len(data.train)), 10), 40),
            batch_size=32,
            reasons=(
                "A bag of words and pairs of words, some of them left out at random while training: on some thousand "
                "texts it is hard to beat.",
                *rare,
            ),
        )
    return Recipe(
        network=Sequential(
            Parallel(
                Sequential(Embedding(size, 64), Bidirectional(GRU(128))),
                BagOfNGrams(size, 64, order=4, buckets=1 << 15, drop=0.3),
                merge="concat",
            ),
            Dropout(0.5),
            Dense(data.target.units),
        ),
        optimizer=AdamW(3e-3, schedule=OneCycle(), weight_decay=0.02),
        loss=loss,
        epochs=min(max(round(_NAMES_SEEN / len(data.train)), 12), 40),
        batch_size=64,
        # Rare classes are learned late, when validation, which has few of them, rises and falls by chance.
        keep="last",
        reasons=(
            "A recurrent network reads the characters from both ends, beside a bag of up to four of them in a row.",
            *rare,
        ),
    )


def generator(data: Data) -> Recipe:
    """The recipe for a text to go on with."""
    preprocessing = cast(CharacterPreprocessing, data.preprocessing)
    seen = len(data.train) * preprocessing.steps
    fast = native.fast_bfloat16()
    network: Layer = Sequential(
        Embedding(data.target.units, 64),
        LSTM(512, return_sequences=True, dropout=0.1),
        Dropout(0.5),
        Dense(data.target.units),
    )
    return Recipe(
        network=network,
        optimizer=AdamW(3e-3, schedule=OneCycle(), weight_decay=0.01, clip_norm=1.0),
        epochs=min(max(round(_SEEN / seen), 2), 30),
        batch_size=32,
        precision="bf16" if fast else "f32",
        reasons=(
            f"{seen:,} characters to learn from: one LSTM layer of 512 cells reads pieces of {preprocessing.steps}.",
            *(
                ("Computed in bfloat16 unless told otherwise: this CPU multiplies it twice as fast as float32.",)
                if fast
                else ()
            ),
        ),
    )


def _for_rare_classes(data: Data) -> Loss | None:
    """Cross-entropy with weights n^(-1/2) for classes of n examples; None where none is much rarer than another."""
    if data.target.answer != "class":
        return None
    counts = np.maximum(np.bincount(data.train.targets, minlength=data.target.units), 1)
    if counts.max() < _UNEVEN * counts.min():
        return None
    return SoftmaxCrossEntropy(class_weights=tuple(np.sqrt(counts.mean() / counts).tolist()))
