"""An auto-encoder beside PCA and logistic PCA of the same code size, on the same examples."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lamina.data.base import Data, Split
from lamina.errors import ConfigError
from lamina.files import write_atomically
from lamina.heads import truth
from lamina.layers.autoencoder import autoencoder_in
from lamina.metrics import Interval, bootstrap
from lamina.model import Model
from lamina.report import code_plots
from lamina.report.markup import Markup, join, table, tag
from lamina.report.page import Section, page
from lamina.report.pictures import is_picture
from lamina.report.reconstructions import pixels, rows_of_pictures
from lamina.report.svg import inline
from lamina.report.wording import amount, count, percent
from lamina.unsupervised.pca import PCA, LogisticPCA

__all__ = ["Comparison", "Method", "compare"]

_SHOWN = 12
_NEIGHBOURS = 5
_BATCH = 4096  # test codes whose neighbours are looked for together


@dataclass(frozen=True)
class Method:
    """What one method makes of the test examples.

    Attributes:
        outputs: reconstructions ``(n, features)``, on the scale of the network's inputs.
        codes: ``(n, units)``.
        squared_error: with its 95 % bootstrap interval; summed over an input's numbers, averaged over the inputs.
        neighbours: share of the test codes whose class most of the five nearest training codes have; None without
            classes.
    """

    name: str
    outputs: np.ndarray
    codes: np.ndarray
    squared_error: Interval
    neighbours: float | None


@dataclass(frozen=True)
class Comparison:
    """Methods on the same test examples with codes of the same size.

    Attributes:
        part: of the data that was measured on: "test", or "validation" where there is no test part.
        fitted_on: training examples that PCA and logistic PCA were fitted to.
        left_out: method → why it is not there.
    """

    model: Model
    data: Data
    part: str
    units: int
    inputs: np.ndarray
    methods: tuple[Method, ...]
    fitted_on: int
    left_out: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The figures: squared error with interval and nearest-neighbour accuracy of each method."""
        rows = {
            method.name: {"squared_error": method.squared_error._asdict(), "neighbour_accuracy": method.neighbours}
            for method in self.methods
        }
        shown = {"part": self.part, "examples": len(self.inputs), "code": self.units, "fitted_on": self.fitted_on}
        return shown | {"methods": rows, "left_out": self.left_out}

    def write(self, out: str | os.PathLike[str]) -> Path:
        """Write ``comparison.html`` and its pictures ``codes.svg`` and ``reconstructions.png`` into a folder.

        Raises:
            BadInputError: where they cannot be written.
        """
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "codes.svg", _svg(self._codes()))
        strip = self._strip()
        if strip is not None:
            write_atomically(folder / "reconstructions.png", _png(strip))
        path = folder / "comparison.html"
        title = "Auto-encoder against PCA"
        write_atomically(path, page(f"{title} · Lamina", self._header(title), self._sections()).encode())
        return path

    def _header(self, title: str) -> Markup:
        said = (
            f"Codes of {self.units} numbers, measured on the {self.part} part of {self.data.card.source}, "
            f"{count(len(self.inputs))} examples; PCA and logistic PCA were fitted to {count(self.fitted_on)} training "
            "examples."
        )
        return join((tag("p", "Lamina comparison", class_="eyebrow"), tag("h1", title), tag("p", said)))

    def _sections(self) -> list[Section]:
        head = ["Method", "Squared error", "95 % interval"]
        classed = self.methods[0].neighbours is not None
        if classed:
            head.append("Nearest neighbours")
        rows = []
        for method in self.methods:
            value, low, high = method.squared_error
            row = [method.name, _amount(value), f"{_amount(low)} to {_amount(high)}"]
            rows.append([*row, percent(method.neighbours)] if classed else row)
        notes = [tag("p", "The squared error is summed over an input's numbers and averaged over the inputs.")]
        if classed:
            notes.append(
                tag("p", f"Nearest neighbours: the share of examples whose class most of their {_NEIGHBOURS} nearest "
                    "training examples have, as measured between codes.")
            )  # fmt: skip
        notes += [tag("p", f"{name} is left out: {why}", class_="note") for name, why in self.left_out.items()]
        figures = table(head, rows, caption="Squared error by method", numbers=range(1, len(head)))
        errors = {method.name: _errors(method.outputs, self.inputs) for method in self.methods}
        plot = tag("figure", inline(code_plots.errors(errors), "errors", "Squared error of the examples by method"))
        sections = [Section("figures", "Figures", join((*notes, figures, plot)))]
        pictures = self._pictures()
        if pictures is not None:
            sections.append(Section("pictures", "Pictures", rows_of_pictures(pictures, self._notes())))
        described = "Codes in two dimensions by method, coloured by class"
        codes = tag("figure", inline(self._codes(), "codes", described), class_="wide")
        return [*sections, Section("codes", "Codes in two dimensions", codes)]

    def _split(self) -> Split:
        return _measured(self.data)[1]

    def _chosen(self) -> np.ndarray:
        """Examples that are shown: of every class as many, where there are classes."""
        random = np.random.default_rng(0)
        drawn = random.permutation(len(self.inputs))
        labels = self._split().targets
        if self.data.target.names:
            rank = np.zeros(len(drawn), np.int64)
            for index in np.unique(labels):
                own = labels[drawn] == index
                rank[own] = np.arange(int(own.sum()))
            drawn = drawn[np.lexsort((labels[drawn], rank))]
        return np.asarray(drawn[:_SHOWN])

    def _pictures(self) -> dict[str, np.ndarray] | None:
        preprocessing = self.model.preprocessing
        if not is_picture(preprocessing):
            return None
        shape = preprocessing.input_spec().shape
        chosen = self._chosen()
        truth = self.inputs[chosen].reshape(-1, *shape)
        rows = {"Original": pixels(truth, truth, preprocessing)}
        for method in self.methods:
            rows[method.name] = pixels(method.outputs[chosen].reshape(-1, *shape), truth, preprocessing)
        return rows

    def _notes(self) -> list[tuple[str, str]]:
        split, chosen = self._split(), self._chosen()
        off = _errors(self.methods[0].outputs, self.inputs)
        names = [str(split.names[index]) if len(split.names) else f"example {index}" for index in chosen]
        return [(amount(float(off[index])), name) for index, name in zip(chosen, names, strict=True)]

    def _strip(self) -> np.ndarray | None:
        """All pictures as one: a row of originals above a row of each method's."""
        rows = self._pictures()
        if rows is None:
            return None
        framed = [np.pad(row, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=128) for row in rows.values()]
        return np.concatenate([np.concatenate(list(row), axis=1) for row in framed], axis=0)

    def _codes(self) -> Any:
        names = self.data.target.names
        points = {method.name: code_plots.plane(method.codes) for method in self.methods}
        return code_plots.planes(points, self._split().targets if names else None, names)


