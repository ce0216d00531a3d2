"""Training as one compiled program."""

from lamina.run import Run
from lamina.train.callbacks import Callback
from lamina.train.fitting import fit
from lamina.train.lr_finder import LearningRates, find_learning_rate

__all__ = ["Callback", "LearningRates", "Run", "find_learning_rate", "fit"]
