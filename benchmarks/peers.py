"""The peers, each in a process of its own that waits for its turn, and the statistics of their turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["TITLES", "Peer", "PeerError", "cores_for", "environment", "ratios", "rotated", "started", "summary"]

HERE = Path(__file__).resolve().parent
# What to start, and how it is called in the tables. The first one is what the others are compared with.
TITLES = {
    "lamina": "Lamina",
    "jax": "JAX, steps in a scan",
    "torch": "PyTorch eager",
    "torch-fused": "PyTorch eager, fused Adam",
    "torch-compile": "PyTorch torch.compile, fused Adam",
    "keras-jax": "Keras on JAX, train_on_batch",
    "keras-jax-fit": "Keras on JAX, fit",
    "keras-tensorflow": "Keras on TensorFlow, train_on_batch",
    "keras-tensorflow-fit": "Keras on TensorFlow, fit",
    "sklearn": "scikit-learn MLPClassifier",
}


class PeerError(Exception):
    """What a peer said when it could not do what it was asked."""


def cores_for(count: int) -> list[int]:
    """The cores that everyone is pinned to: the first ``count`` that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(min(count, os.cpu_count() or 1)))
    return sorted(os.sched_getaffinity(0))[:count]


def environment(threads: int, *, spin: bool = False) -> dict[str, str]:
    """The environment of a peer: so many threads for every library; OpenMP's do not spin while they wait."""
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(counts, str(threads)),
        **({} if spin else {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "LAMINA_COMPILATION_CACHE": "off",
    }


class Peer:
    """A worker process. It computes only while a request is under way."""

    def __init__(self, name: str, cores: Sequence[int], *, spin: bool = False) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115, closed by close()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), name, ",".join(map(str, cores))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(len(cores), spin=spin),
        )

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            PeerError: with the worker's own words.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"request": request, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:] or ["it says nothing"]
            raise PeerError(f"{self.name} ended with exit code {self._process.wait()}: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):  # of a request that a dead process never took
                    stream.close()


@contextmanager
def started(
    names: Iterable[str], cores: Sequence[int], *, spin: bool = False
) -> Iterator[tuple[list[Peer], dict[str, str]]]:
    """The peers that can be had, and for the others why not: ``{name: reason}``."""
    missing = {}
    with ExitStack() as stack:
        peers = []
        for name in names:
            peer = Peer(name, cores, spin=spin)
            stack.callback(peer.close)
            try:
                peer.ask("hello")
            except PeerError as error:
                missing[name] = str(error)
                peer.close()
            else:
                peers.append(peer)
        yield peers, missing


def rotated(items: Sequence[Any], turn: int) -> list[Any]:
    """The items in a ring, beginning with another one every turn: nobody is always measured after the same peer."""
    start = turn % max(len(items), 1)
    return [*items[start:], *items[:start]]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": float(np.median(values)), "min": float(np.min(values)), "max": float(np.max(values))}


def ratios(values: Mapping[str, Sequence[float]], base: str) -> dict[str, dict[str, float]]:
    """How many times the base's value each other one's is, round by round: `summary` of these."""
    found = {}
    for name, own in values.items():
        if name != base and base in values:
            found[name] = summary([mine / other for mine, other in zip(own, values[base], strict=True)])
    return found