def compare(model: Model, data: Data, *, seed: int = 0) -> Comparison:
    """Measure an auto-encoder beside PCA (scikit-learn's) and logistic PCA with codes of the same size.

    PCA and logistic PCA are fitted to the training part and all are measured on the test part (the validation part
    where there is none). Logistic PCA is left out where the inputs do not lie in 0…1.

    Args:
        model: an auto-encoder.
        data: from `lamina.data.load` with the task "autoencode" and the model's preprocessing.
        seed: of PCA's random projections and of the bootstrap.

    Raises:
        ConfigError: for a model that is no auto-encoder, and where scikit-learn is not installed.
        DataError: for more units than there are training examples.
    """
    if autoencoder_in(model.network, model.params, model.state) is None:
        raise ConfigError("Only an auto-encoder can be compared with PCA.", "Train one with the task 'autoencode'.")
    part, split = _measured(data)
    train, inputs = (_flat(truth(model.target, model.preprocessing, one)) for one in (data.train, split))
    own = {one: _flat(model.encode(which)) for one, which in (("train", data.train), ("test", split))}
    units = own["test"].shape[1]
    labels = (data.train.targets, split.targets) if data.target.names else None
    made = [_method("network", _flat(model.reconstruct(split)), own["train"], own["test"], inputs, labels, seed)]
    linear = PCA.fit(train, units, seed)
    codes = linear.encode(inputs)
    made.append(_method("PCA", linear.decode(codes), linear.encode(train), codes, inputs, labels, seed))
    left_out = {}
    if train.min() >= -1e-6 and train.max() <= 1 + 1e-6:
        logistic = LogisticPCA.fit(train, units, seed=seed)
        codes = logistic.encode(inputs)
        known = logistic.encode(train) if labels is not None else codes
        made.append(_method("logistic PCA", logistic.decode(codes), known, codes, inputs, labels, seed))
    else:
        left_out["logistic PCA"] = "it is for inputs in 0…1."
    return Comparison(model, data, part, units, inputs, tuple(made), len(train), left_out)


def _method(
    name: str,
    outputs: np.ndarray,
    known: np.ndarray,
    codes: np.ndarray,
    inputs: np.ndarray,
    labels: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
) -> Method:
    error = bootstrap("autoencode", outputs, inputs, 0, seed=seed)["squared_error"]
    found = None if labels is None else _neighbour_accuracy(known, labels[0], codes, labels[1])
    return Method(name, outputs, codes, error, found)


def _neighbour_accuracy(known: np.ndarray, classes: np.ndarray, codes: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.neighbors import KNeighborsClassifier

    fitted = KNeighborsClassifier(min(_NEIGHBOURS, len(known)), algorithm="brute").fit(known, classes)
    right = [
        fitted.predict(codes[start : start + _BATCH]) == truth[start : start + _BATCH]
        for start in range(0, len(codes), _BATCH)
    ]
    return float(np.mean(np.concatenate(right)))


def _measured(data: Data) -> tuple[str, Split]:
    return ("validation", data.validation) if data.test is None else ("test", data.test)


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _errors(outputs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    off: np.ndarray = np.square(np.subtract(outputs, inputs, dtype=np.float64)).sum(axis=1)
    return off


def _amount(value: float | None) -> str:
    return "–" if value is None else amount(value)


def _svg(figure: Any) -> bytes:
    import io

    import matplotlib as mpl

    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "lamina"}):
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")), dpi=144)
    return stream.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    import io

    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    factor = max(1, 64 // (pixels.shape[1] // _SHOWN))
    stream = io.BytesIO()
    image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST).save(stream, "PNG")
    return stream.getvalue()
