"""What all tests share: strict dtypes, float64 where asked, the folder of real data sets."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")

# How long an example takes says something about the machine, not about the code.
hypothesis.settings.register_profile("lamina", deadline=None)
hypothesis.settings.load_profile("lamina")

# A compilation cache of the tests' own, which the processes that they start share: the user's is left alone. The one of
# this process has no limit: with a limit JAX looks at all entries, of which there are thousands, whenever it adds one.
_CACHE = tempfile.mkdtemp(prefix="lamina-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE
jax.config.update("jax_compilation_cache_dir", os.path.join(_CACHE, "unlimited"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision for the length of a test: numerical gradients need it."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets, or a skip where it is missing (set LAMINA_TEST_DATA to point at one)."""
    folder = Path(os.environ.get("LAMINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}")
    return folder
