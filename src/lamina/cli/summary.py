"""``lamina summary``: a network as a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamina.errors import ConfigError

if TYPE_CHECKING:
    from lamina.data import Data

__all__ = ["summary"]


def summary(
    network: Annotated[
        str,
        typer.Argument(metavar="ARCH|MODEL", help="A name, FILE.py, FILE.json, a model.lamina file or a run folder."),
    ],
    input_shape: Annotated[
        str | None,
        typer.Option("--input-shape", metavar="HxWxC", help="Of one example, such as 28x28x1; a model knows its own."),
    ] = None,
    classes: Annotated[
        int, typer.Option("--classes", min=2, metavar="N", help="For a named network: how many it tells apart.")
    ] = 10,
) -> None:
    """Show a network layer by layer: shapes, parameters, arithmetic, receptive field, memory.

    [bold]lamina summary runs/photos[/bold]
    [bold]lamina summary my_network.py --input-shape 96x96x3[/bold]
    """
    shape = None if input_shape is None else _shape(input_shape)
    layer: Any
    path = Path(network)
    if path.is_dir() or path.suffix == ".lamina":
        from lamina.cli.models import open_model

        model = open_model(network)
        layer, spec = model.network, model.preprocessing.input_spec()
    else:
        from lamina.cli.network import open_network

        make = open_network(network)
        if shape is None:
            raise ConfigError(
                f"{network} does not say what its input is.", "Give its shape, such as --input-shape 28x28x1."
            )
        layer, spec = make(_imagined(shape, classes)), None
    from lamina.summarize import summary as summarize

    print(summarize(layer, spec if shape is None else shape))  # noqa: T201


def _imagined(shape: tuple[int, ...], classes: int) -> Data:
    """Data of which only the shapes are true: enough for a network to be made for it."""
    import numpy as np

    from lamina.data import ArraySplit, ClassTarget, Data, DataCard
    from lamina.data.array_preprocessing import ArrayPreprocessing

    split = ArraySplit(np.broadcast_to(np.float32(0), (1000, *shape)), np.arange(1000, dtype=np.int32) % classes)
    target = ClassTarget(tuple(map(str, range(classes))))
    return Data(split, split, None, ArrayPreprocessing(shape), target, DataCard("imagined", "array"))


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,9}([x×,]\d{1,9})*", text):
        raise ConfigError(f"A shape is written like 28x28x1. Received: --input-shape {text}.")
    return tuple(int(number) for number in re.split("[x×,]", text))
