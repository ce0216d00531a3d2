"""``lamina zoo``: the networks that have a name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lamina.cli.terminal import aligned, emit_json

__all__ = ["zoo"]


def zoo(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False) -> None:
    """List the networks of the zoo: parameters, multiply-adds of one picture, year, paper."""
    from lamina.summarize import summary
    from lamina.zoo import networks

    listed: list[dict[str, Any]] = []
    for found in networks():
        network = (found.plain or found.make)(found.classes)
        listed.append(
            {
                "name": found.name,
                "parameters": network.count_parameters(found.input_shape),
                "multiply_adds": summary(network, found.input_shape).multiply_adds,
                "input_shape": found.input_shape,
                "classes": found.classes,
                "year": found.year,
                "paper": found.paper,
            }
        )
    if as_json:
        emit_json({"networks": listed})
        return
    rows = [("network", "parameters", "multiply-adds", "input", "year", "paper")]
    for one in listed:
        size = "×".join(map(str, one["input_shape"]))
        millions = f"{one['multiply_adds'] / 1e6:,.1f} M"
        rows.append((one["name"], f"{one['parameters']:,}", millions, size, str(one["year"]), one["paper"]))
    for line in aligned(rows, right=(1, 2)):
        typer.echo(line)
