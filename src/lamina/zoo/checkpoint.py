"""Files of weights as tensors by name: safetensors, PyTorch's, NumPy's."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina.errors import ModelFileError
from lamina.zoo import pickles

__all__ = ["ENDINGS", "read"]

_PYTORCH = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")
ENDINGS = (".safetensors", ".npz", *_PYTORCH)
_KEYS = ("state_dict", "model_state_dict", "model", "net", "weights", "params")  # under which a network's weights lie
_PREFIXES = ("module.", "_orig_mod.", "model.")  # of wrappers around the network


def read(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """All tensors of a file, by their names in it without the prefixes of wrappers such as ``DataParallel``.

    Args:
        path: ``.safetensors``, ``.npz``, or a ``.pth``, ``.pt`` or ``.th`` of PyTorch's with a dictionary of tensors,
            by itself or under a key. Nothing in it is executed.

    Raises:
        ModelFileError: for a file that is missing, damaged, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"There is no file {path}.")
    if path.suffix == ".safetensors":
        tensors = _safetensors(path)
    elif path.suffix == ".npz":
        tensors = _npz(path)
    elif path.suffix in _PYTORCH:
        tensors = _state_dict(path, pickles.read(path))
    else:
        raise ModelFileError(f"{path} is no file of weights by its name.", f"Known endings: {', '.join(ENDINGS)}.")
    if not tensors:
        raise ModelFileError(f"{path} holds no tensors.")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelFileError(f"{path} cannot be loaded: {error}.", "Download it again.") from error


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zip, zlib and the header's syntax each fail in their own way
        raise ModelFileError(f"{path} cannot be loaded: {error}.", "Download it again.") from error


def _state_dict(path: Path, value: Any) -> dict[str, np.ndarray]:
    """The dictionary of tensors in what was saved."""
    if not isinstance(value, dict):
        raise ModelFileError(
            f"{path} holds a {type(value).__name__}, not a dictionary of tensors.",
            "Save one with: torch.save(model.state_dict(), PATH).",
        )
    own = {name: item for name, item in value.items() if isinstance(item, np.ndarray)}
    nested = {name: item for name, item in value.items() if isinstance(item, dict) and _has_tensors(item)}
    if nested:
        found = next((name for name in _KEYS if name in nested), None)
        if found is None and len(nested) > 1:
            raise ModelFileError(f"{path} holds several dictionaries of tensors: {', '.join(map(str, nested))}.")
        return _state_dict(path, nested[found if found is not None else next(iter(nested))])
    return {str(name): item for name, item in own.items()}


def _has_tensors(value: dict[Any, Any]) -> bool:
    return any(isinstance(item, np.ndarray) for item in value.values())
