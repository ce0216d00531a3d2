"""How an auto-encoder fares: what it gives back, where it fails, what its codes look like."""

from __future__ import annotations

import numpy as np

from lamina.data.base import Preprocessing
from lamina.layers.autoencoder import autoencoder_in
from lamina.report import code_plots
from lamina.report.evidence import Evidence
from lamina.report.markup import Markup, join, table, tag
from lamina.report.pictures import is_picture, picture
from lamina.report.svg import inline
from lamina.report.wording import amount, count, shorten
from lamina.run import Run

__all__ = ["codes", "distribution", "pixels", "rows_of_pictures", "samples", "worst"]

_SHOWN = 12
_ROWS = 15


def pixels(values: np.ndarray, truth: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """A network's inputs or outputs as uint8 pictures ``(n, height, width, channels)``.

    Args:
        values: as the network takes and gives them.
        truth: the inputs; where the data are arrays, each one's range is what the picture shows.
    """
    from lamina.data.image_preprocessing import ImagePreprocessing

    if isinstance(preprocessing, ImagePreprocessing):
        shown = values * np.asarray(preprocessing.std) + np.asarray(preprocessing.mean)
    else:
        low, high = truth.min(axis=(1, 2, 3), keepdims=True), truth.max(axis=(1, 2, 3), keepdims=True)
        shown = 255 * (values - low) / np.where(high > low, high - low, 1.0)
    return np.asarray(np.rint(np.clip(shown, 0, 255)), np.uint8)


def samples(evidence: Evidence, preprocessing: Preprocessing) -> Markup:
    """Examples drawn at random, always the same ones of a split, above what the network gives back of them."""
    size = min(_SHOWN, len(evidence.truth))
    drawn = np.sort(np.random.default_rng(0).choice(len(evidence.truth), size, replace=False))
    return _show(evidence, preprocessing, drawn)


def worst(evidence: Evidence, preprocessing: Preprocessing) -> Markup:
    """The examples with the largest squared errors."""
    return _show(evidence, preprocessing, np.argsort(-evidence.error, kind="stable")[:_SHOWN])


def _show(evidence: Evidence, preprocessing: Preprocessing, indices: np.ndarray) -> Markup:
    if not is_picture(preprocessing):
        rows = [
            (shorten(evidence.name(index), 40), amount(float(evidence.error[index])), _furthest(evidence, index))
            for index in indices[:_ROWS].tolist()
        ]
        head = ("Example", "Squared error", "Furthest off")
        return table(head, rows, caption="Examples with their squared errors", numbers=(1,))
    truth = evidence.truth[indices]
    pairs = {
        "Original": pixels(truth, truth, preprocessing),
        "Reconstruction": pixels(evidence.answers[indices], truth, preprocessing),
    }
    notes = [(amount(float(evidence.error[index])), evidence.name(index)) for index in indices.tolist()]
    return rows_of_pictures(pairs, notes)


def rows_of_pictures(rows: dict[str, np.ndarray], notes: list[tuple[str, str]]) -> Markup:
    """Pictures in columns, each row of a kind, with a note below each column.

    Args:
        rows: kind → uint8 ``(n, height, width, channels)``.
        notes: of each column, a short text and the example's name.
    """
    lines = [
        tag("tr", tag("th", kind, scope="row"), *(tag("td", picture(one, f"{kind} of {name}")) for one, (_, name) in
            zip(several, notes, strict=True)))
        for kind, several in rows.items()
    ]  # fmt: skip
    below = [tag("td", tag("small", said, title=name)) for said, name in notes]
    lines.append(tag("tr", tag("th", "Squared error", scope="row"), *below))
    caption = "Originals above their reconstructions"
    inner = tag("table", tag("caption", caption, class_="unseen"), tag("tbody", *lines), class_="pairs")
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _furthest(evidence: Evidence, index: int) -> str:
    truth, given = evidence.truth[index].reshape(-1), evidence.answers[index].reshape(-1)
    place = int(np.argmax(np.abs(given - truth)))
    return f"number {place}: {amount(float(given[place]))} for {amount(float(truth[place]))}"


def distribution(evidence: Evidence) -> Markup:
    """How large the squared errors are."""
    off = evidence.error
    spread = float(np.square(evidence.truth - evidence.truth.mean(axis=0)).reshape(len(off), -1).sum(axis=1).mean())
    said = (
        f"The squared error is summed over the {count(int(np.prod(evidence.truth.shape[1:])))} numbers of an input, "
        f"as the network takes them: on average {amount(float(off.mean()))}, for half of the inputs at most "
        f"{amount(float(np.median(off)))}. To give back the mean of the inputs would leave {amount(spread)}."
    )
    figure = inline(code_plots.errors({"": off}), "errors", f"Histogram of the squared errors. {said}")
    return join((tag("p", said), tag("figure", figure)))


def codes(run: Run, evidence: Evidence) -> Markup | None:
    """The codes in two dimensions, by class where there are classes; None for a network without a code."""
    model = run.model
    if autoencoder_in(model.network, model.params, model.state) is None:
        return None
    found = model.encode(evidence.split)
    units = int(np.prod(found.shape[1:]))
    how = f"first two principal components of the {units} units" if units > 2 else f"{units} units of the code"
    names = model.target.names
    labels = evidence.split.targets if names else None
    figure = code_plots.planes({f"The {how}": code_plots.plane(found)}, labels, names)
    coloured = ", coloured by class" if names and len(names) <= code_plots.CLASSES else ""
    said = f"Each point is an example{coloured}. Nothing was learned from the classes." if names else ""
    shown = tag("figure", inline(figure, "codes", f"Codes in two dimensions: the {how}{coloured}."))
    return join((tag("p", said) if said else None, shown))
