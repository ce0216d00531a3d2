"""How long does a folder of photographs take? `lamina predict FOLDER` beside a PyTorch script that does the same.

    python benchmarks/predict_folder.py [NETWORK ...] [--pictures N | --folder DIR] [--rounds R] [--quick]

Each is a process of its own, from its start to its end, pinned to the same two cores; they take turns. The pictures are
made here (500×375, JPEG of quality 90, smooth random textures from a seed) unless a folder is given; the weights are
random. PyTorch's script decodes with Pillow in the workers of a DataLoader, of which the better number of 1 and 2 is
measured.
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

import numpy as np
import psutil
import results
from commands import LAMINA
from networks import IMAGENET
from peers import cores_for, ratios, rotated, summary
from PIL import Image
from steps import note, number

PACKAGES = ("lamina", "jax", "torch", "pillow", "numpy")
MEASURED = ("resnet18", "mobilenet_v2")
TITLES = {"lamina": "`lamina predict`", "torch": "PyTorch eager, DataLoader"}
SIZE, SIDE = (500, 375), 224  # pixels: width and height of a picture; of the network's input
FEW = 64  # pictures: what they take is taken off to see how fast the others are
SEED = 0
INTERVAL = 0.1  # seconds between two looks at the memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], metavar="NETWORK", help=f"of {', '.join(IMAGENET)}")
    parser.add_argument("--pictures", type=int, default=2000, metavar="N", help="how many to make")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="of pictures of your own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2, help="how many to pin everyone to")
    results.add_options(parser)
    options = parser.parse_args()
    wanted = options.networks or MEASURED
    if unknown := set(wanted) - set(IMAGENET):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(IMAGENET)}")
    publish = options.results or (None if options.quick else results.HERE)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores_for(options.cores))  # the processes that are started inherit it
    with tempfile.TemporaryDirectory() as scratch:
        count = 2 * FEW if options.quick else options.pictures
        folder = options.folder.resolve() if options.folder else make(Path(scratch, "pictures"), count)
        few = part(folder, Path(scratch, "few"))
        for network in wanted:
            made = results.provenance(PACKAGES)
            rounds = 1 if options.quick else options.rounds
            runs, workers = measure(network, folder, few, Path(scratch), options.cores, rounds)
            facts = {"cores": options.cores, "pictures": len(files(folder)), "workers": workers}
            raw = {"provenance": made, **facts, **runs}
            title = f"A folder of pictures: {IMAGENET[network].title}"
            results.publish(publish, f"predict-folder-{network}", title, report(raw), raw)


def make(folder: Path, count: int) -> Path:
    """A folder of JPEGs whose detail falls off with its frequency, as a photograph's does."""
    folder.mkdir()
    rng = np.random.default_rng((SEED, 5))
    for index in range(count):
        picture = np.full((*SIZE[::-1], 3), 128, np.float32)
        for octave in range(1, 8):
            coarse = rng.integers(0, 256, (3 << octave >> 1, 4 << octave >> 1, 3), np.uint8)
            fine = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
            picture += (np.asarray(fine, np.float32) - 128) * 0.5**octave * 2
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / f"{index:05}.jpg", quality=90)
    return folder


def files(folder: Path) -> list[Path]:
    """Its pictures, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def part(folder: Path, few: Path) -> Path:
    """A folder of links to the first pictures."""
    few.mkdir()
    for index, path in enumerate(files(folder)[:FEW]):
        (few / f"{index:05}{path.suffix}").symlink_to(path.resolve())
    return few


def measure(
    network: str, folder: Path, few: Path, scratch: Path, cores: int, rounds: int
) -> tuple[dict[str, dict[str, list[dict[str, float]]]], int]:
    """Runs of each peer over all pictures and over a few, and PyTorch's better number of workers."""
    model = save(network, scratch / f"{network}.lamina")

    def command(name: str, pictures: Path, workers: int) -> list[str]:
        if name == "lamina":
            return [*LAMINA, "predict", str(model), str(pictures), "--json"]
        arguments = [network, str(pictures), "--side", str(SIDE), "--workers", str(workers), "--threads", str(cores)]
        return [sys.executable, "-m", "workers.torch_folder", *arguments]

    counts = {folder: len(files(folder)), few: len(files(few))}
    run(command("lamina", few, 0), counts[few])  # the file cache, and the compilation cache
    tried = {workers: run(command("torch", folder, workers), counts[folder])["seconds"] for workers in (1, 2)}
    workers = min(tried, key=tried.__getitem__)
    note(f"{network}: PyTorch with {workers} of {tried}")
    runs: dict[str, dict[str, list[dict[str, float]]]] = {"all": {}, "few": {}}
    for turn in range(rounds):
        for name in rotated(list(TITLES), turn):
            for which, pictures in (("few", few), ("all", folder)):
                found = run(command(name, pictures, workers), counts[pictures])
                runs[which].setdefault(name, []).append(found)
            note(f"{network}, round {turn + 1} of {rounds}: {name} {found}")
    return runs, workers


