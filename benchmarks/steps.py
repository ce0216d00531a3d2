"""How long does one training step take? Lamina beside its peers, in one run.

    python benchmarks/steps.py [NETWORK ...] [--rounds R] [--peers A,B] [--quick]

Each peer is a process of its own, pinned to the same two cores, that waits for its turn; every round each has one turn
of many steps on fresh batches. Compilation and warm-up are over before the first round. All start from the same
weights, see the same batches, and must have the same loss after some steps: one whose loss differs is marked, and not
compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import results
from networks import NETWORKS
from peers import TITLES, Peer, PeerError, cores_for, ratios, rotated, started, summary

BASE = "lamina"
MEASURED = ("mlp-small", "mlp", "lenet")
PACKAGES = ("lamina", "jax", "torch", "keras", "tensorflow-cpu", "tensorflow", "scikit-learn", "numpy")
RATE = 1e-3
BATCHES = 64  # different ones; then they come again
COMPARED_AFTER = 20  # steps
AGREEMENT = 1e-3  # relative
PAUSE = 0.02  # seconds before a turn, in which the threads of the one before come to rest


@dataclass
class Measured:
    """What was found out about a network: milliseconds a step, a value a round, by peer."""

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    losses: dict[str, list[float]] = field(default_factory=dict)  # at the start, and after COMPARED_AFTER steps
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], metavar="NETWORK", help=f"of {', '.join(MEASURED)}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", default=",".join(TITLES), help="which, separated by commas")
    parser.add_argument("--cores", type=int, default=2, help="how many to pin everyone to")
    parser.add_argument("--spin", action="store_true", help="let OpenMP's waiting threads spin, as by default they do")
    results.add_options(parser)
    options = parser.parse_args()
    names, wanted = options.peers.split(","), options.networks or MEASURED
    for given, known in ((names, TITLES), (wanted, MEASURED)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(known)}")
    folder = options.results or (None if options.quick else results.HERE)
    for network in wanted:
        made = results.provenance(PACKAGES)
        # Fresh processes for each network: nobody carries another's memory or compiled code along.
        able = [name for name in names if name != "sklearn" or not NETWORKS[network].convolutional]
        with started(able, cores_for(options.cores), spin=options.spin) as (peers, missing):
            steps = 20 if options.quick else NETWORKS[network].steps
            measured = measure(peers, network, rounds=2 if options.quick else options.rounds, steps=steps)
            measured.missing |= missing
        raw = {"provenance": made, "steps_a_turn": steps, "cores": options.cores, **vars(measured)}
        title = f"A training step: {NETWORKS[network].title}"
        results.publish(folder, f"steps-{list(NETWORKS).index(network) + 1}-{network}", title, report(measured), raw)


def measure(peers: Sequence[Peer], network: str, *, rounds: int, steps: int) -> Measured:
    """Prepare all peers, compare their losses, then let them take turns."""
    measured = Measured()
    ready = []
    for peer in peers:
        try:
            answer = peer.ask("prepare", network=network, batches=BATCHES, steps=steps, rate=RATE)
            measured.variants[peer.name] = answer["variant"]
            measured.losses[peer.name] = peer.ask("loss", steps=COMPARED_AFTER)["losses"]
            peer.ask("turn", steps=steps)
        except PeerError as error:
            measured.missing[peer.name] = str(error)
            note(f"{peer.name}: {error}")
        else:
            note(f"{peer.name}: ready, losses {measured.losses[peer.name]} {answer['variant'] or ''}")
            ready.append(peer)
    measured.milliseconds = {peer.name: [] for peer in ready}
    for turn in range(rounds):
        for peer in rotated(ready, turn):
            time.sleep(PAUSE)
            measured.milliseconds[peer.name].append(peer.ask("turn", steps=steps)["seconds"] / steps * 1e3)
        note(f"round {turn + 1} of {rounds}")
    return measured


def agreeing(losses: Mapping[str, Sequence[float]]) -> dict[str, bool]:
    """Whose losses are Lamina's (or, without it, the first one's)."""
    if not losses:
        return {}
    reference = losses.get(BASE, next(iter(losses.values())))
    return {name: bool(np.allclose(own, reference, rtol=AGREEMENT, atol=0)) for name, own in losses.items()}


def report(measured: Measured) -> str:
    """The table, and what must be said beside it."""
    agree = agreeing(measured.losses)
    compared = ratios(measured.milliseconds, BASE)
    rows = []
    for name, values in measured.milliseconds.items():
        own = summary(values)
        ratio, spread = "", ""
        if name in compared:
            times = compared[name]
            ratio, spread = f"{times['median']:.2f} ×", f"{times['min']:.2f} – {times['max']:.2f}"
        loss = f"{measured.losses[name][1]:.5f}"
        if not agree[name]:
            ratio, spread, loss = "not compared", "", f"{loss} (differs)"
        variant = ", ".join(f"{option} {value}" for option, value in measured.variants[name].items())
        title = TITLES[name] + (f" ({variant})" if variant else "")
        rows.append([title, number(own["median"]), f"{number(own['min'])} – {number(own['max'])}", ratio, spread, loss])
    header = ["", "ms a step, median", "min – max", "against Lamina", "min – max", f"loss after {COMPARED_AFTER} steps"]
    parts = [results.table(header, rows)]
    rounds = max(map(len, measured.milliseconds.values()), default=0)
    start = next(iter(measured.losses.values()), [float("nan")])[0]
    parts.append(
        f'{rounds} rounds; "against Lamina" is the median of the rounds\' own ratios.'
        f" The loss at the start: {start:.5f}."
    )
    if measured.missing:
        words = "; ".join(f"{TITLES[name]}: {why}" for name, why in measured.missing.items())
        parts.append(f"Not measured: {words}.")
    return "\n\n".join(parts)


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
