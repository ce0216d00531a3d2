"""``lamina info``: what a bug report needs to say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lamina.cli.terminal import aligned, emit_json

__all__ = ["info"]

_LIBRARIES = ("jax", "jaxlib", "numpy", "optax", "polars", "pillow")


def info(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False) -> None:
    """Show versions, devices, kernels and caches."""
    import platform
    from importlib.metadata import version

    import jax
    import psutil

    import lamina
    from lamina import cache
    from lamina.data.builtin import BUILTIN, usual_places
    from lamina.kernels.native import native

    folder = cache.enable()
    files = [path for path in folder.rglob("*") if path.is_file()] if folder is not None and folder.is_dir() else []
    facts: dict[str, Any] = {
        "versions": {"lamina": lamina.__version__, "python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
        "system": platform.platform(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "kernels": native().reason,
        "cores": psutil.cpu_count(),
        "memory": {"free": psutil.virtual_memory().available, "total": psutil.virtual_memory().total},
        "compilation_cache": {
            "folder": None if folder is None else str(folder),
            "files": len(files),
            "bytes": sum(_size(path) for path in files),
        },
        "datasets": {
            name: next((str(place) for place in usual_places(name) if place.is_dir()), None)
            for name in BUILTIN
            if name != "digits"
        },
    }
    if as_json:
        emit_json(facts)
        return
    memory, kept = facts["memory"], facts["compilation_cache"]
    rows = [
        *facts["versions"].items(),
        ("system", facts["system"]),
        *(("device", device) for device in facts["devices"]),
        ("kernels", facts["kernels"]),
        ("cores", str(facts["cores"])),
        ("memory", f"{memory['free'] / 1e9:.1f} GB free of {memory['total'] / 1e9:.1f}"),
        ("cache", f"{kept['folder']} ({kept['files']} files, {kept['bytes'] / 1e6:.1f} MB)" if folder else "off"),
        *((name, place or "not found") for name, place in facts["datasets"].items()),
    ]
    print("\n".join(aligned(rows)))  # noqa: T201


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process has just replaced it
        return 0
