"""A folder with everything that can be shown of one answer: pictures, and a page with all of them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lamina.errors import ConfigError, nearest
from lamina.explain.activations import check_layer
from lamina.explain.colours import backdrop
from lamina.explain.html import document
from lamina.explain.panels import METHODS, Panel, panel
from lamina.explain.subject import Subject, examine
from lamina.files import check_folder, write_folder
from lamina.model import Model

__all__ = ["Explanation", "write"]

_PAGE = "explain.html"
_WITH_LAYER = ("grad-cam", "feature-maps")


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was written.

    Attributes:
        subject: the picture and the output that is explained.
        page: path of the HTML page.
        files: paths of the pictures by method.
        facts: the numbers behind them by method.
        left_out: {method: why the network has nothing for it}.
    """

    subject: Subject
    page: Path
    files: Mapping[str, tuple[Path, ...]]
    facts: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]


def write(
    model: Model,
    x: Any,
    out: str | PathLike[str],
    *,
    class_: str | int | None = None,
    layer: str | None = None,
    methods: Iterable[str] | None = None,
    name: str = "",
    force: bool = False,
) -> Explanation:
    """Write a folder with a PNG picture or more for each method, and ``explain.html``, which shows and explains them.

    Args:
        model: trained on pictures.
        x: one raw picture: a path, the bytes of a file, a Pillow image or an array.
        out: the folder; it is written whole or not at all.
        class_: name of a class, label or value; default: what the model predicts.
        layer: dotted path of the layer for Grad-CAM and the feature maps; default: the last one with maps for the
            former; the first, a middle and the last one for the latter.
        methods: some of "saliency", "integrated-gradients", "grad-cam", "occlusion", "feature-maps", "filters";
            default: all that the network has something for.
        name: of the picture, for the page; default: its file's.
        force: replace what an earlier call wrote there.

    Raises:
        ConfigError: for a model that does not look at pictures, an unknown class, layer or method, or a method that
            was asked for and has nothing to show.
        DataError: for what cannot be read as one picture.
        BadInputError: for a folder that cannot be written.
    """
    folder = check_folder(out, what="an explanation", mark=_PAGE, force=force)
    chosen = list(METHODS) if methods is None else list(dict.fromkeys(methods))
    for method in chosen:
        if method not in METHODS:
            raise ConfigError(f"Unknown method {method!r}.", nearest(method, METHODS))
    if not chosen:
        raise ConfigError("There is nothing to show: no method is named.", nearest("", METHODS))
    if layer is not None:
        if not set(chosen) & set(_WITH_LAYER):
            raise ConfigError(f"A layer is for {' and '.join(_WITH_LAYER)}. Received: layer {layer!r} without them.")
        check_layer(model, layer)
    subject = examine(model, x, class_)
    behind = backdrop(subject)
    panels: list[Panel] = []
    left_out: dict[str, str] = {}
    for method in chosen:
        try:
            panels.append(panel(method, subject, behind, layer))
        except ConfigError as error:
            if methods is not None:
                raise
            left_out[method] = error.message
    shown = name or (os.path.basename(os.fspath(x)) if isinstance(x, str | PathLike) else "the picture")
    contents = {f"{shot.file}.png": _png(shot.pixels) for one in panels for shot in one.shots}
    contents[_PAGE] = document(shown, subject, behind, panels, left_out).encode("utf-8", "backslashreplace")
    write_folder(folder, contents)
    return Explanation(
        subject,
        folder / _PAGE,
        {one.method: tuple(folder / f"{shot.file}.png" for shot in one.shots) for one in panels},
        {one.method: one.facts for one in panels},
        left_out,
    )


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
