"""Training as one compiled program."""

from lamina.run import Run
from lamina.train.callbacks import Callback
from lamina.train.fit import fit

__all__ = ["Callback", "Run", "fit"]
