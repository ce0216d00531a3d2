"""The page around the sections: head, navigation, style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from lamina.report.markup import Markup, tag

__all__ = ["Section", "page"]

# The page runs no script and asks for nothing from anywhere: the browser is told to hold it to that.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its id.
        title: its heading.
        body: what is in it.
        half: whether it takes half of a wide screen.
        link: its name in the navigation; default: the anchor, capitalised.
    """

    anchor: str
    title: str
    body: Markup
    half: bool = False
    link: str = ""


def page(title: str, header: Markup, sections: Sequence[Section], style: str = "") -> str:
    """A whole HTML document that needs nothing but itself.

    Args:
        title: of the window.
        header: what stands above the navigation.
        sections: in their order.
        style: CSS that only this page needs, after the common one.
    """
    common = resources.files("lamina.report").joinpath("style.css").read_text("utf-8")
    links = [
        tag("li", tag("a", section.link or section.anchor.capitalize(), href=f"#{section.anchor}"))
        for section in sections
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="Lamina"),
        tag("title", title),
        Markup(f"<style>{common}{style}</style>"),
    )
    bodies = [
        tag("section", tag("h2", item.title), item.body, id=item.anchor, class_="half" if item.half else None)
        for item in sections
    ]
    body = tag(
        "body",
        tag("header", header),
        tag("nav", tag("ul", *links), aria_label="Sections"),
        tag("main", *bodies),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"
