"""Learning without labels beside auto-encoders as layers: what they are compared with, and what came before them."""

from __future__ import annotations

from lamina.unsupervised.comparison import Comparison, compare
from lamina.unsupervised.dbn import DBN, TrainedDBN
from lamina.unsupervised.files import load
from lamina.unsupervised.likelihood import (
    annealed_log_partition,
    free_energy,
    log_likelihood,
    log_partition,
    pseudo_log_likelihood,
)
from lamina.unsupervised.pca import PCA, LogisticPCA
from lamina.unsupervised.pictures import draw_filters, draw_pictures
from lamina.unsupervised.rbm import RBM
from lamina.unsupervised.trained import TrainedRBM

__all__ = [
    "DBN",
    "PCA",
    "RBM",
    "Comparison",
    "LogisticPCA",
    "TrainedDBN",
    "TrainedRBM",
    "annealed_log_partition",
    "compare",
    "draw_filters",
    "draw_pictures",
    "free_energy",
    "load",
    "log_likelihood",
    "log_partition",
    "pseudo_log_likelihood",
]
