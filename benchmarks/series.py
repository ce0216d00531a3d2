"""How good are forecasts and series classifiers that Lamina chooses by itself? `lamina train` beside simple baselines.

    python benchmarks/series.py [SET ...] [--data DIR] [--quick]

The sets are looked for in DIR/series (or LAMINA_TEST_DATA): monthly-sunspots.csv and daily-min-temperatures.csv,
forecast 1 and 12 steps ahead; ItalyPowerDemand, GunPoint and OSULeaf (_TRAIN.ts and _TEST.ts). Those that are missing
are left out. Three seeds. Beside the forecasts stand the last value, the season before and ridge autoregression on the
same windows; beside the classifiers the nearest neighbour by Euclidean distance and by dynamic time warping, whose
window is chosen by leaving one out of the training part.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results
from commands import LAMINA, run_json
from steps import note

PACKAGES = ("lamina", "jax", "optax", "numpy")
SEEDS = 3
WARPS = (0.0, 0.03, 0.06, 0.1)  # widths of the warping window, as shares of the length


@dataclass(frozen=True)
class Part:
    """A data set and how it is given to ``lamina train``."""

    title: str
    file: str
    options: tuple[str, ...] = ()

    @property
    def forecast(self) -> bool:
        return self.file.endswith(".csv")


def _forecast(title: str, file: str, column: str, horizon: int) -> Part:
    ahead = f"{horizon} step{'s' if horizon > 1 else ''} ahead"
    return Part(f"{title}, {ahead}", file, ("--task", "forecast", "--target", column, "--horizon", str(horizon)))


PARTS = {
    "sunspots-1": _forecast("Monthly sunspots", "monthly-sunspots.csv", "Sunspots", 1),
    "sunspots-12": _forecast("Monthly sunspots", "monthly-sunspots.csv", "Sunspots", 12),
    "temperatures-1": _forecast("Daily minimum temperatures", "daily-min-temperatures.csv", "Temp", 1),
    "temperatures-12": _forecast("Daily minimum temperatures", "daily-min-temperatures.csv", "Temp", 12),
    "italy": Part("ItalyPowerDemand (UCR)", "ItalyPowerDemand_TRAIN.ts"),
    "gunpoint": Part("GunPoint (UCR)", "GunPoint_TRAIN.ts"),
    "osuleaf": Part("OSULeaf (UCR)", "OSULeaf_TRAIN.ts"),
}


def main() -> None:
    options = results.parse_sets(__doc__, PARTS)
    folder = options.results or (None if options.quick else results.HERE)
    chosen = [name for name in PARTS if name in (options.sets or PARTS)]
    for kind, forecast in (("forecasts", True), ("classes", False)):
        made = results.provenance(PACKAGES)
        measured: dict[str, dict[str, Any]] = {}
        for name in chosen:
            part = PARTS[name]
            if part.forecast != forecast:
                continue
            file = None if options.data is None else Path(options.data) / "series" / part.file
            if file is None or not file.is_file():
                note(f"{name}: its file is not there, so it is left out (see --data)")
                continue
            runs = lamina_runs(name, file, quick=options.quick)
            peers = {} if forecast else neighbours(file, quick=options.quick)
            measured[name] = {"lamina": runs, "neighbours": peers}
        if measured:
            title = "Forecasts" if forecast else "Series classification"
            body = forecasts(measured) if forecast else classes(measured)
            results.publish(folder, f"series-{kind}", title, body, {"provenance": made, "sets": measured})


def lamina_runs(name: str, file: Path, *, quick: bool) -> list[dict[str, Any]]:
    """A run for each seed, failed ones included."""
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(1 if quick else SEEDS):
            typed = [*LAMINA, "train", str(file), *PARTS[name].options, "--json", "--quiet", "--seed", str(seed)]
            typed += ["--out", str(Path(scratch, f"run-{seed}")), *(["--epochs", "1"] if quick else [])]
            found = run_json(typed, {"LAMINA_COMPILATION_CACHE": "off"})
            kept = (
                "error",
                "test",
                "validation",
                "intervals",
                "examples",
                "epochs",
                "best_epoch",
                "baselines",
                "seconds",
            )
            run = {"seed": seed, "wall_seconds": found["wall_seconds"]}
            run |= {key: found[key] for key in kept if key in found}
            runs.append(run)
            note(f"{name}, seed {seed}: {run.get('test', run.get('error'))}, {run['wall_seconds']:.0f} s")
    return runs


def neighbours(file: Path, *, quick: bool) -> dict[str, float]:
    """Test accuracy of the nearest neighbour, by Euclidean distance and by dynamic time warping."""
    from lamina.data.series_ts import read_ts, sibling

    beside = sibling(file)
    assert beside is not None
    train, test = read_ts(file), read_ts(beside)
    x, x_test = (np.stack(part.series)[..., 0].astype(np.float64) for part in (train, test))
    y, y_test = (np.asarray(part.labels) for part in (train, test))
    squares = np.square(x_test[:, None] - x).sum(axis=2)
    found = {"euclidean": float((y[squares.argmin(axis=1)] == y_test).mean())}
    if quick:
        return found
    left_out = {}
    for share in WARPS:
        apart = warped(x, x, share)
        np.fill_diagonal(apart, np.inf)
        left_out[share] = float((y[apart.argmin(axis=1)] == y).mean())
    share = max(left_out, key=lambda width: left_out[width])
    found["warped"] = float((y[warped(x_test, x, share).argmin(axis=1)] == y_test).mean())
    found["warping window"] = share
    return found


def warped(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Squared dynamic-time-warping distances ``(len(a), len(b))`` within a band (Sakoe & Chiba 1978)."""
    length = a.shape[1]
    band = max(int(np.ceil(share * length)), 0)
    before = np.full((len(a), len(b), length + 1), np.inf)
    before[:, :, 0] = 0.0
    for i in range(length):
        now = np.full_like(before, np.inf)
        for j in range(max(0, i - band), min(length, i + band + 1)):
            cost = np.square(a[:, None, i] - b[None, :, j])
            least = np.minimum(np.minimum(before[:, :, j], before[:, :, j + 1]), now[:, :, j])
            now[:, :, j + 1] = cost + least
        before = now
    return before[:, :, -1]


