"""A peer's process: reads a JSON request a line from stdin, answers with a JSON line. Started by peers.py.

python benchmarks/worker.py PEER CORE[,CORE…]

A peer "infer:…" only answers (inference.py), "rbm:…" is a restricted Boltzmann machine (rbm.py); the others train.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
import traceback
from typing import Any

import numpy as np
from data_and_weights import examples, loss
from networks import IMAGENET, NETWORKS
from workers.base import Trainer

COMPARED = 10  # batches that the peers go round and round on before their losses are compared
SEED = 0


class Answerer:
    """Turns requests into calls of an engine, which only answers."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def hello(self) -> dict[str, Any]:
        return {}

    def load(self, network: str, batch: int) -> dict[str, Any]:
        """Build a network for batches of one size; the logits of its batch."""
        described = IMAGENET[network]
        x = np.random.default_rng((SEED, 4)).standard_normal((batch, *described.input_shape)).astype(np.float32)
        self.engine.load(described, x, SEED)
        return {"outputs": self.engine.run().tolist(), "remark": self.engine.remark}

    def turn(self, seconds: float) -> dict[str, Any]:
        """Answer the batch again and again for about so long: seconds a batch."""
        began = time.perf_counter()
        count = 0
        while not count or time.perf_counter() - began < seconds:
            self.engine.run()
            count += 1
        return {"seconds": (time.perf_counter() - began) / count}


class Worker:
    """Turns requests into calls of a trainer."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def hello(self) -> dict[str, Any]:
        return {}

    def prepare(
        self, network: str, batches: int, batch_size: int, steps: int, rate: float, precision: str
    ) -> dict[str, Any]:
        """Build a network in the fastest of the peer's variants, with its examples, warm for turns of ``steps``.

        Args:
            batches: how many different ones there are.
            batch_size: 0 for the network's own.
        """
        described = NETWORKS[network]
        self.network = dataclasses.replace(described, batch_size=batch_size or described.batch_size)
        self.trainer.precision = precision
        x, y = examples(self.network, batches, SEED)
        self.rows = np.arange(len(y), dtype=np.int32).reshape(batches, -1)
        compared = self.rows[:COMPARED].reshape(-1)
        self.compared = x[compared], y[compared]
        self.next = 0
        variant = self.trainer.choose(self.network, x, y, self._next(steps), SEED, rate)
        return {"variant": variant, "remark": self.trainer.remark()}

    def first_loss(self, network: str, batch_size: int) -> dict[str, Any]:
        """The loss of one batch with the first weights: all that there is before anything is trained or compiled."""
        described = dataclasses.replace(NETWORKS[network], batch_size=batch_size)
        x, y = examples(described, 1, SEED)
        self.trainer.precision = "f32"
        self.trainer.build(described, SEED, 1e-3, **self.trainer.variants(described)[0])
        return {"loss": loss(described, self.trainer.logits(x, training=True), x, y)}

    def loss(self, steps: int) -> dict[str, Any]:
        """The loss with the first weights, and after so many steps from there."""
        self.trainer.reset()
        first = self._loss()
        self.trainer.train(self.rows[np.arange(steps) % min(COMPARED, len(self.rows))])
        return {"losses": [first, self._loss()]}

    def turn(self, steps: int) -> dict[str, Any]:
        """Seconds for the next ``steps`` steps; each takes the next batch of the ring."""
        rows = self._next(steps)
        began = time.perf_counter()
        self.trainer.train(rows)
        return {"seconds": time.perf_counter() - began}

    def peak(self, precision: str) -> dict[str, Any]:
        """The most that the machine reaches in matrix products, in 10⁹ operations a second."""
        from workers.torch_trainer import matmul_peak

        return {"gflops": matmul_peak(precision)}

    def _loss(self) -> float:
        x, y = self.compared
        return loss(self.network, self.trainer.logits(x, training=True), x, y)

    def _next(self, steps: int) -> np.ndarray:
        rows = self.rows[(self.next + np.arange(steps)) % len(self.rows)]
        self.next += steps
        return rows

    def race(self, network: str, data: str, seed: int, rate: float, target: float, epochs: int) -> dict[str, Any]:
        """Train until an accuracy on held-out examples is reached, from a standing start and then a flying one."""
        with np.load(data) as arrays:
            parts = {name: arrays[name] for name in ("x", "y", "x_test", "y_test")}
        return self.trainer.race(NETWORKS[network], parts, seed, rate, target, epochs)


def started(name: str, threads: int) -> Any:
    """What answers a peer's requests. Raises ImportError where its library is not installed."""
    kind, _, engine = name.partition(":")
    if kind == "infer":
        return answerer(engine, threads)
    if kind == "rbm":
        from workers.rbm_learners import Learner

        return Learner(engine)
    return Worker(make(name, threads))


def answerer(name: str, threads: int) -> Answerer:
    """The engine of a peer. Raises ImportError where its library is not installed."""
    from workers import engines

    if name == "lamina":
        return Answerer(engines.LaminaEngine())
    if name in ("torch", "torch-compile"):
        return Answerer(engines.TorchEngine(threads, compiled=name == "torch-compile"))
    if name.startswith("keras"):
        os.environ["KERAS_BACKEND"] = name.partition("-")[2]
        return Answerer(engines.KerasEngine(threads))
    if name == "onnx":
        return Answerer(engines.OnnxEngine(threads))
    raise SystemExit(f"There is no engine {name!r}.")


def make(name: str, threads: int) -> Trainer:
    """The trainer of a peer. Raises ImportError where its library is not installed."""
    if name == "lamina":
        from workers.lamina_trainer import LaminaTrainer

        return LaminaTrainer()
    if name == "jax":
        from workers.jax_trainer import JaxTrainer

        return JaxTrainer()
    if name.startswith("torch"):
        from workers.torch_trainer import TorchTrainer

        return TorchTrainer(threads, fused=name != "torch", compiled=name == "torch-compile")
    if name.startswith("keras"):
        _, backend, *way = name.split("-")
        os.environ["KERAS_BACKEND"] = backend
        from workers.keras_trainer import KerasTrainer

        return KerasTrainer(threads, fit=way == ["fit"])
    library, _, installed = name.partition("-")
    if library in ("flax", "equinox"):
        if installed:
            import lamina.kernels

            lamina.kernels.install()
        if library == "flax":
            from workers.flax_trainer import FlaxTrainer

            return FlaxTrainer()
        from workers.equinox_trainer import EquinoxTrainer

        return EquinoxTrainer()
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
    worker: Any = None
    for line in sys.stdin:
        arguments = json.loads(line)
        request = arguments.pop("request")
        try:
            if worker is None:
                worker = started(name, len(cores))
            answer = getattr(worker, request)(**arguments)
        except ImportError as error:
            answer = {"error": f"not installed ({error})"}
        except Exception as error:  # the driver goes on without this peer
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
