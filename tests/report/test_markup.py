"""HTML that text cannot break."""

from __future__ import annotations

from lamina.report.markup import Markup, tag


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    element = tag("a", "<b>", Markup("<i>ok</i>"), 3, None, href='"><x', class_="c", aria_label=None, hidden=False)
    assert element == '<a href="&quot;&gt;&lt;x" class="c">&lt;b&gt;<i>ok</i>3</a>'
    assert tag("details", open=True) == "<details open></details>"
    assert tag("img", src="x") == '<img src="x">'
