"""Transfer learning: a trained network's body for another task, by fine-tuning or as descriptors for a simple head."""

from __future__ import annotations

from lamina.transfer.descriptors import Describer, describe, descriptor_network
from lamina.transfer.encoders import body_of
from lamina.transfer.heads import HEADS, fit_head
from lamina.transfer.tuning import fine_tune, tuning_recipe

__all__ = ["HEADS", "Describer", "body_of", "describe", "descriptor_network", "fine_tune", "fit_head", "tuning_recipe"]
