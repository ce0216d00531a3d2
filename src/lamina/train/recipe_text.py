"""The networks and recipes that are chosen for texts: to tell them apart, and to go on with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

__all__ = ["generator", "texts"]
