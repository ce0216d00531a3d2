"""How good are the networks that Lamina chooses by itself? `lamina train` without options, on public data sets.

    python benchmarks/accuracy.py [SET ...] [--data DIR] [--quick]

digits comes with Lamina, and Debian's package dataset-fashion-mnist is found where it lies. The others are looked for
in DIR (or LAMINA_TEST_DATA): mnist/ (IDX files), fashion-mnist/, cats_dogs/train and test (a folder a class),
tables/adult_train.csv and adult_test.csv (target: income), tables/diamonds.csv (target: price). Those that are missing
are left out. Three seeds where a run takes less than five minutes, else one. Beside the tables stand scikit-learn's
models, on the same rows.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results
from commands import LAMINA, run_json
from sklearn_tables import MODELS
from steps import note

PACKAGES = ("lamina", "jax", "optax", "scikit-learn", "numpy")
SEEDS = 3
LONG = 300.0  # seconds; of what takes longer there is one run


@dataclass(frozen=True)
class Part:
    """A data set and how it is given to ``lamina train``."""

    title: str
    metrics: tuple[str, ...]
    target: str = ""


PARTS = {
    "digits": Part("Scanned digits (UCI), 8×8", ("accuracy",)),
    "mnist": Part("MNIST", ("accuracy",)),
    "fashion-mnist": Part("Fashion-MNIST", ("accuracy",)),
    "cats_dogs": Part("Cats and dogs, 1,999 photographs of 100×100, from scratch", ("accuracy",)),
    "adult": Part("Adult (UCI), given test part", ("accuracy", "auc"), "income"),
    "diamonds": Part("Diamonds, a fifth held out", ("r2", "mae"), "price"),
}


def main() -> None:
    options = results.parse_sets(__doc__, PARTS)
    folder = options.results or (None if options.quick else results.HERE)
    for name in options.sets or PARTS:
        with tempfile.TemporaryDirectory() as scratch:
            arguments = source(name, options.data, Path(scratch))
            if arguments is None:
                note(f"{name}: its files are not there, so it is left out (see --data)")
                continue
            part, made = PARTS[name], results.provenance(PACKAGES)
            runs = lamina_runs(name, arguments, options.data, Path(scratch), quick=options.quick)
            peers = sklearn_runs(arguments, part, quick=options.quick) if part.target else []
        raw = {"provenance": made, "lamina": runs, "scikit-learn": peers}
        body = report(name, part, runs, peers)
        results.publish(folder, f"accuracy-{list(PARTS).index(name) + 1}-{name}", part.title, body, raw)


def source(name: str, data: Path | None, scratch: Path) -> list[str] | None:
    """The arguments of ``lamina train`` that name a data set; None where its files are missing."""
    if name in ("digits", "mnist", "fashion-mnist"):
        places = [data / name] if data else []
        places += [Path("/usr/share/datasets", name)]
        return [name] if name == "digits" or any(place.is_dir() for place in places) else None
    if data is None:
        return None
    if name == "cats_dogs":
        return [str(data / name)] if (data / name).is_dir() else None
    if name == "adult":
        train, test = (data / "tables" / f"adult_{part}.csv" for part in ("train", "test"))
    else:
        whole = data / "tables" / "diamonds.csv"
        train, test = scratch / "train.csv", scratch / "test.csv"
        if whole.is_file():
            hold_out(whole, train, test)
    given = [str(train), "--target", PARTS[name].target, "--test", str(test)]
    return given if train.is_file() and test.is_file() else None


def hold_out(whole: Path, train: Path, test: Path, share: float = 0.2, seed: int = 0) -> None:
    """Split a CSV file by whole rows; equal rows stay on one side."""
    head, *lines = whole.read_text().splitlines(keepends=True)
    different = sorted(set(lines))
    chosen = np.random.default_rng(seed).permutation(len(different))[: round(share * len(different))]
    held_out = {different[index] for index in chosen}
    train.write_text(head + "".join(line for line in lines if line not in held_out))
    test.write_text(head + "".join(line for line in lines if line in held_out))


def lamina_runs(
    name: str, arguments: Sequence[str], data: Path | None, scratch: Path, *, quick: bool
) -> list[dict[str, Any]]:
    """A run for each seed, failed ones included. Nothing compiled is kept between them."""
    environment = {"LAMINA_COMPILATION_CACHE": "off"}
    if data is not None:
        environment["LAMINA_DATA"] = str(data)
    runs: list[dict[str, Any]] = []
    for seed in range(1 if quick else SEEDS):
        typed = [
            *LAMINA,
            "train",
            *arguments,
            "--json",
            "--seed",
            str(seed),
            "--out",
            str(scratch / f"run-{seed}"),
            "--quiet",
        ]
        found = run_json([*typed, *(["--epochs", "1"] if quick else [])], environment)
        kept = ("error", "test", "validation", "intervals", "examples", "epochs", "best_epoch", "status", "seconds")
        run = {"seed": seed, "wall_seconds": found["wall_seconds"], **{key: found[key] for key in kept if key in found}}
        runs.append(run)
        note(f"{name}, seed {seed}: {run.get('test', run.get('error'))}, {run['wall_seconds']:.0f} s")
        if run["wall_seconds"] >= LONG:
            break
    return runs


def sklearn_runs(arguments: Sequence[str], part: Part, *, quick: bool) -> list[dict[str, Any]]:
    """scikit-learn's models on the rows of the same two files, each in a process of its own, too."""
    train, _, _, _, test = arguments
    script = str(Path(__file__).with_name("sklearn_tables.py"))
    runs = []
    for model in MODELS:
        for seed in range(1 if quick else SEEDS):
            limit = ["--iterations", "2"] if quick else []
            found = run_json([sys.executable, script, train, test, part.target, model, "--seed", str(seed), *limit])
            runs.append({"model": model, "seed": seed, **found})
            note(f"{model}, seed {seed}: {found.get('test', found.get('error'))}, {found['wall_seconds']:.0f} s")
            if found["wall_seconds"] >= LONG:
                break
    return runs