def forecasts(measured: dict[str, dict[str, Any]]) -> str:
    """A row a set: mean absolute errors on the test part."""
    header = ["test part, mean absolute error", "Lamina, mean", "each seed", "last value", "season before"]
    header += ["ridge autoregression", "s the whole process, mean"]
    rows = []
    for name, found in measured.items():
        runs = found["lamina"]
        values = _values(runs, "mae")
        known = next((run["baselines"] for run in runs if "baselines" in run), [])
        beside = [next((row["test"] for row in known if row["baseline"].startswith(word)), float("nan"))
                  for word in ("last", "season", "ridge")]  # fmt: skip
        rows.append([
            PARTS[name].title, _mean(values, "{:.3f}"), ", ".join(f"{value:.3f}" for value in values),
            *(f"{value:.3f}" for value in beside), f"{np.mean([run['wall_seconds'] for run in runs]):.1f}",
        ])  # fmt: skip
    parts = [results.table(header, rows), *_failed(measured)]
    parts.append(
        "The last tenth of each series is the test part, the tenth before it the validation part, by which all choices"
        " are made: the window, the inputs, the network's epoch, ridge regression's penalty. Ridge regression has the"
        " same windows and inputs, and is fitted to the same training part. Each run: `lamina train FILE --task"
        " forecast --target COLUMN --horizon N --seed S`, with nothing compiled before."
    )
    return "\n\n".join(parts)


def classes(measured: dict[str, dict[str, Any]]) -> str:
    """A row a set: accuracies on the given test part."""
    header = ["test part, accuracy", "Lamina, mean", "each seed", "95 % interval of the first"]
    header += ["1-NN, Euclidean", "1-NN, warped", "training series", "s the whole process, mean"]
    rows = []
    for name, found in measured.items():
        runs, peers = found["lamina"], found["neighbours"]
        values = _values(runs, "accuracy")
        low, high = runs[0].get("intervals", {}).get("test", {}).get("accuracy", (None, None))
        sizes = next((run["examples"] for run in runs if "examples" in run), {})
        rows.append([
            PARTS[name].title, _mean(values, "{:.2%}"), ", ".join(f"{value:.2%}" for value in values),
            "" if low is None else f"{low:.2%} – {high:.2%}", f"{peers['euclidean']:.2%}",
            f"{peers['warped']:.2%}" if "warped" in peers else "",
            f"{sizes.get('train', 0)} (+ {sizes.get('validation', 0)})",
            f"{np.mean([run['wall_seconds'] for run in runs]):.1f}",
        ])  # fmt: skip
    parts = [results.table(header, rows), *_failed(measured)]
    parts.append(
        "The archive's own training and test parts. Lamina keeps a tenth of the training series (in brackets) for"
        " validation, the neighbours look among all of them; the width of the warping window is chosen by leaving one"
        " training series out. Each run: `lamina train FILE_TRAIN.ts --seed S`, with nothing compiled before."
    )
    return "\n\n".join(parts)


def _values(runs: Sequence[dict[str, Any]], metric: str) -> list[float]:
    return [run["test"][metric] if "test" in run else float("nan") for run in runs]


def _mean(values: Sequence[float], form: str) -> str:
    good = [value for value in values if np.isfinite(value)]
    return form.format(np.mean(good)) if good else "failed"


def _failed(measured: dict[str, dict[str, Any]]) -> list[str]:
    failed = [
        f"{name}, seed {run['seed']}: {run['error']['message']}"
        for name, found in measured.items()
        for run in found["lamina"]
        if "error" in run
    ]
    return ["Failed: " + "; ".join(failed)] if failed else []


if __name__ == "__main__":
    main()