def save(network: str, path: Path) -> Path:
    """A model of the zoo with random weights, as a file."""
    import jax
    from workers.lamina_trainer import made

    import lamina as lm
    from lamina.data.base import ClassTarget
    from lamina.data.image_preprocessing import ImagePreprocessing

    described = IMAGENET[network]
    built = made(described.layers)
    params, state = built.init(jax.random.key(SEED), described.input_shape)
    preprocessing = ImagePreprocessing(SIDE, SIDE, 3, (127.5,) * 3, (127.5,) * 3)
    target = ClassTarget(tuple(f"class {index}" for index in range(described.classes)))
    lm.model.Model(built, params, state, preprocessing, target).save(path)
    return path


def run(command: Sequence[str], pictures: int) -> dict[str, float]:
    """Run a command that prints {"predictions": […]}: its wall time, its processes' CPU time and memory at its peak."""
    with tempfile.TemporaryFile() as answers:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=answers, stderr=subprocess.DEVNULL, cwd=results.HERE)
        peak = 0
        while True:
            done, status, used = os.wait4(process.pid, os.WNOHANG)
            seconds = time.perf_counter() - began
            if done:
                break
            peak = max(peak, memory(process.pid))
            time.sleep(INTERVAL)
        process.returncode = os.waitstatus_to_exitcode(status)
        answers.seek(0)
        text = answers.read()
    if process.returncode or len(json.loads(text)["predictions"]) != pictures:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}.")
    return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": peak}


def memory(pid: int) -> int:
    """Bytes of a process and those that it has started; what they share counts once."""
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            total += each.memory_full_info().pss
    except psutil.Error:  # it ended meanwhile
        return 0
    return total


def report(raw: dict[str, Any]) -> str:
    compared = ratios({name: [one["seconds"] for one in found] for name, found in raw["all"].items()}, "lamina")
    rows = []
    for name, found in raw["all"].items():
        rates = summary([raw["pictures"] / one["seconds"] for one in found])
        pairs = zip(found, raw["few"][name], strict=True)
        later = summary([(raw["pictures"] - FEW) / (one["seconds"] - few["seconds"]) for one, few in pairs])
        busy = summary([one["cpu_seconds"] / one["seconds"] / raw["cores"] for one in found])
        peak = max(one["peak_bytes"] for one in found)
        start = summary([few["seconds"] for few in raw["few"][name]])
        title = TITLES[name] + (f", {raw['workers']} workers" if name == "torch" else "")
        cells = [title, number(rates["median"]), f"{number(rates['min'])} – {number(rates['max'])}"]
        cells += [number(later["median"]), f"{start['median']:.1f}", f"{busy['median']:.0%}", f"{peak / 2**20:.0f}"]
        times = compared.get(name)
        cells += [f"{times['median']:.2f} ×", f"{times['min']:.2f} – {times['max']:.2f}"] if times else ["", ""]
        rows.append(cells)
    header = [f"{raw['pictures']:,} pictures", "pictures a second, median", "min – max", f"after the first {FEW}"]
    header += [f"s for {FEW}", "CPU", "peak MB", "time against Lamina", "min – max"]
    rounds = len(next(iter(raw["all"].values())))
    words = (
        f"{rounds} rounds of whole processes, import and compilation (from Lamina's persistent cache) included."
        f' "CPU" is the time of all threads and processes by the wall time of {raw["cores"]} cores; "peak MB" the most'
        f" memory of all its processes together, looked at every {INTERVAL:g} s."
    )
    return f"{results.table(header, rows)}\n\n{words}"


if __name__ == "__main__":
    main()
