"""Training as one compiled program."""

from lamina.run import Run
from lamina.train.callbacks import Callback
from lamina.train.fitting import fit

__all__ = ["Callback", "Run", "fit"]
