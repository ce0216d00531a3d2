"""Learning without labels."""

from __future__ import annotations

from lamina.unsupervised.dbn import DBN, TrainedDBN
from lamina.unsupervised.files import load
from lamina.unsupervised.likelihood import (
    annealed_log_partition,
    free_energy,
    log_likelihood,
    log_partition,
    pseudo_log_likelihood,
)
from lamina.unsupervised.pictures import draw_filters, draw_pictures
from lamina.unsupervised.rbm import RBM
from lamina.unsupervised.trained import TrainedRBM

__all__ = [
    "DBN",
    "RBM",
    "TrainedDBN",
    "TrainedRBM",
    "annealed_log_partition",
    "draw_filters",
    "draw_pictures",
    "free_energy",
    "load",
    "log_likelihood",
    "log_partition",
    "pseudo_log_likelihood",
]
