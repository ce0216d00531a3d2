"""How long does one training step take? Lamina beside its peers, in one run.

    python benchmarks/steps.py [NETWORK ...] [--precision f32|bf16] [--rounds R] [--peers A,B] [--quick]

Each peer is a process of its own, pinned to the same two cores, that waits for its turn; every round each has one turn
of many steps on fresh batches. Compilation and warm-up are over before the first round. All start from the same
weights, see the same batches, and must have the same loss after some steps: one whose loss differs is marked, and not
compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import results
from networks import NETWORKS
from peers import TITLES, Peer, PeerError, cores_for, ratios, rotated, started, summary

BASE = "lamina"
MEASURED = tuple(name for name in NETWORKS if name != "lenet-small")
PRECISIONS = {"f32": "float32", "bf16": "bfloat16"}
PACKAGES = ("lamina", "jax", "torch", "keras", "tensorflow-cpu", "tensorflow", "scikit-learn", "numpy")
# Relative: of the loss at the start, and after so many steps. In bfloat16 a number has three digits.
AGREEMENT = {"f32": (1e-4, 2e-3), "bf16": (1e-2, 5e-2)}
PAUSE = 0.02  # seconds before a turn, in which the threads of the one before come to rest


@dataclass
class Measured:
    """What was found out about a network: milliseconds a step, a value a round, by peer."""

    precision: str = "f32"
    multiply_adds: int = 0  # a step
    symbols: int = 0  # read in a step, by a network of symbols
    peak: float = 0.0  # of the machine's matrix products, 10⁹ operations a second; 0 where it was not measured
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    compared_after: int = 0  # steps
    losses: dict[str, list[float]] = field(default_factory=dict)  # at the start, and after so many steps
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], metavar="NETWORK", help=f"of {', '.join(MEASURED)}")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32", help="in which the networks compute")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", default="", help=f"of {', '.join(TITLES)}, separated by commas")
    parser.add_argument("--cores", type=int, default=2, help="how many to pin everyone to")
    parser.add_argument("--spin", action="store_true", help="let OpenMP's waiting threads spin, as by default they do")
    results.add_options(parser)
    options = parser.parse_args()
    asked, wanted = options.peers.split(",") if options.peers else [], options.networks or MEASURED
    for given, known in ((asked, TITLES), (wanted, MEASURED)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(known)}")
    folder = options.results or (None if options.quick else results.HERE)
    cores = cores_for(options.cores)
    for network in wanted:
        made = results.provenance(PACKAGES)
        names = asked or NETWORKS[network].peers or TITLES
        unable = {name: why for name in names if (why := reason(name, network, options.precision))}
        # Fresh processes for each network: nobody carries another's memory or compiled code along.
        with started([name for name in names if name not in unable], cores, spin=options.spin) as (peers, missing):
            steps = NETWORKS[network].steps
            steps = min(steps, 20) if options.quick else steps
            rounds = 2 if options.quick else options.rounds
            peak = matmul_peak(options.precision, cores)
            measured = measure(peers, network, rounds=rounds, steps=steps, precision=options.precision)
            measured.peak = max(peak, matmul_peak(options.precision, cores))
            measured.multiply_adds = multiply_adds(network)
            measured.symbols = NETWORKS[network].symbols
            measured.missing |= unable | missing
        raw = {"provenance": made, "steps_a_turn": steps, "cores": options.cores, **vars(measured)}
        raw["pytorch"] = fastest_pytorch(measured)
        suffix, words = ("", "") if options.precision == "f32" else (f"-{options.precision}", ", in bfloat16")
        name = f"steps-{list(NETWORKS).index(network) + 1}-{network}{suffix}"
        title = f"A training step{words}: {NETWORKS[network].title}"
        results.publish(folder, name, title, report(measured), raw)


def reason(name: str, network: str, precision: str) -> str:
    """Why a peer cannot take part, or nothing."""
    if name != "sklearn":
        return ""
    if NETWORKS[network].reconstructs:
        return "this is its classifier"
    if not network.startswith("mlp"):
        return "it has only networks of dense layers"
    return "it has no bfloat16" if precision == "bf16" else ""


def multiply_adds(network: str) -> int:
    """Of a training step."""
    from workers import lamina_trainer

    return lamina_trainer.multiply_adds(NETWORKS[network])


def matmul_peak(precision: str, cores: Sequence[int]) -> float:
    """What matrix products in PyTorch reach on these cores, in 10⁹ operations a second; 0 without PyTorch."""
    with started(["torch"], cores) as (peers, _):
        return float(peers[0].ask("peak", precision=precision)["gflops"]) if peers else 0.0


def measure(
    peers: Sequence[Peer],
    network: str,
    *,
    rounds: int,
    steps: int,
    precision: str = "f32",
    batches: int = 0,
    batch_size: int = 0,
    after: int = 0,
) -> Measured:
    """Prepare all peers, compare their losses, then let them take turns.

    Args:
        steps: that are timed as one.
        batches: different ones; 0 for the network's own number.
        batch_size: 0 for the network's own.
        after: how many steps the losses are compared; 0 for the network's own.
    """
    described = NETWORKS[network]
    measured = Measured(precision, compared_after=after or described.compared_after)
    ready = []
    for peer in peers:
        try:
            sizes = {"batches": batches or described.batches, "batch_size": batch_size, "steps": steps}
            answer = peer.ask("prepare", network=network, **sizes, rate=described.rate, precision=precision)
            measured.variants[peer.name] = answer["variant"]
            measured.remarks += [answer["remark"]] if answer["remark"] else []
            measured.losses[peer.name] = peer.ask("loss", steps=measured.compared_after)["losses"]
            peer.ask("turn", steps=steps)
        except PeerError as error:
            measured.missing[peer.name] = str(error)
            note(f"{peer.name}: {error}")
        else:
            note(f"{peer.name}: ready, losses {measured.losses[peer.name]} {answer['variant'] or ''}")
            ready.append(peer)

    def turn(peer: Peer) -> float:
        return float(peer.ask("turn", steps=steps)["seconds"]) / steps * 1e3

    measured.milliseconds = take_turns(ready, rounds, turn, measured.missing)
    return measured


def take_turns(
    peers: Sequence[Peer], rounds: int, turn: Callable[[Peer], float], missing: dict[str, str]
) -> dict[str, list[float]]:
    """A value a round from each peer; one that fails is left out, and ``missing`` says why."""
    values: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for index in range(rounds):
        for peer in rotated(peers, index):
            if peer.name not in values:
                continue
            time.sleep(PAUSE)
            try:
                values[peer.name].append(turn(peer))
            except PeerError as error:
                missing[peer.name] = str(error)
                note(f"{peer.name}: {error}")
                del values[peer.name]
        note(f"round {index + 1} of {rounds}")
    return values


def agreeing(losses: Mapping[str, Sequence[float]], precision: str = "f32") -> dict[str, bool]:
    """Whose losses are Lamina's (or, without it, the first one's)."""
    if not losses:
        return {}
    reference = np.asarray(losses.get(BASE, next(iter(losses.values()))))
    bounds = np.asarray(AGREEMENT[precision]) * np.abs(reference)
    return {name: bool(np.all(np.abs(np.asarray(own) - reference) <= bounds)) for name, own in losses.items()}


def fastest_pytorch(measured: Measured) -> dict[str, Any]:
    """The faster of PyTorch's ways, eager or compiled, whose losses agree, with its ratio to Lamina; {} without."""
    agree = agreeing(measured.losses, measured.precision)
    medians = {
        name: float(np.median(values))
        for name, values in measured.milliseconds.items()
        if name.startswith("torch") and agree[name]
    }
    if BASE not in measured.milliseconds or not medians:
        return {}
    name = min(medians, key=medians.__getitem__)
    return {"peer": name, "ratio": ratios(measured.milliseconds, BASE)[name]}


