"""How long does an epoch of a restricted Boltzmann machine take? Lamina beside scikit-learn's BernoulliRBM.

    python benchmarks/rbm.py --data DIR [--epochs N] [--quick]

DIR (or LAMINA_TEST_DATA) has mnist/, in IDX files. Both learn its 60,000 training pictures in black and white with 256
hidden units by persistent contrastive divergence, at batches of 10 and 100 and the same learning rates. Each is a
process of its own, pinned to the same two cores; every epoch they take turns. The pseudo-likelihood of the test
pictures is then computed exactly, for both by the same function. At a constant learning rate, as scikit-learn has it,
that differs by a nat or two between seeds: three are trained.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import results
from peers import Peer, cores_for, ratios, rotated, started, summary
from steps import note

PACKAGES = ("lamina", "jax", "scikit-learn", "numpy", "scipy")
TITLES = {"rbm:lamina": "Lamina", "rbm:sklearn": "scikit-learn BernoulliRBM"}
HIDDEN = 256
RATES = {10: 0.01, 100: 0.05}  # by batch size
SCORED = 10_000  # test pictures
SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    results.add_data(parser)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--cores", type=int, default=2, help="how many to pin everyone to")
    results.add_options(parser)
    options = parser.parse_args()
    if options.data is None or not (options.data / "mnist").is_dir():
        parser.error("--data must name the folder that has mnist/")
    made = results.provenance(PACKAGES)
    x, test = pictures(options.data / "mnist")
    epochs = options.epochs
    if options.quick:
        x, test, epochs = x[:2000], test[:500], 2
    cores, found = cores_for(options.cores), {}
    with tempfile.TemporaryDirectory() as scratch:
        np.save(Path(scratch, "x.npy"), x)
        for batch_size, rate in RATES.items():
            with started(TITLES, cores) as (peers, missing):
                found[batch_size] = hold(peers, Path(scratch), test, batch_size, rate, epochs) | {"missing": missing}
    folder = options.results or (None if options.quick else results.HERE)
    title = f"A restricted Boltzmann machine of 784 and {HIDDEN} units on MNIST"
    raw = {"provenance": made, "epochs": epochs, "examples": len(x), "batches": found}
    results.publish(folder, "rbm", title, report(found, epochs, len(test)), raw)


def pictures(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and test pictures in black and white, float32 ``(n, 784)``."""
    from lamina.data.idx import read_idx_folder

    parts = read_idx_folder(folder)
    train, test = ((parts[part][0].reshape(-1, 784) > 127).astype(np.float32) for part in ("train", "test"))
    return train, test[:SCORED]


def hold(
    peers: Sequence[Peer], scratch: Path, test: np.ndarray, batch_size: int, rate: float, epochs: int
) -> dict[str, Any]:
    """Epochs by turns: seconds of each, and the pseudo-likelihood at the end, by seed."""
    seconds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    scores: dict[str, list[float]] = {peer.name: [] for peer in peers}
    given = {"data": str(scratch / "x.npy"), "hidden": HIDDEN, "batch_size": batch_size, "rate": rate}
    for seed in SEEDS:
        for peer in peers:
            peer.ask("prepare", **given, seed=seed)
        for epoch in range(epochs):
            for peer in rotated(peers, epoch):
                seconds[peer.name].append(peer.ask("turn")["seconds"])
            took = ", ".join(f"{each[-1]:.2f} s" for each in seconds.values())
            note(f"batch {batch_size}, seed {seed}, epoch {epoch + 1} of {epochs}: {took}")
        for peer in peers:
            peer.ask("keep", path=str(scratch / "kept.npz"))
            scores[peer.name].append(pseudo_likelihood(scratch / "kept.npz", test))
    return {"rate": rate, "seconds": seconds, "pseudo_likelihood": scores}


def pseudo_likelihood(path: Path, test: np.ndarray) -> float:
    """The mean over the test pictures, exact, nats."""
    from lamina.unsupervised import RBM

    with np.load(path) as stored:
        params = {name: np.asarray(stored[name], np.float32) for name in stored.files}
    return RBM(HIDDEN).with_params(params, (test.shape[1],)).score(test)


def report(found: dict[int, dict[str, Any]], epochs: int, scored: int) -> str:
    rows = []
    for batch_size, measured in found.items():
        against = ratios(measured["seconds"], "rbm:lamina")
        for name, seconds in measured["seconds"].items():
            times = summary(seconds)
            ratio = against.get(name)
            rows.append(
                [
                    f"{TITLES[name]}, batch {batch_size}",
                    f"{times['median']:.2f}",
                    f"{times['min']:.2f} – {times['max']:.2f}",
                    f"{ratio['median']:.1f} × ({ratio['min']:.1f} – {ratio['max']:.1f})" if ratio else "",
                    f"{np.mean(measured['pseudo_likelihood'][name]):.2f}",
                    ", ".join(f"{score:.2f}" for score in measured["pseudo_likelihood"][name]),
                ]
            )
    after = f"pseudo-likelihood after {epochs} epochs, nats"
    header = ["", "s an epoch, median", "min – max", "against Lamina", after, "each seed"]
    parts = [results.table(header, rows)]
    rates = ", ".join(f"{measured['rate']:g} at batch {size}" for size, measured in found.items())
    parts.append(
        f"Persistent contrastive divergence with one step, without momentum; learning rates {rates}. The "
        f"pseudo-likelihood is the mean over {scored:,} test pictures, of all units one after the other."
    )
    parts += [f"{TITLES[name]}: {why}" for m in found.values() for name, why in m["missing"].items()]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
