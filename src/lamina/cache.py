"""XLA's persistent compilation cache: on by default, one folder a user, bounded in size."""

from __future__ import annotations

import os
from pathlib import Path

import jax

__all__ = ["enable"]

_BYTES = 1 << 30


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
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    return folder
