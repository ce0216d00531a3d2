"""How long until a network is good? The same network, optimiser, batches and order for Lamina and its peers.

    python benchmarks/time_to_accuracy.py [RACE ...] [--peers A,B] [--quick]

The races: 98 % of digits' test part (3 seeds), and 90 % of Fashion-MNIST's (1 seed). The test part is scored after each
epoch; the time is that of the first epoch that reaches the mark, evaluations included. Twice each: from building the
network on, with all compilation, and again with everything compiled. A run that does not get there is reported too.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results
from networks import NETWORKS
from peers import TITLES, Peer, PeerError, cores_for, rotated, started
from steps import PACKAGES, note

RATE = 1e-3
PEERS = ("lamina", "torch-fused", "keras-jax-fit", "keras-tensorflow-fit")


@dataclass(frozen=True)
class Race:
    title: str
    data: str
    network: str
    target: float
    epochs: int
    seeds: int


RACES = {
    "digits": Race("98 % on digits", "digits", "lenet-small", 0.98, 60, 3),
    "fashion-mnist": Race("90 % on Fashion-MNIST", "fashion-mnist", "lenet", 0.90, 12, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("races", nargs="*", default=[], metavar="RACE", help=f"of {', '.join(RACES)}")
    parser.add_argument("--peers", default=",".join(PEERS), help="which, separated by commas")
    parser.add_argument("--cores", type=int, default=2, help="how many to pin everyone to")
    results.add_options(parser)
    options = parser.parse_args()
    names = options.peers.split(",")
    for given, known in ((names, TITLES), (options.races, RACES)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(known)}")
    folder = options.results or (None if options.quick else results.HERE)
    for name in options.races or RACES:
        race = RACES[name]
        made = results.provenance(PACKAGES)
        with tempfile.TemporaryDirectory() as scratch:
            data = Path(scratch, "data.npz")
            write_arrays(race.data, data, limit=640 if options.quick else None)
            with started(names, cores_for(options.cores)) as (peers, missing):
                runs = hold(race, peers, data, missing, quick=options.quick)
        raw = {"provenance": made, **vars(race), "runs": runs, "missing": missing}
        results.publish(folder, f"time-to-accuracy-{name}", f"Time to {race.title}", report(race, runs, missing), raw)


def write_arrays(source: str, path: Path, limit: int | None = None) -> None:
    """The training and test parts as Lamina's networks see them: float32, channels-last."""
    from lamina.data import load

    data = load(source)
    assert data.test is not None
    arrays = {}
    for suffix, split in (("", data.train), ("_test", data.test)):
        count = min(len(split), limit or len(split))
        arrays[f"x{suffix}"] = np.asarray(data.preprocessing.transform(split.read(np.arange(count))), np.float32)
        arrays[f"y{suffix}"] = split.targets[:count]
    np.savez(path, **arrays)


def hold(
    race: Race, peers: Sequence[Peer], data: Path, missing: dict[str, str], *, quick: bool
) -> list[dict[str, Any]]:
    """All seeds, every peer in turn; a peer that fails drops out."""
    runs = []
    for seed in range(1 if quick else race.seeds):
        for peer in rotated(peers, seed):
            if peer.name in missing:
                continue
            try:
                answer = peer.ask(
                    "race",
                    network=race.network,
                    data=str(data),
                    seed=seed,
                    rate=RATE,
                    target=race.target,
                    epochs=2 if quick else race.epochs,
                )
            except PeerError as error:
                missing[peer.name] = str(error)
                note(f"{peer.name}: {error}")
                continue
            runs.append({"peer": peer.name, "seed": seed, **answer})
            note(f"{peer.name}, seed {seed}: {described(answer['cold'])}; compiled: {described(answer['warm'])}")
    return runs


def described(run: dict[str, Any]) -> str:
    best = max(run["accuracies"])
    epochs = len(run["accuracies"])
    if run["seconds"] is None:
        return f"not reached in {epochs} epochs, {run['seconds_in_all']:.1f} s (best {best:.2%})"
    return f"{run['seconds']:.2f} s, {epochs} epochs"


def report(race: Race, runs: Sequence[dict[str, Any]], missing: dict[str, str]) -> str:
    """A row for each peer: every seed, and the medians of those that got there."""
    rows = []
    for name in dict.fromkeys(run["peer"] for run in runs):
        own = [run for run in runs if run["peer"] == name]
        cells = [TITLES[name]]
        for start in ("cold", "warm"):
            reached = [run[start]["seconds"] for run in own if run[start]["seconds"] is not None]
            each = ", ".join("–" if run[start]["seconds"] is None else f"{run[start]['seconds']:.2f}" for run in own)
            cells += [f"{np.median(reached):.2f}" if reached else "not reached", each]
        epoch = np.median([run["warm"]["seconds_in_all"] / len(run["warm"]["accuracies"]) for run in own])
        cells += [", ".join(str(len(run["cold"]["accuracies"])) for run in own), f"{epoch:.3f}"]
        cells += [f"{sum(run['cold']['seconds'] is not None for run in own)} of {len(own)}"]
        rows.append(cells)
    header = ["", "s with compilation, median", "each seed", "s compiled, median", "each seed"]
    header += ["epochs", "s an epoch", "reached"]
    network = NETWORKS[race.network].title
    words = (
        f"{network}. Adam, learning rate {RATE:g}. At most {race.epochs} epochs; medians are of the runs that reached"
    )
    parts = [results.table(header, rows), f"{words} {race.target:.0%}."]
    if missing:
        parts.append("Not measured: " + "; ".join(f"{TITLES[name]}: {why}" for name, why in missing.items()) + ".")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
