"""The command line: ``lamina train``, ``predict``, ``evaluate``, ``summary``, ``info``."""

from lamina.cli.app import main

__all__ = ["main"]
