"""``lamina explain``: what in a picture an answer depends on, and what the layers see in it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamina.cli.folders import new_folder
from lamina.cli.models import open_model
from lamina.cli.options import one_of
from lamina.cli.terminal import Reporter, clean, emit_json, metric_number, percent
from lamina.errors import BadInputError, DataError

if TYPE_CHECKING:
    from lamina.explain import Explanation
    from lamina.model import Model

__all__ = ["explain"]

_METHODS = ("saliency", "integrated-gradients", "grad-cam", "occlusion", "feature-maps", "filters")
_TOP = 5


def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.lamina file, or the run folder it lies in.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="One picture; - for stdin.")],
    class_: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="What to explain; default: what the model predicts.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="PATH", help="For grad-cam and feature-maps; lamina summary MODEL lists them."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="M", help=f"Several may be given: {', '.join(_METHODS)}. Default: all."),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="The folder; default: a new one in explained/.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the explanation that --out names.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """See what a model looks at in a picture, and what it learned to see: as PNG files and one page.

    [bold]lamina explain runs/photos cat.jpg[/bold]
    [bold]lamina explain runs/photos cat.jpg --class dog --method grad-cam --method occlusion[/bold]
    """
    reporter = Reporter()
    for method in methods or ():
        one_of("--method", method, _METHODS)
    if force and out is None:
        raise BadInputError("--force replaces the explanation that --out names.", "Name it, or leave --force out.")
    if os.path.isdir(image):
        raise DataError(f"{image} is a folder; one picture is explained at a time.", "Name a picture in it.")
    folder = out if out is not None else str(new_folder("explained", "picture" if image == "-" else image))
    trained = open_model(model)
    from lamina.explain import write
    from lamina.explain.subject import check_model

    check_model(trained)
    explained = write(
        trained,
        _picture(trained, image),
        folder,
        class_=class_,
        layer=layer,
        methods=methods or None,
        name="" if image == "-" else os.path.basename(image),
        force=force,
    )
    said = _described(image, explained)
    if as_json:
        emit_json(said | {"warnings": reporter.warnings})
    _tell(reporter, said, explained)


def _picture(model: Model, image: str) -> Any:
    """The path or the bytes of a picture file; an array for a model of arrays."""
    if image != "-" and not os.path.lexists(image):
        raise DataError(f"There is no {image}.", "Expected a picture, or - for stdin.")
    if model.preprocessing.kind == "image":
        return sys.stdin.buffer.read() if image == "-" else image
    given = model.preprocessing.gather([image])
    if len(given.names) != 1:
        raise DataError(f"One picture is explained at a time; {image} holds {len(given.names)}.")
    return given.raw[0]


def _described(image: str, explained: Explanation) -> dict[str, Any]:
    subject = explained.subject
    said: dict[str, Any] = {"input": image, "class": subject.name}
    if subject.predictions.values is not None:
        said["value"] = subject.answer
    else:
        said |= {"probability": subject.answer, "top": subject.predictions.top(_TOP)[0]}
    methods = {
        method: {"files": [str(path) for path in paths], **explained.facts[method]}
        for method, paths in explained.files.items()
    }
    return said | {"page": str(explained.page), "methods": methods, "left_out": dict(explained.left_out)}


def _tell(reporter: Reporter, said: dict[str, Any], explained: Explanation) -> None:
    if "value" in said:
        reporter.field("says", f"{clean(said['class'])} {metric_number(said['value'])}")
    else:
        reporter.field("says", ", ".join(f"{clean(label)} {percent(p)}" for label, p in said["top"]))
        if said["class"] != said["top"][0][0]:
            reporter.field("explains", f"{clean(said['class'])} {percent(said['probability'])}")
    folder = explained.page.parent
    names = [path.name for paths in explained.files.values() for path in paths]
    reporter.field("pictures", f"{', '.join(names)} in {clean(str(folder))}")
    for method, reason in explained.left_out.items():
        reporter.field("left out", f"{method}: {reason}")
    reporter.field("page", clean(str(explained.page)))
