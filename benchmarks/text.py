"""How good are the networks that Lamina chooses for texts? `lamina train`, also with --refit, beside scikit-learn.

    python benchmarks/text.py [SET ...] --data DIR [--quick]

DIR (or LAMINA_TEST_DATA) holds text/sentence_polarity.csv, sms_spam.csv, names.csv and tinyshakespeare.txt; those that
are missing are left out. Of the tables a tenth of the different texts is held out, the same for all; three seeds choose
what is kept for validation, and the first weights. Failed runs count. tinyshakespeare is cut by place, its last tenth
being the test part, and trained once.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import results
from commands import LAMINA, run_json
from sklearn_texts import MODELS
from steps import note

PACKAGES = ("lamina", "jax", "optax", "scikit-learn", "numpy")
SEEDS = 3


@dataclass(frozen=True)
class Part:
    """A data set: where it lies, its columns, what counts, and what stands beside."""

    title: str
    file: str
    metric: str
    text: str = ""
    target: str = ""
    peer: str = ""
    positive: str = ""  # the class whose F1 counts


PARTS = {
    "sentence_polarity": Part(
        "Sentence polarity (Pang & Lee), a tenth held out",
        "sentence_polarity.csv",
        "accuracy",
        "text",
        "label",
        "words",
    ),
    "sms_spam": Part(
        "SMS spam (UCI), a tenth held out", "sms_spam.csv", "F1 of spam", "text", "label", "words", "spam"
    ),
    "names": Part(
        "Surnames of 18 nationalities, a tenth held out", "names.csv", "macro F1", "name", "nationality", "characters"
    ),
    "tinyshakespeare": Part("tinyshakespeare, its last tenth", "tinyshakespeare.txt", "cross-entropy"),
}


def main() -> None:
    options = results.parse_sets(__doc__, PARTS, data_needed=True)
    folder = options.results or (None if options.quick else results.HERE)
    for name in options.sets or PARTS:
        part = PARTS[name]
        whole = Path(options.data) / "text" / part.file
        if not whole.is_file():
            note(f"{name}: {part.file} is not there, so it is left out")
            continue
        made = results.provenance(PACKAGES)
        with tempfile.TemporaryDirectory() as scratch:
            if part.target:
                train, test = Path(scratch, "train.csv"), Path(scratch, "test.csv")
                hold_out(whole, train, test, part.text)
                runs = [
                    lamina_run(part, train, test, Path(scratch), seed, options.quick, refit=refit)
                    for refit in (False, True)
                    for seed in seeds(options.quick)
                ]
                peers = [sklearn_run(part, train, test, seed) for seed in seeds(options.quick)]
            else:
                runs, peers = [generator_run(whole, Path(scratch), options.quick)], []
        body = report(name, part, runs, peers)
        raw = {"provenance": made, "lamina": runs, "scikit-learn": peers}
        results.publish(folder, f"text-{list(PARTS).index(name) + 1}-{name}", part.title, body, raw)


def seeds(quick: bool) -> range:
    return range(1 if quick else SEEDS)


def hold_out(whole: Path, train: Path, test: Path, text: str, share: float = 0.1, seed: int = 0) -> None:
    """Split a CSV file by its texts; those that differ in case and white space alone stay on one side."""
    frame = pl.read_csv(whole, infer_schema=False).fill_null("")
    keys = [" ".join(one.casefold().split()) for one in frame[text]]
    different = sorted(set(keys))
    random.Random(seed).shuffle(different)
    held_out = set(different[: round(share * len(different))])
    chosen = pl.Series([key in held_out for key in keys])
    frame.filter(~chosen).write_csv(train)
    frame.filter(chosen).write_csv(test)


def lamina_run(
    part: Part, train: Path, test: Path, scratch: Path, seed: int, quick: bool, *, refit: bool
) -> dict[str, Any]:
    """Train and measure once; nothing compiled is kept from before."""
    out = scratch / f"run-{seed}{'-refit' if refit else ''}"
    columns = ["--text", part.text, "--target", part.target]
    typed = [*LAMINA, "train", str(train), *columns, "--test", str(test), "--seed", str(seed), "--out", str(out)]
    more = [*(["--epochs", "1"] if quick else []), *(["--refit"] if refit else [])]
    environment = {"LAMINA_COMPILATION_CACHE": "off"}
    found = run_json([*typed, "--json", "--quiet", *more], environment)
    run = {"seed": seed, "refit": refit, **_kept(found)}
    if "error" not in found:
        measured = run_json([*LAMINA, "evaluate", str(out), str(test), "--json"], environment)
        run |= {"confusion": measured["confusion"], "classes": measured["classes"]}
    note(f"{part.file}, seed {seed}{', refit' if refit else ''}: {score(part, run)}, {run['wall_seconds']:.0f} s")
    return run


def sklearn_run(part: Part, train: Path, test: Path, seed: int) -> dict[str, Any]:
    """The peer on the rows of the same two files, in a process of its own, too."""
    script = str(Path(__file__).with_name("sklearn_texts.py"))
    typed = [sys.executable, script, str(train), str(test), part.text, part.target, part.peer, "--seed", str(seed)]
    run = {"seed": seed, **run_json(typed)}
    note(f"{MODELS[part.peer]}, seed {seed}: {score(part, run)}, {run['wall_seconds']:.0f} s")
    return run


def generator_run(book: Path, scratch: Path, quick: bool) -> dict[str, Any]:
    """Learn to go on with a text, and write some."""
    out = scratch / "run"
    limit = ["--time", "60s"] if quick else []
    typed = [*LAMINA, "train", str(book), "--task", "generate", "--out", str(out), "--json", "--quiet", *limit]
    found = run_json(typed, {"LAMINA_COMPILATION_CACHE": "off"})
    run = {"seed": 0, **_kept(found)}
    if "error" not in found:
        drawn = run_json([*LAMINA, "sample", str(out), "--length", "500", "--temperature", "0.8", "--json"])
        run["sample"] = drawn.get("text", "")
    return run


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    names = ("error", "test", "validation", "intervals", "examples", "epochs", "best_epoch", "status", "seconds")
    return {"wall_seconds": found["wall_seconds"], **{key: found[key] for key in names if key in found}}


def score(part: Part, run: dict[str, Any]) -> float:
    """The number that counts, NaN for a failed run."""
    if "error" in run or "test" not in run:
        return float("nan")
    if not part.positive:
        names = {"accuracy": "accuracy", "macro F1": "f1", "cross-entropy": "cross_entropy"}
        return float(run["test"][names[part.metric]])
    matrix, place = np.asarray(run["confusion"]), run["classes"].index(part.positive)
    hit = matrix[place, place]
    return float(2 * hit / max(1, matrix[place].sum() + matrix[:, place].sum()))


def report(name: str, part: Part, runs: Sequence[dict[str, Any]], peers: Sequence[dict[str, Any]]) -> str:
    """A row for Lamina, for Lamina with --refit and for the peer: the mean over the seeds, and every seed."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        grouped["Lamina, --refit" if run.get("refit") else "Lamina"].append(run)
    if peers:
        grouped[f"scikit-learn: {MODELS[part.peer]}"] = list(peers)
    header = ["test part", f"{part.metric}, mean", "each seed", "s to fit, mean", "s the whole process, mean"]
    rows = []
    for title, own in grouped.items():
        scores = [score(part, run) for run in own]
        good = [value for value in scores if np.isfinite(value)]
        fits = [run["seconds"] for run in own if "seconds" in run]
        rows.append(
            [
                title,
                f"{np.mean(good):.4f}" if good else "failed",
                ", ".join(f"{value:.4f}" if np.isfinite(value) else "failed" for value in scores),
                f"{np.mean(fits):.1f}" if fits else "failed",
                f"{np.mean([run['wall_seconds'] for run in own]):.1f}",
            ]
        )
    parts = [results.table(header, rows)]
    if failed := [run for run in runs if "error" in run]:
        parts.append("Failed: " + "; ".join(f"seed {run['seed']}: {run['error']['message']}" for run in failed))
    written = [run["sample"].strip() for run in runs if "sample" in run]
    parts += [f"What it writes (temperature 0.8):\n\n```text\n{sample}\n```" for sample in written]
    asked = f"--text {part.text} --target {part.target} --test … --seed S" if part.target else "--task generate"
    parts.append(f"Each run: `lamina train {part.file} {asked}`, with nothing compiled before.")
    if peers:
        parts.append("scikit-learn learns from all rows of train.csv, as Lamina does with --refit.")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
