"""``lamina describe``: what an inner layer of a model says of pictures, as a table of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lamina.cli import outputs
from lamina.cli.models import open_model
from lamina.cli.terminal import Reporter, emit_json

__all__ = ["describe"]


def describe(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.lamina file, or the run folder it lies in.")],
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT…", help="What the model was trained on: pictures, folders, arrays.")
    ],
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="A .parquet or .csv file: a row an input.")],
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="PATH", help="The layer, as lamina summary names it; all but the head."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that --out names.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Write descriptors: what comes out of one of a model's layers. Maps are averaged over space.

    The table has a column "input" and a column for each number, "d0", "d1", ….

    [bold]lamina describe efficientnet_lite0.lamina photos/ --out features.parquet[/bold]
    [bold]lamina describe runs/photos photos/ --layer 4 --out features.csv[/bold]
    """
    path = Path(out)
    outputs.new_file(path, force=force, endings=outputs.TABLES)
    reporter = Reporter()
    trained = open_model(model)
    from lamina.transfer import Describer, body_of, descriptor_network

    trained = body_of(trained)
    describer = Describer(trained, descriptor_network(trained, layer))
    given = trained.preprocessing.gather(inputs)
    failed: dict[int, str] = {}
    vectors = describer(given.raw, failed.__setitem__)
    unread = [*given.skipped, *((given.names[index], reason) for index, reason in failed.items())]
    reporter.skipped(unread)
    names = [name for index, name in enumerate(given.names) if index not in failed]
    columns = {"input": names} | {f"d{index}": column for index, column in enumerate(vectors.T)}
    outputs.write_table(path, columns)
    reporter.say(f"{len(vectors)} descriptors of {vectors.shape[1]} numbers are in {path}")
    if as_json:
        skipped = [{"input": name, "reason": reason} for name, reason in unread]
        emit_json(
            {
                "descriptors": str(path),
                "examples": len(vectors),
                "features": vectors.shape[1],
                "layer": layer,
                "skipped": skipped,
                "warnings": reporter.warnings,
            }
        )
