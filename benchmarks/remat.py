"""What does `lamina.fit(…, remat=True)` save, and what does it cost? One training step of deep networks of the zoo.

    python benchmarks/remat.py [NETWORK ...] [--rounds R] [--quick]

The compiled step is asked for the memory that it takes beside its arguments and results; then both take turns.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import results
from peers import cores_for, ratios, rotated, summary
from steps import note, number

PACKAGES = ("lamina", "jax", "numpy")
RATE = 1e-3


@dataclass(frozen=True)
class Deep:
    """A network of the zoo, the side of its pictures in pixels, its classes and the batch."""

    side: int
    classes: int
    batch: int


NETWORKS = {
    "resnet110": Deep(32, 10, 64),
    "resnet50": Deep(224, 1000, 8),
    "vgg16": Deep(224, 1000, 4),
    "mobilenet_v2": Deep(224, 1000, 8),
    "googlenet": Deep(224, 1000, 8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], metavar="NETWORK", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cores", type=int, default=2, help="how many to pin the process to")
    results.add_options(parser)
    options = parser.parse_args()
    wanted = options.networks or list(NETWORKS)
    if unknown := set(wanted) - set(NETWORKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(NETWORKS)}")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores_for(options.cores))  # before the libraries size their thread pools
    made = results.provenance(PACKAGES)
    found = {name: measure(name, 2 if options.quick else options.rounds) for name in wanted}
    publish = options.results or (None if options.quick else results.HERE)
    results.publish(publish, "remat", "Activations computed again", report(found), {"provenance": made, **found})


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Bytes that the step takes beside its arguments and results, and seconds a step by turns."""
    steps: dict[str, Callable[[], Any]] = {}
    memory: dict[str, int] = {}
    for how, remat in (("kept", False), ("again", True)):
        steps[how], memory[how] = compiled(name, remat)
        note(f"{name}, {how}: {memory[how] / 2**20:.0f} MB")
    seconds: dict[str, list[float]] = {how: [] for how in steps}
    for turn in range(rounds):
        for how in rotated(list(steps), turn):
            began = time.perf_counter()
            steps[how]()
            seconds[how].append(time.perf_counter() - began)
        note(f"{name}: round {turn + 1} of {rounds}")
    return {"memory": memory, "seconds": seconds}


def compiled(name: str, remat: bool) -> tuple[Callable[[], Any], int]:
    """One step of `lamina.fit`'s program, warm, and the bytes that it takes meanwhile."""
    import jax
    import jax.numpy as jnp

    import lamina as lm
    from lamina.data.array_preprocessing import ArrayPreprocessing
    from lamina.data.base import ClassTarget
    from lamina.train.step import Program

    deep = NETWORKS[name]
    shape = (deep.side, deep.side, 3)
    network = lm.zoo.build(name, classes=deep.classes)
    target = ClassTarget(tuple(map(str, range(deep.classes))))
    loss, optimizer = lm.losses.SoftmaxCrossEntropy(), lm.optim.SGD(RATE)
    program = Program(network, ArrayPreprocessing(shape), target, loss, optimizer, remat=remat)
    carry = program.start(*network.init(jax.random.key(0), shape))
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((deep.batch, *shape)), jnp.float32)
    y = jnp.asarray(rng.integers(0, deep.classes, deep.batch), jnp.int32)
    given = carry, x, y, jnp.float32(RATE), jax.random.key(1)
    step = jax.jit(program.step).lower(*given).compile()

    def run() -> None:
        jax.block_until_ready(step(*given))

    run()
    return run, step.memory_analysis().temp_size_in_bytes


def report(found: dict[str, Any]) -> str:
    rows = []
    for name, measured in found.items():
        deep, memory = NETWORKS[name], measured["memory"]
        times = ratios(measured["seconds"], "kept")["again"]
        cells = [f"{name}, {deep.side}×{deep.side}, batch {deep.batch}"]
        cells += [f"{memory[how] / 2**20:.0f}" for how in ("kept", "again")] + [
            f"{memory['again'] / memory['kept']:.2f} ×"
        ]
        cells += [number(1e3 * summary(measured["seconds"][how])["median"]) for how in ("kept", "again")]
        rows.append([*cells, f"{times['median']:.2f} ×", f"{times['min']:.2f} – {times['max']:.2f}"])
    header = ["a step with SGD", "MB", "MB with remat", "of it", "ms", "ms with remat", "of it", "min – max"]
    rounds = max(len(measured["seconds"]["kept"]) for measured in found.values())
    words = "Memory is what the compiled step takes beside its arguments and results: activations and scratch memory."
    return f"{results.table(header, rows)}\n\n{rounds} rounds by turns. {words}"


if __name__ == "__main__":
    main()
