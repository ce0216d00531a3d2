"""The networks and recipes that are chosen for texts: to tell them apart, and to go on with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina.data.base import Data
from lamina.layers import GRU, LSTM, Bidirectional, Dense, Dropout, Embedding, Layer, Sequential
from lamina.layers.ngrams import BagOfNGrams
from lamina.optim import AdamW, OneCycle

if TYPE_CHECKING:
    from lamina.train.recipes import Recipe

__all__ = ["generator", "texts"]
