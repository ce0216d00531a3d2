"""The network that ``--arch`` means: a name, a Python file of the user's, or a JSON file."""

from __future__ import annotations

import inspect
import json
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamina.errors import BadInputError, ConfigError, LaminaError, nearest

if TYPE_CHECKING:
    from lamina.data import Data
    from lamina.layers import Layer
    from lamina.train.recipe import Recipe

__all__ = ["choose_autoencoder", "open_network"]


def open_network(arch: str) -> Callable[[Data], Layer]:
    """The maker of the network that was named. Files are read, and Python files run, at once.

    Args:
        arch: a name, of the zoo's too; ``FILE.py`` that defines ``network`` (a layer, or a function from data to a
            layer); or ``FILE.json`` as `lamina.config.to_json` writes it.

    Raises:
        BadInputError: for an unknown name, a missing file, or one that defines no network.
    """
    path = Path(arch)
    if path.suffix == ".py":
        return _from_python(_existing(path))
    if path.suffix == ".json":
        network = _from_json(_existing(path))
        return lambda data: network
    from lamina import zoo
    from lamina.train.recipes import ARCHITECTURES

    if arch in ARCHITECTURES:
        return ARCHITECTURES[arch]
    names = [one.name for one in zoo.networks()]
    if arch not in names:
        raise ConfigError(
            f"Unknown architecture {arch!r}.",
            nearest(arch, [*ARCHITECTURES, *names, "auto"]) + " It may also be a file of yours, FILE.py or FILE.json.",
        )
    return lambda data: zoo.build(arch, classes=data.target.units)


def choose_autoencoder(arch: str, code: int | None) -> Callable[[Data], Recipe]:
    """The maker of the auto-encoder that was named, with its recipe.

    Args:
        arch: "auto" or the name of one; a file of the user's has a recipe, too.
        code: units of the code, where they were asked for.

    Raises:
        ConfigError: for an unknown name, and a code's size that a file says itself.
    """
    from lamina.train.recipe_autoencoder import ARCHITECTURES, autoencoder

    if Path(arch).suffix in (".py", ".json"):
        if code is not None:
            raise ConfigError("--code is for the auto-encoders that Lamina makes; a file says it itself.")
        return autoencoder
    if arch not in (*ARCHITECTURES, "auto"):
        raise ConfigError(
            f"Unknown auto-encoder {arch!r}.",
            nearest(arch, [*ARCHITECTURES, "auto"]) + " It may also be a file of yours, FILE.py or FILE.json.",
        )
    return lambda data: autoencoder(data, code, arch)


def _existing(path: Path) -> Path:
    if not path.is_file():
        there = [str(other) for other in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
        raise BadInputError(f"There is no file {path}.", nearest(str(path), there) if there else "")
    return path


def _from_json(path: Path) -> Layer:
    from lamina.config import from_json
    from lamina.layers import Layer

    try:
        described = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInputError(f"{path} cannot be read as JSON: {error}.") from error
    if isinstance(described, dict) and "network" in described:  # as it lies in a model file
        described = described["network"]
    try:
        network: Layer = from_json(described, Layer)
    except (LaminaError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} describes no network: {error}") from error
    return network


def _from_python(path: Path) -> Callable[[Data], Layer]:
    module = types.ModuleType(f"_network_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # a dataclass looks its module up
    sys.path.insert(0, str(path.parent.resolve()))  # its neighbours can be imported, as when it is run
    try:
        _running(path, lambda: exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__))
    finally:
        sys.path.pop(0)
    if not hasattr(module, "network"):
        known = [name for name in vars(module) if not name.startswith("_")]
        raise BadInputError(
            f"{path} defines no 'network'.",
            "Write network = lm.Sequential(…), or def network(data): … that returns one. "
            + (f"It defines {', '.join(sorted(known)[:8])}." if known else ""),
        )
    return lambda data: _layer(path, module.network, data)


def _layer(path: Path, network: Any, data: Data) -> Layer:
    from lamina.layers.base import as_layer

    if inspect.isfunction(network):
        network = _running(path, lambda: network(data))
    return as_layer(network)


def _running(path: Path, work: Callable[[], Any]) -> Any:
    """What the user's code gives; its mistakes are told with their place in the file."""
    try:
        return work()
    except LaminaError as error:
        raise BadInputError(f"{_place(path, error)}: {error.message}", error.hint) from error
    except SyntaxError as error:
        raise BadInputError(f"{path}, line {error.lineno}: {error.msg}.") from error
    except (Exception, SystemExit) as error:
        raise BadInputError(f"{_place(path, error)}: {type(error).__name__}: {error}.") from error


def _place(path: Path, error: BaseException) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}, line {lines[-1]}" if lines else str(path)
