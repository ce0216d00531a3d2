"""What does `lamina.kernels.install()` do for programs in Flax and Equinox? ResNet-18 32×32, one training step.

    python benchmarks/installed.py [--rounds R] [--libraries flax,equinox] [--quick]

Each library is measured as it is and with `install()` before its first step. Each peer is a process of its own, pinned
to the same two cores, that waits for its turn; every round each has one turn. The program is the same in both, a jitted
step a batch; all start from the same weights, see the same batches, and must have the same loss after some steps.
"""

from __future__ import annotations

import argparse

import results
from networks import NETWORKS
from peers import cores_for, ratios, started, summary
from steps import AGREEMENT, Measured, agreeing, measure, number

LIBRARIES = {"flax": "Flax", "equinox": "Equinox"}
INSTALLED = "-installed"
NETWORK = "resnet18"
PACKAGES = ("lamina", "jax", "flax", "equinox", "optax", "numpy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--libraries", default=",".join(LIBRARIES), help="which, separated by commas")
    parser.add_argument("--cores", type=int, default=2, help="how many to pin everyone to")
    results.add_options(parser)
    options = parser.parse_args()
    libraries = options.libraries.split(",")
    if unknown := set(libraries) - set(LIBRARIES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(LIBRARIES)}")
    names = [library + how for library in libraries for how in ("", INSTALLED)]
    made = results.provenance(PACKAGES)
    steps = 1 if options.quick else NETWORKS[NETWORK].steps
    with started(names, cores_for(options.cores)) as (peers, missing):
        measured = measure(peers, NETWORK, rounds=2 if options.quick else options.rounds, steps=steps)
        measured.missing |= missing
    raw = {"provenance": made, "steps_a_turn": steps, "cores": options.cores, **vars(measured)}
    title = f"With `lamina.kernels.install()`: a training step in Flax and Equinox, {NETWORKS[NETWORK].title}"
    folder = options.results or (None if options.quick else results.HERE)
    results.publish(folder, "installed", title, report(measured), raw)


def title(name: str) -> str:
    library = LIBRARIES[name.removesuffix(INSTALLED)]
    return f"{library} with `install()`" if name.endswith(INSTALLED) else library


def report(measured: Measured) -> str:
    """The table: each library as it is, against itself on Lamina's kernels."""
    agree = agreeing(measured.losses)
    rows = []
    for name, values in measured.milliseconds.items():
        own = summary(values)
        compared = ratios(measured.milliseconds, name + INSTALLED).get(name)
        ratio = (
            [f"{compared['median']:.2f} ×", f"{compared['min']:.2f} – {compared['max']:.2f}"] if compared else ["", ""]
        )
        loss = f"{measured.losses[name][1]:.5f}"
        if not (agree[name] and agree.get(name + INSTALLED, True)):
            ratio = ["not compared", ""]
        if not agree[name]:
            loss += " (differs)"
        rows.append([title(name), number(own["median"]), f"{number(own['min'])} – {number(own['max'])}", *ratio, loss])
    header = ["", "ms a step, median", "min – max", "against itself with `install()`", "min – max"]
    rounds = max(map(len, measured.milliseconds.values()), default=0)
    start = next(iter(measured.losses.values()), [float("nan")])[0]
    bounds = AGREEMENT[measured.precision]
    parts = [
        results.table([*header, f"loss after {measured.compared_after} steps"], rows),
        f"{rounds} rounds; a ratio is the median of the rounds' own ratios: above 1, `install()` makes it faster."
        f" The loss at the start: {start:.5f}; losses agree within {bounds[0]:.2%} there and {bounds[1]:.2%} later.",
        *([" ".join(measured.remarks)] if measured.remarks else []),
    ]
    if measured.missing:
        parts.append(
            "Not measured: " + "; ".join(f"{title(name)}: {why}" for name, why in measured.missing.items()) + "."
        )
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
