"""Machines as safetensors files: the weights, and their description as JSON in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import jax
import numpy as np

from lamina import trees
from lamina.config import from_json, to_json
from lamina.errors import BadInputError, ModelFileError
from lamina.files import write_atomically
from lamina.unsupervised.dbn import TrainedDBN
from lamina.unsupervised.rbm import RBM
from lamina.unsupervised.trained import TrainedRBM

__all__ = ["load", "save"]

_ENTRY = "lamina"  # in the metadata


def save(path: str | PathLike[str], kind: str, machines: Sequence[TrainedRBM]) -> None:
    """Write machines: whole or not at all.

    Args:
        kind: "RBM" or "DBN".

    Raises:
        BadInputError: where the path cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    described = {
        "kind": kind,
        "shape": list(machines[0].shape),
        "machines": [to_json(machine.rbm) for machine in machines],
        "histories": [list(machine.history) for machine in machines],
    }
    table = trees.flatten({str(index): machine.params for index, machine in enumerate(machines)})
    arrays = {name: np.asarray(array, order="C") for name, array in table.items()}
    write_atomically(path, to_bytes(arrays, {_ENTRY: json.dumps(described)}))


def load(path: str | PathLike[str]) -> TrainedRBM | TrainedDBN:
    """Read what `TrainedRBM.save` or `TrainedDBN.save` wrote.

    Raises:
        ModelFileError: for a file that is cut short, or holds no machine.
        BadInputError: for a file that cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(Path(path), framework="numpy") as file:
            described = json.loads((file.metadata() or {})[_ENTRY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
        kind, shape, histories = described["kind"], tuple(described["shape"]), described["histories"]
        rbms = [from_json(machine, RBM) for machine in described["machines"]]
        machines = []
        width = int(np.prod(shape))
        for index, (rbm, history) in enumerate(zip(rbms, histories, strict=True)):
            wanted = {"kernel": (width, rbm.hidden), "visible_bias": (width,), "hidden_bias": (rbm.hidden,)}
            like = {name: jax.ShapeDtypeStruct(size, np.float32) for name, size in wanted.items()}
            params = trees.fill(like, arrays, f"{index}.")
            machines.append(TrainedRBM(rbm, params, shape if index == 0 else (width,), tuple(history)))
            width = rbm.hidden
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadInputError):
            raise
        raise ModelFileError(f"{path} is no whole file of a machine that Lamina saved: {error}.") from error
    return machines[0] if kind == "RBM" else TrainedDBN(tuple(machines))
