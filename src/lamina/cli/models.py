"""Opening a trained model for the commands that use one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lamina.errors import ModelFileError, nearest

if TYPE_CHECKING:
    from lamina.model import Model

__all__ = ["open_model"]


def open_model(given: str) -> Model:
    """The model in a ``.lamina`` file or in a run folder.

    Raises:
        ModelFileError: where there is none.
    """
    from lamina import cache
    from lamina.model import load

    path = Path(given)
    if path.is_dir():
        if not (path / "model.lamina").is_file():
            run = (path / "config.json").is_file()
            raise ModelFileError(
                f"There is no model in {path}.",
                "The run has not ended: go on with lamina train … --resume." if run else "Expected a run folder.",
            )
        path /= "model.lamina"
    elif not path.exists():
        parent = path.parent
        there = [str(other) for other in parent.iterdir()] if parent.is_dir() else []
        hint = nearest(str(path), there) if there else ""
        raise ModelFileError(f"There is no {path}.", "" if hint.startswith("Known") else hint)
    cache.enable()
    return load(path)
