from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMPILES = """
import json, sys, warnings
warnings.simplefilter("error")
import jax, jax.numpy as jnp
from jax import monitoring
events = []
monitoring.register_event_listener(lambda event, **_: events.append(event.split("/")[-1]))
from lamina import cache
folder = cache.enable()

@jax.jit
def program(x):
    for i in range(20):
        x = jnp.tanh(x @ x + float(i))
    return x.sum()

value = float(program(jnp.full((40, 40), 0.01)))
print(json.dumps({"folder": str(folder), "hits": events.count("cache_hits"), "value": value}))
"""


def process(home: Path, **environment: str) -> dict[str, Any]:
    """What a fresh process says, in which the same program is compiled."""
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "LAMINA_"))}
    passed |= {"XDG_CACHE_HOME": str(home), "HOME": str(home)} | environment
    done = subprocess.run([sys.executable, "-c", COMPILES], env=passed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
def test_a_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    first = process(tmp_path)
    (entry,) = Path(first["folder"]).glob("*program*-cache")
    (time,) = Path(first["folder"]).glob("*program*-atime")
    written, whole = entry.stat().st_mtime_ns, entry.read_bytes()
    second = process(tmp_path)
    assert first["hits"] == 0
    assert second["hits"] > 0
    assert second["value"] == first["value"]
    assert entry.stat().st_mtime_ns == written
    # A writer that was killed half-way leaves an entry without its time: it is neither read nor in anybody's way.
    entry.write_bytes(whole[:1000])
    time.unlink()
    assert process(tmp_path)["value"] == first["value"]
    assert time.exists()
    assert entry.stat().st_size > 1000


@pytest.mark.slow
def test_the_cache_can_be_turned_off_and_moved(tmp_path: Path) -> None:
    assert process(tmp_path, LAMINA_COMPILATION_CACHE="off")["folder"] == "None"
    moved = process(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "elsewhere"))
    assert moved["folder"] == str(tmp_path / "elsewhere")
    assert not list(tmp_path.rglob("xla"))


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert process(tmp_path, XDG_CACHE_HOME=str(tmp_path / "file"))["folder"] == "None"
