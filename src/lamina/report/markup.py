"""HTML that cannot be broken by what it shows: text is escaped unless it is `Markup` already."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["Markup", "fold", "join", "table", "tag"]

_VOID = frozenset({"br", "col", "hr", "img", "meta"})
_BARE = frozenset({"open"})


class Markup(str):
    """HTML, as opposed to text."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element.

    Args:
        name: of the element.
        *children: `Markup` goes in as it is; None is left out; everything else is text and escaped.
        **attributes: a trailing underscore is dropped (``class_``), others become hyphens (``aria_label``). None and
            False leave an attribute out.
    """
    shown = "".join(
        f" {_attribute(key)}" if value is True and key in _BARE else f' {_attribute(key)}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    """Children one after another; what is not `Markup` is escaped."""
    return Markup("".join(_text(child) for child in children if child is not None))


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    caption: str,
    numbers: Iterable[int] = (),
    class_: str = "",
) -> Markup:
    """A table in a box of its own that scrolls sideways where the screen is narrow.

    Args:
        head: names of the columns.
        rows: cells; the first of each row is its header.
        caption: what the table says, for those who cannot see what is around it.
        numbers: indices of the columns to align as numbers.
    """
    aligned = frozenset(numbers)
    heads = [tag("th", cell, scope="col", class_="n" if i in aligned else None) for i, cell in enumerate(head)]
    body = [
        tag(
            "tr",
            *(
                tag("th", cell, scope="row", class_="n" if i in aligned else None)
                if i == 0
                else tag("td", cell, class_="n" if i in aligned else None)
                for i, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    inner = tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *body),
        class_=class_ or None,
    )
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def fold(summary: str, *children: object, open_: bool = False) -> Markup:
    """Details that open at a click."""
    return tag("details", tag("summary", summary), *children, open=open_)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _text(child: object) -> str:
    return child if isinstance(child, Markup) else html.escape(str(child))