def report(name: str, part: Part, runs: Sequence[dict[str, Any]], peers: Sequence[dict[str, Any]]) -> str:
    """A row for Lamina and for each peer: means over the seeds, and every seed."""
    grouped = defaultdict(list, {"Lamina": list(runs)})
    for run in peers:
        grouped[MODELS[run["model"]]].append(run)
    header = ["test part"]
    for metric in part.metrics:
        header += [
            f"{metric}, mean",
            "each seed",
            *(["95 % interval of the first"] if metric == part.metrics[0] else []),
        ]
    header += ["s to fit, mean", "s the whole process, mean"]
    rows = [_row(title, part, own) for title, own in grouped.items()]
    parts = [results.table(header, rows)]
    sizes = next((run["examples"] for run in runs if "examples" in run), {})
    if sizes:
        parts.append("Examples: " + ", ".join(f"{count:,} {split}" for split, count in sizes.items()) + ".")
    if failed := [run for run in runs if "error" in run]:
        words = "; ".join(f"seed {run['seed']}: {run['error']['message']}" for run in failed)
        parts.append(f"Failed: {words}")
    if peers:
        parts.append(
            "scikit-learn trains on all rows of the training file, Lamina keeps a part of them for validation. Fit:"
            " Lamina's compilation, training and validation; scikit-learn's preparation and fit. Whole process: from"
            " the start of Python, with imports and reading, to Lamina's report, or to scikit-learn's score."
        )
    shown = f"lamina train {name} --target {part.target} --test …" if part.target else f"lamina train {name}"
    parts.append(f"Each run: `{shown} --seed S`, with nothing compiled before.")
    return "\n\n".join(parts)


def _row(title: str, part: Part, runs: Sequence[dict[str, Any]]) -> list[str]:
    cells = [title]
    for metric in part.metrics:
        values = [run["test"][metric] if "test" in run else float("nan") for run in runs]
        good = [value for value in values if np.isfinite(value)]
        cells.append(number(metric, float(np.mean(good))) if good else "failed")
        cells.append(", ".join(number(metric, value) if np.isfinite(value) else "failed" for value in values))
        if metric == part.metrics[0]:
            low, high = runs[0].get("intervals", {}).get("test", {}).get(metric, (None, None))
            cells.append("" if low is None else f"{number(metric, low)} – {number(metric, high)}")
    fits = [run["seconds"] for run in runs if "seconds" in run]
    cells.append(f"{np.mean(fits):.1f}" if fits else "failed")
    return [*cells, f"{np.mean([run['wall_seconds'] for run in runs]):.1f}"]


def number(metric: str, value: float) -> str:
    """Accuracies in per cent, errors in their unit, the rest to four places."""
    if metric == "accuracy":
        return f"{value:.2%}"
    return f"{value:.1f}" if metric == "mae" else f"{value:.4f}"


if __name__ == "__main__":
    main()
