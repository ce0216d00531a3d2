"""``lamina sample``: a text that a trained model goes on with."""

from __future__ import annotations

from typing import Annotated

import typer

from lamina.cli.models import open_model
from lamina.cli.terminal import emit_json

__all__ = ["sample"]


def sample(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.lamina file, or the run folder it lies in.")],
    prompt: Annotated[str, typer.Option("--prompt", metavar="TEXT", help="What the model goes on with.")] = "",
    length: Annotated[int, typer.Option("--length", min=1, metavar="N", help="Characters to write.")] = 500,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", min=0.0, metavar="T", help="Below 1 more cautious; 0 takes the most probable every time."
        ),
    ] = 1.0,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31 - 1, metavar="S", help="Fixes what is drawn at random.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Let a model write: it goes on with a prompt, character by character.

    [bold]lamina train book.txt --task generate[/bold]
    [bold]lamina sample runs/book --prompt "Once upon" --length 300 --temperature 0.8[/bold]
    """
    written = open_model(model).sample(prompt, length, temperature=temperature, seed=seed)
    if as_json:
        emit_json({"prompt": prompt, "text": written, "temperature": temperature, "seed": seed})
        return
    print(_printable(prompt + written))  # noqa: T201


def _printable(text: str) -> str:
    """Lines as they are, without other control characters that could confuse a terminal."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)
