"""How long until something happens? Imports, help, and the first epoch with an empty and a filled compilation cache.

    python benchmarks/cold_start.py [--rounds R] [--quick]

Every measurement is a fresh process, pinned to the same cores; the kinds take turns. Wall time from the start of the
process. "First epoch" is when the first line of metrics.jsonl is there, training and validation included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import results
from commands import LAMINA
from peers import cores_for, ratios, rotated, summary
from steps import note

PACKAGES = ("lamina", "jax", "jaxlib", "numpy")
IMPORTS = {
    "python": ("Python alone", [sys.executable, "-c", "pass"]),
    "jax": ("import jax", [sys.executable, "-c", "import jax"]),
    "lamina": ("import lamina", [sys.executable, "-c", "import lamina"]),
    "network": ("import lamina and a first layer", [sys.executable, "-c", "import lamina; lamina.Dense(1)"]),
    "help": ("lamina --help", [*LAMINA, "--help"]),
}
# The command line, counting what JAX says of its persistent cache.
COUNTED = """
import json, os, sys
import jax.monitoring
counts = {}
def count(event, **_):
    if event.startswith("/jax/compilation_cache/"):
        name = event.rpartition("/")[2]
        counts[name] = counts.get(name, 0) + 1
jax.monitoring.register_event_listener(count)
import lamina.cli
try:
    code = lamina.cli.main()
except SystemExit as end:
    code = end.code
with open(os.environ["LAMINA_BENCHMARK_COUNTS"], "w") as file:
    json.dump(counts, file)
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cores", type=int, default=2, help="how many to pin everyone to")
    results.add_options(parser)
    options = parser.parse_args()
    folder = options.results or (None if options.quick else results.HERE)
    rounds = 1 if options.quick else options.rounds
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores_for(options.cores))  # the processes that are started inherit it
    made = results.provenance(PACKAGES)
    imports: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for turn in range(-1, rounds):  # the first one fills the file cache and is not counted
        for name in rotated(list(IMPORTS), turn):
            seconds = wall(IMPORTS[name][1])
            if turn >= 0:
                imports[name].append(seconds)
        note(f"imports, round {turn + 1} of {rounds}")
    trainings: dict[str, list[dict[str, Any]]] = {"empty": [], "filled": []}
    with tempfile.TemporaryDirectory() as scratch:
        first_epoch(Path(scratch), "unmeasured", Path(scratch, "mpl"))  # the file cache, Matplotlib's fonts
        for turn in range(rounds):
            for state in trainings:  # the second run finds what the first one compiled
                trainings[state].append(first_epoch(Path(scratch), f"cache-{turn}", Path(scratch, "mpl")))
                note(f"{state} cache, round {turn + 1} of {rounds}: {trainings[state][-1]}")
    raw = {"provenance": made, "imports": imports, "trainings": trainings}
    results.publish(folder, "cold-start", "Cold start", report(imports, trainings), raw)


def wall(arguments: Sequence[str]) -> float:
    """Seconds of a whole process."""
    began = time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def first_epoch(scratch: Path, cache: str, fonts: Path) -> dict[str, Any]:
    """``lamina train digits --epochs 1`` with a user cache folder of its own.

    Returns:
        "first_epoch" and "whole": seconds since the process was started; "events": what JAX says of its cache.
    """
    out = scratch / "run"
    counts = scratch / "counts.json"
    # Lamina's own defaults apply in another user's cache folder; a configured folder would bring JAX's defaults.
    unset = ("JAX_COMPILATION_CACHE_DIR", "LAMINA_COMPILATION_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"XDG_CACHE_HOME": str(scratch / cache), "MPLCONFIGDIR": str(fonts)}
    environment |= {"LAMINA_BENCHMARK_COUNTS": str(counts)}
    arguments = ["train", "digits", "--epochs", "1", "--out", str(out), "--quiet"]
    if out.exists():
        arguments.append("--force")
        (out / "metrics.jsonl").unlink()
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", COUNTED, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        seen = None
        while process.poll() is None:
            if seen is None and _has_line(out / "metrics.jsonl"):
                seen = time.perf_counter() - began
            time.sleep(0.005)
        whole = time.perf_counter() - began
        assert process.stderr is not None
        said = process.stderr.read()
    if process.returncode != 0 or not _has_line(out / "metrics.jsonl"):
        raise SystemExit(f"lamina train digits failed: {said.strip()}")
    return {"first_epoch": seen or whole, "whole": whole, "events": json.loads(counts.read_text())}


def _has_line(path: Path) -> bool:
    try:
        return path.read_bytes().endswith(b"\n")
    except FileNotFoundError:
        return False


def report(imports: dict[str, list[float]], trainings: dict[str, list[dict[str, Any]]]) -> str:
    compared = ratios(imports, "jax")
    rows = []
    for name, values in imports.items():
        own = summary(values)
        times = f"{compared[name]['median']:.2f} ×" if name in compared else ""
        rows.append([IMPORTS[name][0], f"{own['median']:.2f}", f"{own['min']:.2f} – {own['max']:.2f}", times])
    first = results.table(["a whole process", "s, median", "min – max", "against import jax"], rows)
    rows = []
    for state, runs in trainings.items():
        cells = [f"{state} cache"]
        for key in ("first_epoch", "whole"):
            own = summary([run[key] for run in runs])
            cells += [f"{own['median']:.2f}", f"{own['min']:.2f} – {own['max']:.2f}"]
        for event in ("cache_hits", "cache_misses"):
            cells.append(", ".join(str(run["events"].get(event, 0)) for run in runs))
        rows.append(cells)
    header = ["`lamina train digits --epochs 1`", "s to the first epoch, median", "min – max", "s in all, median"]
    header += ["min – max", "cache hits", "cache misses"]
    second = results.table(header, rows)
    hit = all(run["events"].get("cache_hits", 0) > 0 for run in trainings["filled"])
    verdict = "The second run takes its programs from the persistent cache." if hit else "**The cache does not hit.**"
    return f"{first}\n\n{second}\n\n{verdict}"


if __name__ == "__main__":
    main()
