"""Figures as inline SVG that follows the page's colours, light and dark."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from lamina.report.markup import Markup, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FAINT", "INK", "MUTED", "PAPER", "SERIES", "inline"]

# The light palette. In the report every one of these becomes a CSS variable (style.css), which a dark page sets anew.
INK = "#1d2430"
MUTED = "#5b6472"
FAINT = "#d9dee6"
PAPER = "#fdfefe"
# Okabe & Ito's colours, told apart by colour-blind readers too; the yellow is darkened to be seen on white.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7a4fbf", "#8a6d5b")

_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    FAINT: "var(--faint)",
    PAPER: "var(--paper)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)},
}
_COLOUR = re.compile("|".join(_VARIABLES), re.IGNORECASE)


def inline(figure: Figure, name: str, described: str) -> Markup:
    """A figure as an ``<svg>`` element without a background, whose colours and font are the page's.

    Args:
        figure: drawn in this module's colours.
        name: unique in the page: the prefix of the figure's element ids.
        described: what it shows, for those who cannot see it.
    """
    import matplotlib as mpl

    stream = io.StringIO()
    empty = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # "none": text stays text, in the page's font. The salt makes the ids, and so the file, the same every time.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata=empty, dpi=144)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]*)"', text)
    assert view is not None
    body = text[text.index(">") + 1 :].rsplit("</svg>", 1)[0]
    body = body.replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = _COLOUR.sub(lambda match: _VARIABLES[match[0].lower()], body)
    body = re.sub(r"\s*\n\s*", " ", body)
    title = tag("title", described)
    return Markup(f'<svg class="plot" viewBox="{view[1]}" role="img">{title}{body}</svg>')
