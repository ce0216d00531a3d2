"""``lamina import``: a file of weights as a model. ``lamina export``: a model's weights as a file for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lamina.cli import options, outputs
from lamina.cli.models import open_model
from lamina.cli.terminal import Reporter, emit_json
from lamina.errors import BadInputError

__all__ = ["export", "import_weights"]

_FORMATS = ("safetensors",)


def import_weights(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="WEIGHTS",
            help="A file: .safetensors, PyTorch's .pth, .pt or .th, .npz; or 'pretrained', where they are installed.",
        ),
    ],
    arch: Annotated[str, typer.Option("--arch", metavar="NAME", help="The network: see lamina zoo.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="The model's file; NAME.lamina in this folder.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="FILE", help="Names of the classes, a line each, in the outputs' order."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="N|HxW", help="Of its pictures in pixels; the paper's.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that --out names.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Make a model of weights that were trained elsewhere. Nothing in their file is executed.

    Names may be torchvision's or timm's; the head may have any number of classes.

    [bold]lamina import resnet18-f37072fd.pth --arch resnet18[/bold]
    [bold]lamina import faces.pth --arch vgg16 --labels people.txt --out faces.lamina[/bold]
    """
    path = Path(f"{arch}.lamina" if out is None else out)
    outputs.new_file(path, force=force)
    pixels = None if size is None else options.parse_size(size)
    from lamina import zoo
    from lamina.importing import import_model

    zoo.architecture(arch)
    model = import_model(weights, arch, labels=None if labels is None else _lines(labels), size=pixels)
    model.save(path)
    reporter = Reporter()
    shape = model.preprocessing.input_spec().shape
    parameters = model.network.count_parameters(shape)
    reporter.field("network", f"{arch}, {parameters:,} parameters, {len(model.target.names):,} classes")
    reporter.field("input", " × ".join(map(str, shape)))
    reporter.field("model", str(path))
    reporter.field("next", f"lamina predict {path} FILE")
    if as_json:
        emit_json({"model": str(path), "network": arch, "parameters": parameters, "classes": list(model.target.names)})


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.lamina file, or the run folder it lies in.")],
    to: Annotated[str, typer.Option("--to", metavar="|".join(_FORMATS), help="The format.")] = "safetensors",
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="The file; the model's name with the format's ending.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that --out names.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Write a model's weights under PyTorch's names and in its layouts; a network of the zoo loads into torchvision.

    [bold]lamina export runs/photos --to safetensors[/bold]
    """
    options.one_of("--to", to, _FORMATS)
    trained = open_model(model)
    source = Path(model) / "model.lamina" if Path(model).is_dir() else Path(model)
    path = source.with_suffix(f".{to}") if out is None else Path(out)
    outputs.new_file(path, force=force)
    from lamina.zoo import weights
    from lamina.zoo.registry import unnamed_in

    spec = trained.preprocessing.input_spec()
    weights.save(path, trained.network, spec.shape, trained.params, trained.state, unnamed_in(trained.network))
    Reporter().field("weights", f"{path}  (load it with safetensors.torch.load_file)")
    if as_json:
        emit_json({"weights": str(path)})


def _lines(path: str) -> list[str]:
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise BadInputError(f"The names in {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