def report(measured: Measured) -> str:
    """The table, and what must be said beside it."""
    agree = agreeing(measured.losses, measured.precision)
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
        reached = 2 * measured.multiply_adds / own["median"] / 1e6
        share = [number(reached), f"{reached / measured.peak:.0%}" if measured.peak else "?"]
        spans = [number(own["median"]), f"{number(own['min'])} – {number(own['max'])}"]
        rows.append([title, *spans, *share, ratio, spread, loss])
    header = ["", "ms a step, median", "min – max", "GFLOP/s", "of peak", "against Lamina", "min – max"]
    parts = [results.table([*header, f"loss after {measured.compared_after} steps"], rows)]
    if best := fastest_pytorch(measured):
        times = best["ratio"]
        parts.append(
            f"The faster PyTorch, {TITLES[best['peer']].removeprefix('PyTorch ')}, takes {times['median']:.2f} times"
            f" as long as Lamina ({times['min']:.2f} – {times['max']:.2f})."
        )
    if measured.symbols:
        own = {name: measured.symbols / np.median(values) for name, values in measured.milliseconds.items()}
        words = ", ".join(f"{TITLES[name]} {number(value)}" for name, value in own.items())
        parts.append(f"A step reads {measured.symbols:,} characters. Thousands of them a second: {words}.")
    rounds = max(map(len, measured.milliseconds.values()), default=0)
    start = next(iter(measured.losses.values()), [float("nan")])[0]
    bounds = AGREEMENT[measured.precision]
    parts.append(
        f'{rounds} rounds; "against Lamina" is the median of the rounds\' own ratios.'
        f" The loss at the start: {start:.5f}; losses agree within {bounds[0]:.2%} there and {bounds[1]:.2%} later."
    )
    peak = f"{number(measured.peak)} GFLOP/s in {PRECISIONS[measured.precision]}" if measured.peak else "not measured"
    parts.append(
        f"A step is {number(measured.multiply_adds / 1e6)} million multiply-adds, two operations each, in matrix"
        f" products and convolutions. Peak, the best of PyTorch's large matrix products: {peak}."
    )
    parts += [" ".join(measured.remarks)] if measured.remarks else []
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
