"""The panels as one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np
from PIL import Image

from lamina.explain.colours import stops
from lamina.explain.panels import Panel, Shot
from lamina.explain.subject import Subject
from lamina.report.markup import Markup, join, tag
from lamina.report.page import Section, page
from lamina.report.pictures import picture
from lamina.report.wording import amount, percent, shorten

__all__ = ["document"]

_TOP = 5
_PLAIN = 120_000  # bytes up to which a picture is embedded without loss


def document(
    name: str, subject: Subject, behind: np.ndarray, panels: Sequence[Panel], left_out: Mapping[str, str]
) -> str:
    """The whole HTML document.

    Args:
        name: of the picture.
        subject: what is explained.
        behind: the picture as the network sees it, uint8 ``(height, width, 1 or 3)``.
        panels: one for each method.
        left_out: {method: why it shows nothing}.
    """
    style = resources.files("lamina.explain").joinpath("style.css").read_text("utf-8")
    sections = [Section(one.method, one.title, _body(one), link=one.title) for one in panels]
    overlays = [one for one in panels if one.scale is not None]
    if len(overlays) > 1:
        sections.insert(0, Section("glance", "At a glance", _glance(overlays), link="At a glance"))
    if left_out:
        reasons = [tag("p", f"{method}: {reason}") for method, reason in left_out.items()]
        sections.append(Section("left-out", "Left out", join(reasons), link="Left out"))
    return page(f"{name} · Lamina", _header(name, subject, behind), sections, style)


def _header(name: str, subject: Subject, behind: np.ndarray) -> Markup:
    said = subject.predictions
    if said.values is not None:
        values = zip(said.classes, said.values[0], strict=True)
        rows: list[tuple[str, str, float | None]] = [(label, amount(float(value)), None) for label, value in values]
        rows = rows[:_TOP] if subject.column < _TOP else [*rows[: _TOP - 1], rows[subject.column]]
        answer = f"{subject.name}: {amount(subject.answer)}"
        said_best = subject.name
    else:
        assert said.probabilities is not None
        best = said.top(_TOP)[0]
        said_best = best[0][0]
        if subject.name not in [label for label, _ in best]:
            best = [*best[:-1], (subject.name, subject.answer)]
        rows = [(label, percent(p), p) for label, p in best]
        answer = f"{subject.name} · {percent(subject.answer)}"
    other = "" if said_best == subject.name else f" The model’s own answer is “{said_best}”."
    cells: list[Markup] = []
    for label, text, share in rows:
        bar = tag("dd", class_="amount", style=f"--v:{share:.4f}") if share is not None else tag("dd")
        cells += [tag("dt", shorten(label, 40), class_="explained" if label == subject.name else None), bar]
        cells.append(tag("dd", text))
    return join(
        (
            tag("p", "Lamina · what the model looks at", class_="eyebrow"),
            tag("h1", answer),
            tag("p", f"What in {name} speaks for “{subject.name}”, and what the layers see in it.{other}"),
            tag(
                "div", _image(behind, f"{name}, as the network sees it"), tag("dl", *cells, class_="top"), class_="seen"
            ),
        )
    )


def _glance(panels: Sequence[Panel]) -> Markup:
    items = [tag("li", tag("a", picture(one.shots[0].pixels, ""), one.title, href=f"#{one.method}")) for one in panels]
    return tag("ul", *items, class_="glance")


def _body(one: Panel) -> Markup:
    text = [tag("p", one.reading), tag("p", one.limits, class_="aside")]
    if one.paper is not None:
        who, number = one.paper
        link = tag("a", f"arXiv:{number}", href=f"https://arxiv.org/abs/{number}")
        text.append(tag("p", f"{who}, ", link, class_="aside"))
    if one.scale is None:
        return tag("div", tag("div", *text), tag("div", *map(_wide, one.shots)), class_="method")
    colours, low, high = one.scale
    ramp = tag(
        "div",
        tag("span", low),
        tag("i", style=f"background:linear-gradient(90deg,{','.join(stops(colours))})"),
        tag("span", high),
        class_="ramp",
    )
    shots = [tag("figure", _image(shot.pixels, shot.described), ramp, class_="shot") for shot in one.shots]
    return tag("div", tag("div", *shots), tag("div", *text), class_="method beside")


def _wide(shot: Shot) -> Markup:
    caption = tag("figcaption", shot.caption) if shot.caption else None
    return tag("figure", _image(shot.pixels, shot.described), caption, class_="shot wide")


def _image(pixels: np.ndarray, described: str) -> Markup:
    """An ``<img>`` that holds its data; large ones are compressed with a loss that cannot be seen."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    stream, kind = io.BytesIO(), "png"
    image.save(stream, "PNG")
    if stream.tell() > _PLAIN:
        stream, kind = io.BytesIO(), "webp"
        image.save(stream, "WEBP", quality=88)
    data = base64.b64encode(stream.getvalue()).decode()
    return tag("img", src=f"data:image/{kind};base64,{data}", alt=described, width=image.width, height=image.height)
