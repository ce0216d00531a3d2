"""How well are words understood from speakers who were never heard? `lamina train` on spoken digits, by speaker.

    python benchmarks/sound.py [SPEAKER ...] [--data DIR] [--quick]

Spoken digits (Jakobovski's free-spoken-digit-dataset: 3,000 WAV of 8 kHz, ten digits, six speakers) are looked for in
DIR (or LAMINA_TEST_DATA) as spoken_digits.zip, or as the folder spoken_digits with a sub-folder a digit. Each speaker
in turn is the test part. Another one, drawn by the seed, is the validation part (`--group '_([a-z]+)_'`); the network
learns from the remaining four, and then again from all five (`--refit`). One seed.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import results
from commands import LAMINA, run_json
from steps import note

PACKAGES = ("lamina", "jax", "optax", "numpy")
GROUP = "_([a-z]+)_"
NAME = "sound"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speakers", nargs="*", metavar="SPEAKER", help="only these are held out; default: all")
    results.add_data(parser)
    parser.add_argument("--seed", type=int, default=0, help="of all runs")
    results.add_options(parser)
    options = parser.parse_args()
    folder = options.results or (None if options.quick else results.HERE)
    with tempfile.TemporaryDirectory() as scratch:
        digits = source(options.data, Path(scratch))
        if digits is None:
            parser.error("spoken_digits.zip is not there (see --data)")
        speakers = speakers_of(digits)
        if unknown := set(options.speakers) - set(speakers):
            parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(speakers)}")
        made = results.provenance(PACKAGES)
        chosen = (options.speakers or speakers)[: 1 if options.quick else None]
        runs = [run(digits, speaker, Path(scratch), options.seed, quick=options.quick) for speaker in chosen]
    results.publish(
        folder, NAME, "Spoken digits, each speaker held out", report(runs), {"provenance": made, "runs": runs}
    )


def source(data: Path | None, scratch: Path) -> Path | None:
    """The folder with a sub-folder a digit; None where it is missing."""
    if data is None:
        return None
    if (data / "spoken_digits").is_dir():
        return data / "spoken_digits"
    archive = data / "spoken_digits.zip"
    if not archive.is_file():
        return None
    with zipfile.ZipFile(archive) as file:
        file.extractall(scratch / "digits")
    return scratch / "digits"


def speakers_of(digits: Path) -> list[str]:
    """Names, as they stand in the names of the files."""
    found = (re.search(GROUP, path.name) for path in digits.glob("*/*.wav"))
    return sorted({match[1] for match in found if match})


def hold_out(digits: Path, speaker: str, out: Path) -> Path:
    """A folder with the speaker's files under test/ and all others under train/, as links."""
    for path in sorted(digits.glob("*/*.wav")):
        match = re.search(GROUP, path.name)
        part = "test" if match and match[1] == speaker else "train"
        place = out / part / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).symlink_to(path.resolve())
    return out


def run(digits: Path, speaker: str, scratch: Path, seed: int, *, quick: bool) -> dict[str, Any]:
    """One training, in a process of its own, with nothing compiled before."""
    data = hold_out(digits, speaker, scratch / "by" / speaker)
    typed = [*LAMINA, "train", str(data), "--group", GROUP, "--refit", "--seed", str(seed), "--json", "--quiet"]
    typed += ["--out", str(scratch / f"run-{speaker}"), *(["--epochs", "1"] if quick else [])]
    found = run_json(typed, {"LAMINA_COMPILATION_CACHE": "off"})
    kept = ("error", "test", "validation", "intervals", "examples", "epochs", "best_epoch", "status", "seconds")
    told = {"speaker": speaker, "wall_seconds": found["wall_seconds"]} | {
        key: found[key] for key in kept if key in found
    }
    note(f"{speaker}: {told.get('test', told.get('error'))}, {told['wall_seconds']:.0f} s")
    return told


def report(runs: Sequence[dict[str, Any]]) -> str:
    """A row for each speaker, and the mean."""
    rows, scores = [], []
    for told in runs:
        if "test" not in told:
            rows.append([told["speaker"], "failed", "", "", "", f"{told['wall_seconds']:.0f}"])
            continue
        low, high = told["intervals"]["test"]["accuracy"]
        scores.append(told["test"]["accuracy"])
        rows.append(
            [
                told["speaker"],
                f"{scores[-1]:.1%}",
                f"{low:.1%} – {high:.1%}",
                f"{told['validation']['accuracy']:.1%}",
                f"{told['best_epoch']} of {told['epochs']}",
                f"{told['wall_seconds']:.0f}",
            ]
        )
    if scores:
        rows.append([f"mean of {len(scores)}", f"{np.mean(scores):.1%}", "", "", "", ""])
    header = [
        "speaker held out",
        "test accuracy",
        "95 % interval",
        "validation (another speaker)",
        "best epoch",
        "s in all",
    ]
    parts = [results.table(header, rows)]
    if failed := [told for told in runs if "error" in told]:
        parts.append("Failed: " + "; ".join(f"{told['speaker']}: {told['error']['message']}" for told in failed))
    parts.append(
        f"Each run: `lamina train FOLDER --group '{GROUP}' --refit`, FOLDER having the speaker's sounds under test/."
    )
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
