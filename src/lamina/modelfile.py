"""The ``.lamina`` file: a zip of JSON and safetensors. No pickle; nothing in it is executed or imported.

Entries: ``network.json`` (format version, network), ``weights.safetensors`` (``params.<path>``, ``state.<path>``),
``preprocessing.json`` (preprocessing, target), ``card.json`` (facts). Entries are stored, not compressed, so that no
file can unpack to more than its own size.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import jax

from lamina import trees
from lamina.config import from_json, to_json
from lamina.data.base import Preprocessing, Target
from lamina.errors import ConfigError, LaminaError, ModelFileError
from lamina.files import write_atomically
from lamina.layers import Layer
from lamina.layers.base import Params, State

__all__ = ["FORMAT", "read", "write"]

FORMAT = 1
_ENTRIES = ("network.json", "weights.safetensors", "preprocessing.json", "card.json")
_JSON_BYTES = 64 << 20
# What building a network from fields of wrong types may raise.
_UNBUILDABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


def write(
    path: str | PathLike[str],
    *,
    network: Layer,
    params: Params,
    state: State,
    preprocessing: Preprocessing,
    target: Target,
    card: Mapping[str, Any],
) -> None:
    """Write a model. Raises `ConfigError` for a network without a form as data, `BadInputError` for a bad path."""
    weights = trees.flatten(params, "params.") | trees.flatten(state, "state.")
    contents = {
        "network.json": _dump({"format": FORMAT, "network": to_json(network)}),
        "weights.safetensors": trees.to_bytes(weights),
        "preprocessing.json": _dump({"preprocessing": to_json(preprocessing), "target": to_json(target)}),
        "card.json": _dump(dict(card)),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in _ENTRIES:
            # A fixed date: the same model is the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), contents[name])
    write_atomically(path, buffer.getvalue())


def read(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a model's parts. Raises `ModelFileError`."""
    _define_types()
    entries = _entries(Path(path))
    head = _parse(path, "network.json", entries)
    version = head.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _broken(path, "it states no format version")
    if version > FORMAT:
        raise ModelFileError(
            f"{path} was written by a newer Lamina (format {version}; this one reads up to {FORMAT}).",
            "Upgrade with: pip install --upgrade lamina",
        )
    body = _parse(path, "preprocessing.json", entries)
    card = _parse(path, "card.json", entries)
    try:
        network = from_json(head.get("network"), Layer)
        preprocessing = from_json(body.get("preprocessing"), Preprocessing)
        target = from_json(body.get("target"), Target)
        params, state = jax.eval_shape(
            lambda key: network.init(key, preprocessing.input_spec()), jax.eval_shape(lambda: jax.random.key(0))
        )
        table = trees.from_bytes(_entry(path, "weights.safetensors", entries))
        params, state = trees.fill(params, table, "params."), trees.fill(state, table, "state.")
    except LaminaError as error:
        raise ModelFileError(f"{path} cannot be loaded: {error}") from error
    except _UNBUILDABLE as error:
        raise _broken(path, f"its network cannot be built ({type(error).__name__}: {error})") from error
    return {
        "network": network,
        "params": params,
        "state": state,
        "preprocessing": preprocessing,
        "target": target,
        "card": card,
    }


def _define_types() -> None:
    """Import what a file may name, whatever it does name: a name is only looked up among the types already defined."""
    from lamina.data import (  # noqa: F401
        array_preprocessing,
        characters,
        image_preprocessing,
        series_preprocessing,
        series_windows,
        table_preprocessing,
        text_preprocessing,
    )


def _entries(path: Path) -> dict[str, bytes]:
    """All entries by name, each stored plainly and there once."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelFileError(f"There is no model at {path}: {error.strerror or error}.") from error
    try:
        with zipfile.ZipFile(path) as archive:
            entries: dict[str, bytes] = {}
            left = size  # of all entries together, so that overlapping ones cannot unpack to more
            for info in archive.infolist():
                name = info.filename
                left -= info.file_size
                large = left < 0 or (name.endswith(".json") and info.file_size > _JSON_BYTES)
                if info.compress_type != zipfile.ZIP_STORED or large or info.flag_bits & 1:
                    raise _broken(path, f"its entry {name[:40]!r} is not stored plainly")
                if name in entries:
                    raise _broken(path, f"it has two entries {name[:40]!r}")
                entries[name] = archive.read(info)
            return entries
    except ModelFileError:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _broken(path, f"it is cut short, corrupt, or no model at all ({error})") from error


def _entry(path: str | PathLike[str], name: str, entries: Mapping[str, bytes]) -> bytes:
    if name not in entries:
        raise _broken(path, f"it has no entry {name}")
    return entries[name]


def _parse(path: str | PathLike[str], name: str, entries: Mapping[str, bytes]) -> dict[str, Any]:
    data = _entry(path, name, entries)
    try:
        value = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"its {name} is no JSON") from error
    if not isinstance(value, dict):
        raise _broken(path, f"its {name} is no JSON object")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _broken(path: str | PathLike[str], why: str) -> ModelFileError:
    return ModelFileError(f"{path} is not a whole Lamina model: {why}.", "Train or copy it again.")


def _dump(value: Any) -> bytes:
    try:
        return json.dumps(value, indent=1, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"The model's card holds what JSON cannot: {error}.", "Keep to finite numbers and text."
        ) from error
