"""The famous networks, each as its paper and torchvision have it: `build` makes one, `networks` lists them."""

from __future__ import annotations

from lamina.zoo.registry import Architecture, architecture, build, networks

__all__ = ["Architecture", "architecture", "build", "networks"]
