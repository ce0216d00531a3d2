"""Running ``lamina`` and its peers in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["LAMINA", "run_json"]

# The command of this very environment, whatever is on the PATH.
_SCRIPT = Path(sys.executable).with_name("lamina")
LAMINA = (
    [str(_SCRIPT)]
    if _SCRIPT.exists()
    else [sys.executable, "-c", "import sys, lamina.cli; sys.exit(lamina.cli.main())"]
)


def run_json(command: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a command prints as JSON, with the wall time of the whole process as "wall_seconds".

    A failed run gives ``{"error": …}`` as the command prints it.
    """
    began = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    wall = time.perf_counter() - began
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        answer = {"error": {"message": last}}
    return {**answer, "wall_seconds": round(wall, 2)}
