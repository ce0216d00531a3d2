"""From what was typed to values: each refusal is one sentence, before anything is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from lamina.errors import ConfigError, nearest

__all__ = ["none_of", "one_of", "parse_batch_size", "parse_rates", "parse_size", "parse_time", "use_device"]

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def one_of(option: str, value: str, known: Iterable[str]) -> str:
    """The value, if it is one of the known ones."""
    names = tuple(known)
    if value not in names:
        raise ConfigError(f"Unknown value {value!r} for {option}.", nearest(value, names))
    return value


def none_of(beside: str, given: Mapping[str, object]) -> None:
    """Refuse options that say nothing beside another: those of ``given`` that are not None."""
    named = [option for option, value in given.items() if value is not None]
    if named:
        raise ConfigError(f"{named[0]} has no place beside {beside}.", f"Leave {named[0]} out.")


def parse_time(text: str) -> float:
    """Seconds, from ``90s``, ``10m``, ``1h`` or ``1h30m``."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smh])", text.lower())
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text.lower() or not 0 < seconds < math.inf:
        raise ConfigError(f"A time is written like 90s, 10m or 1h30m. Received: --time {text}.")
    return seconds


def parse_size(text: str) -> int | tuple[int, int]:
    """Pixels, from ``96`` or ``64x96`` (height x width)."""
    found = re.fullmatch(r"([0-9]{1,6})(?:[x×]([0-9]{1,6}))?", text.lower())
    if not found:
        raise ConfigError(f"A size is written like 96, or 64x96 (height x width). Received: --size {text}.")
    height, width = found.groups()
    return (int(height), int(width)) if width else int(height)


def parse_batch_size(text: str) -> int | Literal["full"]:
    """Examples a step, or ``full``."""
    if text.lower() == "full":
        return "full"
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) == 0:
        raise ConfigError(
            f"A batch size is a whole number of at least 1, or 'full'. Received: --batch-size {text}.",
            "With 'full' every step sees all of the training data.",
        )
    return int(text)


def parse_rates(text: str) -> tuple[float, ...]:
    """Learning rates, from ``0.01`` or ``0.1,0.01,0.001``."""
    rates = []
    for part in text.split(","):
        try:
            rate = float(part)
        except ValueError:
            rate = math.nan
        if not 0 < rate < math.inf:
            raise ConfigError(
                f"A learning rate is a number above 0. Received: --lr {text}.",
                "Several are written like 0.1,0.01,0.001; 'find' looks for a good one.",
            )
        rates.append(rate)
    if len(set(rates)) < len(rates):
        raise ConfigError(f"The same learning rate is given twice. Received: --lr {text}.")
    return tuple(rates)


def use_device(device: str) -> None:
    """Make jax compute there, for the whole process.

    Raises:
        ConfigError: where there is no such device.
    """
    import jax

    one_of("--device", device, ("cpu", "gpu", "tpu"))
    before = jax.config.values.get("jax_platforms")
    reason = ""
    try:
        jax.config.update("jax_platforms", device)
        here = jax.default_backend() == device
    except RuntimeError as error:
        here, reason = False, " jax says: " + str(error).split("\n")[0]
    if not here:
        jax.config.update("jax_platforms", before)
        extra = {"gpu": "cuda", "tpu": "tpu"}.get(device)
        hint = f"It needs the device, its driver and pip install 'lamina[{extra}]'.{reason}" if extra else ""
        raise ConfigError(f"There is no {device} here to compute on.", hint)
