"""XLA's persistent compilation cache: on by default, one folder a user, bounded in size."""

from __future__ import annotations

import os
from pathlib import Path

import jax

__all__ = ["enable"]

_BYTES = 1 << 28  # some thousand programs: whenever JAX adds one, it looks at all of them, 20 µs each


def enable() -> Path | None:
    """Keep compiled programs on disk between processes, so that a network's second run starts at once.

    Does nothing where a cache folder is already configured (``JAX_COMPILATION_CACHE_DIR``), where
    ``LAMINA_COMPILATION_CACHE=off``, or where the folder cannot be made.

    Returns:
        The folder, or None.
    """
    if os.environ.get("LAMINA_COMPILATION_CACHE", "").lower() in {"off", "0", "no"}:
        return None
    configured = jax.config.values.get("jax_compilation_cache_dir")
    if configured:
        return Path(configured)
    from platformdirs import user_cache_path

    folder = user_cache_path("lamina") / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    _mend(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    return folder


def _mend(folder: Path) -> None:
    """Remove entries whose writer was killed: jax writes no further entry while one lacks its time of use."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / ".lockfile", timeout=1):  # jax's own: whoever is writing holds it
            for entry in folder.glob("*-cache"):
                if not entry.with_name(entry.name.removesuffix("-cache") + "-atime").exists():
                    entry.unlink()
    except (OSError, Timeout):
        return  # the cache is a convenience
