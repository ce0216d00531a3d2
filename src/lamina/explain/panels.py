"""One panel a method: its pictures, what they say of this one, and how to read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lamina.errors import ConfigError
from lamina.explain.activations import feature_maps, grad_cam, layers_with_maps
from lamina.explain.colours import HEAT, SIGNED, filter_grid, heat, map_grid, signed
from lamina.explain.covering import default_window, occlusion
from lamina.explain.gradients import integrated_gradients, saliency
from lamina.explain.subject import Subject
from lamina.explain.weights import layers_with_filters
from lamina.report.wording import amount, percent

__all__ = ["METHODS", "Panel", "Shot", "panel"]

_STRONGEST = 99.0  # percentile with the brightest colour: single pixels would darken all the others
_STEPS = (64, 256)  # of the path of integrated gradients; the second where the first leaves a larger gap than
_GAP = 0.05  # of the difference of the scores


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture of a panel.

    Attributes:
        file: its name, without an ending.
        pixels: uint8 ``(height, width, 3 or 4)``.
        described: for those who cannot see it.
        caption: what is shown, in a few words, where the panel has several.
    """

    file: str
    pixels: np.ndarray
    described: str
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Panel:
    """What one method shows.

    Attributes:
        method: its name on the command line.
        title: its name for people.
        shots: its pictures.
        reading: sentences on how to read them.
        limits: a sentence on what they do not say.
        paper: (authors and year, arXiv number), where there is one.
        scale: (colour map, what its low end means, what its high end means), where the colours are the point.
        facts: JSON-able numbers behind the pictures.
    """

    method: str
    title: str
    shots: tuple[Shot, ...]
    reading: str
    limits: str
    paper: tuple[str, str] | None = None
    scale: tuple[str, str, str] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def panel(method: str, subject: Subject, behind: np.ndarray, layer: str | None = None) -> Panel:
    """Compute one method's panel.

    Args:
        method: one of `METHODS`.
        subject: what is explained.
        behind: the picture that maps are laid over.
        layer: whose maps are shown, for those methods that show a layer.

    Raises:
        ConfigError: where the network has nothing that the method could show.
    """
    return METHODS[method](subject, behind, layer)


def _saliency(subject: Subject, behind: np.ndarray, layer: str | None) -> Panel:
    values = saliency(subject.model, subject.raw, subject.name)
    top = float(np.percentile(values, _STRONGEST))
    return Panel(
        "saliency",
        "Saliency",
        (Shot("saliency", heat(values, behind, top), f"Heat map of the saliency for {subject.name}"),),
        f"Bright pixels are those where a small change would change {_score(subject)} most, for better or worse.",
        "Single pixels are noise: look at regions. A part that matters can stay dark, where the score is already as "
        "high as it gets.",
        ("Simonyan, Vedaldi & Zisserman 2014", "1312.6034"),
        (HEAT, "no effect", "strongest"),
        {"largest": float(values.max())},
    )


def _integrated_gradients(subject: Subject, behind: np.ndarray, layer: str | None) -> Panel:
    for steps in _STEPS:
        found = integrated_gradients(subject.model, subject.raw, subject.name, steps=steps)
        difference = found.score - found.baseline_score
        if abs(found.gap) <= _GAP * abs(difference):
            break
    values = found.values.sum(axis=-1)
    top = float(np.percentile(np.abs(values), _STRONGEST))
    share = f", or {percent(abs(found.gap / difference))} of it" if abs(difference) > abs(found.gap) else ""
    return Panel(
        "integrated-gradients",
        "Integrated gradients",
        (Shot("integrated-gradients", signed(values, behind, top), f"Map of what raises and lowers {subject.name}"),),
        f"Red pixels raise {_score(subject)} on the way from an empty picture to this one, blue pixels lower it. They "
        f"add up to the difference of the two scores: from {amount(found.baseline_score)} to {amount(found.score)} "
        f"(the sum is off by {amount(abs(found.gap))}{share}).",
        "The empty picture is 0 in the network's input: the mean colour of the training pictures where they were "
        "standardised, else black. Pixels that look like it get nothing, whatever they show.",
        ("Sundararajan, Taly & Yan 2017", "1703.01365"),
        (SIGNED, "against", "for"),
        {"score": found.score, "baseline_score": found.baseline_score, "gap": found.gap},
    )


