"""How many pictures a second does a trained network answer? Networks of the zoo at 224×224.

    python benchmarks/inference.py [NETWORK ...] [--batches 1,32] [--rounds R] [--peers A,B] [--quick]

Each peer is a process of its own, pinned to the same two cores, that waits for its turn; every round each answers the
same batch again and again for about a second, from NumPy arrays to NumPy arrays. Weights and running statistics are the
same, drawn at random; the outputs must agree: a peer whose outputs differ is marked, and not compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import results
from networks import IMAGENET
from peers import Peer, PeerError, cores_for, ratios, started, summary
from steps import note, number, take_turns

BASE = "infer:lamina"
TITLES = {
    "infer:lamina": "Lamina",
    "infer:torch": "PyTorch eager",
    "infer:torch-compile": "PyTorch torch.compile, frozen",
    "infer:onnx": "ONNX Runtime",
    "infer:keras-jax": "Keras on JAX",
    "infer:keras-tensorflow": "Keras on TensorFlow",
}
PACKAGES = ("lamina", "jax", "torch", "onnx", "onnxruntime", "keras", "tensorflow-cpu", "tensorflow", "numpy")
AGREEMENT = 1e-3  # of the largest output
SECONDS = 1.0  # a turn, about


@dataclass
class Answered:
    """What was found out about a network and a batch size: seconds a batch, a value a round, by peer."""

    batch: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)  # from Lamina's outputs, of its largest
    remarks: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], metavar="NETWORK", help=f"of {', '.join(IMAGENET)}")
    parser.add_argument("--batches", default="1,32", help="sizes, separated by commas")
    parser.add_argument("--rounds", type=int, default=15)
    known = [name.partition(":")[2] for name in TITLES]
    parser.add_argument("--peers", default=",".join(known), help="which, separated by commas")
    parser.add_argument("--cores", type=int, default=2, help="how many to pin everyone to")
    results.add_options(parser)
    options = parser.parse_args()
    names, wanted = options.peers.split(","), options.networks or list(IMAGENET)
    for given, allowed in ((names, known), (wanted, IMAGENET)):
        if unknown := set(given) - set(allowed):
            parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(allowed)}")
    folder = options.results or (None if options.quick else results.HERE)
    for network in wanted:
        made = results.provenance(PACKAGES)
        answered = []
        for batch in map(int, options.batches.split(",")):
            with started([f"infer:{name}" for name in names], cores_for(options.cores)) as (peers, missing):
                rounds, seconds = (2, 0.2) if options.quick else (options.rounds, SECONDS)
                found = measure(peers, network, batch, rounds=rounds, seconds=seconds)
                found.missing |= missing
                answered.append(found)
        raw = {"provenance": made, "cores": options.cores, "batches": [vars(found) for found in answered]}
        title = f"Inference: {IMAGENET[network].title}"
        results.publish(folder, f"inference-{network}", title, report(answered), raw)


def measure(peers: Sequence[Peer], network: str, batch: int, *, rounds: int, seconds: float) -> Answered:
    """Load the network everywhere, compare the outputs, then let the peers take turns."""
    found = Answered(batch)
    outputs: dict[str, np.ndarray] = {}
    ready = []
    for peer in peers:
        try:
            answer = peer.ask("load", network=network, batch=batch)
            peer.ask("turn", seconds=seconds)
        except PeerError as error:
            found.missing[peer.name] = str(error)
            note(f"{peer.name}: {error}")
        else:
            outputs[peer.name] = np.asarray(answer["outputs"])
            found.remarks += [answer["remark"]] if answer["remark"] else []
            note(f"batch {batch}: {peer.name} ready")
            ready.append(peer)
    for name, own in outputs.items():
        reference = outputs.get(BASE, next(iter(outputs.values())))
        found.differences[name] = float(np.max(np.abs(own - reference)) / np.max(np.abs(reference)))
    found.seconds = take_turns(
        ready, rounds, lambda peer: float(peer.ask("turn", seconds=seconds)["seconds"]), found.missing
    )
    return found


def report(answered: Sequence[Answered]) -> str:
    """A table a batch size, and what must be said beside them."""
    parts = []
    for found in answered:
        compared = ratios(found.seconds, BASE)
        rows = []
        for name, values in found.seconds.items():
            rates = summary([found.batch / value for value in values])
            ratio, spread = "", ""
            if name in compared:
                times = compared[name]
                ratio, spread = f"{times['median']:.2f} ×", f"{times['min']:.2f} – {times['max']:.2f}"
            if not found.differences[name] <= AGREEMENT:
                ratio, spread = "not compared", "outputs differ"
            spans = [number(rates["median"]), f"{number(rates['min'])} – {number(rates['max'])}"]
            rows.append([TITLES[name], *spans, ratio, spread, f"{found.differences[name]:.1e}"])
        header = ["pictures a second, median", "min – max", "time against Lamina", "min – max", "outputs' difference"]
        parts.append(results.table([f"batch {found.batch}", *header], rows))
        if found.missing:
            words = "; ".join(f"{TITLES[name]}: {why}" for name, why in found.missing.items())
            parts.append(f"Not measured with batch {found.batch}: {words}.")
    rounds = max((len(values) for found in answered for values in found.seconds.values()), default=0)
    parts.append(
        f'{rounds} rounds; "time against Lamina" is the median of the rounds\' own ratios: above 1, Lamina is faster.'
        f" Outputs agree where they differ by less than {AGREEMENT:.1%} of the largest."
    )
    remarks = dict.fromkeys(remark for found in answered for remark in found.remarks)
    return "\n\n".join([*parts, *([" ".join(remarks)] if remarks else [])])


if __name__ == "__main__":
    main()
