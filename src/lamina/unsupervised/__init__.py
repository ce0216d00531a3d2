"""Learning without labels beside auto-encoders as layers: what they are compared with, and what came before them."""

from __future__ import annotations

from lamina.unsupervised.comparison import Comparison, compare
from lamina.unsupervised.pca import PCA, LogisticPCA

__all__ = ["PCA", "Comparison", "LogisticPCA", "compare"]