def _grad_cam(subject: Subject, behind: np.ndarray, layer: str | None) -> Panel:
    path = layers_with_maps(subject.model)[-1] if layer is None else layer
    height, width, _ = feature_maps(subject.model, subject.raw, path).shape
    values = grad_cam(subject.model, subject.raw, subject.name, path)
    nothing = "" if values.any() else f" Here nothing that it sees speaks for {subject.name}: the map is empty."
    return Panel(
        "grad-cam",
        "Grad-CAM",
        (Shot("grad-cam", heat(values, behind), f"Heat map of where layer {path} sees {subject.name}"),),
        f"Bright is where layer {path} sees what raises {_score(subject)}.{nothing}",
        f"The layer has {height} × {width} places, and each sees more of the picture than lies under it: the map says "
        "roughly where, not which pixels.",
        ("Selvaraju et al. 2017", "1610.02391"),
        (HEAT, "nothing", "most"),
        {"layer": path},
    )


def _occlusion(subject: Subject, behind: np.ndarray, layer: str | None) -> Panel:
    values = occlusion(subject.model, subject.raw, subject.name)
    height, width = default_window(subject.x.shape[0], subject.x.shape[1])
    what, least, most = _answer(subject), float(values.min()), float(values.max())
    strength = amount if subject.model.target.answer == "values" else _points
    found = f"at most it falls by {strength(most)}" if most > 0 else "nothing lowers it"
    scale = strength(max(abs(least), abs(most)))
    return Panel(
        "occlusion",
        "Occlusion",
        (Shot("occlusion", signed(values, behind), f"Map of how {what} falls when parts are covered"),),
        f"A blank window of {height} × {width} pixels of the network's input slides over the picture. Red is where "
        f"covering lowers {what}, blue where it raises it; {found}, as a mean over the windows on a pixel.",
        "What is larger than the window, or there twice, is not missed when it is covered in part; and the network was "
        "not trained on pictures with a blank square.",
        ("Zeiler & Fergus 2014", "1311.2901"),
        (SIGNED, f"rises by {scale}", f"falls by {scale}"),
        {"window": [height, width], "smallest": least, "largest": most},
    )


def _feature_maps(subject: Subject, behind: np.ndarray, layer: str | None) -> Panel:
    paths = _three(layers_with_maps(subject.model)) if layer is None else [layer]
    shots = []
    for path in paths:
        maps = feature_maps(subject.model, subject.raw, path)
        pixels, shown = map_grid(maps)
        height, width, channels = maps.shape
        which = (
            f"the {len(shown)} strongest of {channels} channels" if len(shown) < channels else f"{channels} channels"
        )
        caption = f"Layer {path}: {which}, {height} × {width}"
        shots.append(Shot(f"feature-maps-{path}", pixels, f"Feature maps of layer {path}", caption))
    return Panel(
        "feature-maps",
        "Feature maps",
        tuple(shots),
        "Each tile is what one channel of a layer answers to this picture, from dark, its lowest value, to yellow, its "
        "highest. Early layers answer to edges and colours in their places; later ones are coarser and answer to parts "
        "of things.",
        "The tiles' scales differ: a bright one may answer weakly. A tile of one colour answers to nothing here.",
        facts={"layers": paths},
    )


def _filters(subject: Subject, behind: np.ndarray, layer: str | None) -> Panel:
    known = layers_with_filters(subject.model)
    path = next(iter(known), None)
    if path is None:
        raise ConfigError("The network has no layer whose weights are filters over the picture.")
    count, height, width, channels = known[path].shape
    if channels not in (1, 3):
        raise ConfigError(f"The filters of layer {path!r} have {channels} channels and make no picture.")
    shown = f"{count}" if count <= 64 else f"The first 64 of {count}"
    return Panel(
        "filters",
        "Filters",
        (Shot("filters", filter_grid(known[path]), f"Filters of layer {path}"),),
        f"{shown} patterns of {height} × {width} pixels that layer {path} compares with the picture: its weights. "
        "Middle grey is a weight of zero; each is stretched to its largest weight.",
        "They are the same for every picture. Smooth edges and colours were learned; what looks like noise was hardly "
        "learned, or is not needed.",
        facts={"layer": path},
    )


METHODS: dict[str, Callable[[Subject, np.ndarray, str | None], Panel]] = {
    "saliency": _saliency,
    "integrated-gradients": _integrated_gradients,
    "grad-cam": _grad_cam,
    "occlusion": _occlusion,
    "feature-maps": _feature_maps,
    "filters": _filters,
}


def _three(paths: list[str]) -> list[str]:
    """The first, a middle and the last layer."""
    return list(dict.fromkeys((paths[0], paths[len(paths) // 2], paths[-1])))


def _score(subject: Subject) -> str:
    return f"the {'value' if subject.model.target.answer == 'values' else 'score'} of {subject.name}"


def _answer(subject: Subject) -> str:
    return f"the {'value' if subject.model.target.answer == 'values' else 'probability'} of {subject.name}"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points" if share >= 0.001 else "<0.1 points"
