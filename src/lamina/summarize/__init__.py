"""A network as a table: what each layer makes, holds, computes and sees."""

from lamina.summarize.table import Row, Summary, summary

__all__ = ["Row", "Summary", "summary"]
