"""Configurations as data: frozen dataclasses that compare, hash, print and round-trip through JSON.

Layers, initialisers, losses, optimisers, augmentations and preprocessors are all configurations. A registry maps
class names to classes; looking a name up never imports anything that a file names.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, ClassVar, Self

import numpy as np

from lamina.errors import ConfigError, nearest

__all__ = ["Config", "from_json", "to_json"]

_registry: dict[str, type[Config]] = {}


class Config:
    """Base of everything that describes itself as data.

    A subclass is a ``@dataclass(frozen=True)`` whose fields are None, bool, int, float, str, tuples of these, or other
    configurations. It is registered under its class name when it is defined.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__name__.startswith("_"):
            return
        known = _registry.get(cls.__name__)
        if known is not None and known.__module__.startswith("lamina.") and known.__module__ != cls.__module__:
            raise ConfigError(
                f"The name {cls.__name__!r} is taken by {known.__module__}.{known.__name__}.",
                "Give your class another name: a saved network finds its classes by name.",
            )
        _registry[cls.__name__] = cls

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Build an instance from its decoded fields (overridden where the constructor takes them otherwise)."""
        return cls(**fields)

    def to_fields(self) -> dict[str, Any]:
        """The fields to write (overridden by what cannot be written, to say why)."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def as_data(self) -> Config:
        """What is written in this one's place (overridden by what carries more than can be written)."""
        return self

    def __repr__(self) -> str:
        shown = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            default = field.default
            if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            if default is dataclasses.MISSING or value != default:
                shown.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def to_json(value: Any) -> Any:
    """Turn a configuration (or a tuple, number, text, None) into plain JSON data.

    Raises:
        ConfigError: for a value that has no JSON form, such as a bare function.
    """
    if isinstance(value, Config):
        value = value.as_data()
        fields = {name: to_json(item) for name, item in value.to_fields().items()}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"The value {value} has no place in a saved configuration; expected a finite number.")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f"{value!r} cannot be written as data.",
        "Write it as a Layer subclass (or another Config) with plain fields, and it can be saved.",
    )


def from_json(data: Any, expected: type[Config] | None = None) -> Any:
    """The inverse of `to_json`. Lists come back as tuples.

    Args:
        data: what `json.loads` returned.
        expected: the base class that the outermost value must have, if any.

    Raises:
        ConfigError: for unknown types or fields, missing fields, or values the class refuses.
    """
    value = _decode(data)
    if expected is not None and not isinstance(value, expected):
        raise ConfigError(f"Expected a {expected.__name__}, got {json.dumps(data)[:80]}.")
    return value


def _decode(data: Any) -> Any:
    if isinstance(data, list):
        return tuple(_decode(item) for item in data)
    if not isinstance(data, dict):
        return data
    fields = dict(data)
    name = fields.pop("type", None)
    cls = _registry.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ConfigError(
            f"Unknown type {name!r} in a saved configuration.",
            nearest(str(name), _registry)
            + " A class of your own must be defined (its module imported) before it is loaded.",
        )
    known = {field.name for field in dataclasses.fields(cls)}
    for field in fields:
        if field not in known:
            raise ConfigError(f"{name} has no field {field!r}.", nearest(field, known))
    decoded = {field: _decode(value) for field, value in fields.items()}
    try:
        return cls.from_fields(decoded)
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        raise ConfigError(f"{name} cannot be built from {json.dumps(data)[:120]}: {error}.") from error
