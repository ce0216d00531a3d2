"""A peer's process: reads a JSON request a line from stdin, answers with a JSON line. Started by peers.py.

python benchmarks/worker.py PEER CORE[,CORE…]
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import Any

import numpy as np
from networks import NETWORKS, cross_entropy, examples
from workers.base import Trainer

COMPARED = 10  # batches that the peers go round and round on before their losses are compared
SEED = 0


class Worker:
    """Turns requests into calls of a trainer."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def hello(self) -> dict[str, Any]:
        return {}

    def prepare(self, network: str, batches: int, steps: int, rate: float) -> dict[str, Any]:
        """Build a network in the fastest of the peer's variants, with its examples, warm for turns of ``steps``."""
        self.network = NETWORKS[network]
        x, y = examples(self.network, batches, SEED)
        self.rows = np.arange(len(y), dtype=np.int32).reshape(batches, -1)
        compared = self.rows[:COMPARED].reshape(-1)
        self.compared = x[compared], y[compared]
        self.next = 0
        return {"variant": self.trainer.choose(self.network, x, y, self._next(steps), SEED, rate)}

    def loss(self, steps: int) -> dict[str, Any]:
        """The loss with the first weights, and after so many steps from there."""
        self.trainer.reset()
        first = self._loss()
        self.trainer.train(self.rows[np.arange(steps) % COMPARED])
        return {"losses": [first, self._loss()]}

    def turn(self, steps: int) -> dict[str, Any]:
        """Seconds for the next ``steps`` steps; each takes the next batch of the ring."""
        rows = self._next(steps)
        began = time.perf_counter()
        self.trainer.train(rows)
        return {"seconds": time.perf_counter() - began}

    def _loss(self) -> float:
        x, y = self.compared
        return cross_entropy(self.trainer.logits(x), y)

    def _next(self, steps: int) -> np.ndarray:
        rows = self.rows[(self.next + np.arange(steps)) % len(self.rows)]
        self.next += steps
        return rows

    def race(self, network: str, data: str, seed: int, rate: float, target: float, epochs: int) -> dict[str, Any]:
        """Train until an accuracy on held-out examples is reached, from a standing start and then a flying one."""
        with np.load(data) as arrays:
            parts = {name: arrays[name] for name in ("x", "y", "x_test", "y_test")}
        return self.trainer.race(NETWORKS[network], parts, seed, rate, target, epochs)


def make(name: str, threads: int) -> Trainer:
    """The trainer of a peer. Raises ImportError where its library is not installed."""
    if name == "lamina":
        from workers.lamina_trainer import LaminaTrainer

        return LaminaTrainer()
    if name.startswith("torch"):
        from workers.torch_trainer import TorchTrainer

        return TorchTrainer(threads, fused=name != "torch", compiled=name == "torch-compile")
    if name.startswith("keras"):
        _, backend, *way = name.split("-")
        os.environ["KERAS_BACKEND"] = backend
        from workers.keras_trainer import KerasTrainer

        return KerasTrainer(threads, fit=way == ["fit"])
    if name == "sklearn":
        from workers.sklearn_trainer import SklearnTrainer

        return SklearnTrainer()
    raise SystemExit(f"There is no peer {name!r}.")


def main() -> None:
    name, cores = sys.argv[1], [int(core) for core in sys.argv[2].split(",")]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)  # before the libraries size their thread pools
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker: Worker | None = None
    for line in sys.stdin:
        arguments = json.loads(line)
        request = arguments.pop("request")
        try:
            worker = worker or Worker(make(name, len(cores)))
            answer = getattr(worker, request)(**arguments)
        except ImportError as error:
            answer = {"error": f"not installed ({error})"}
        except Exception as error:  # the driver goes on without this peer
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
