"""The famous networks, each as its paper and torchvision have it: `build` makes one, `networks` lists them."""

from __future__ import annotations

from lamina.zoo.building import build
from lamina.zoo.registry import Architecture, architecture, networks

__all__ = ["Architecture", "architecture", "build", "networks"]
