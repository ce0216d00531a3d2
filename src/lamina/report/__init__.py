"""The report of a run: one HTML file with everything that a person should see of it."""

from lamina.report.writer import write

__all__ = ["write"]
