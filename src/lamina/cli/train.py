"""``lamina train``: from data to a trained, measured model in a run folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamina.cli import options
from lamina.cli.card import describe_data, describe_network
from lamina.cli.folders import check_folder, run_folder
from lamina.cli.terminal import Reporter, clean
from lamina.errors import ConfigError

if TYPE_CHECKING:
    from lamina.layers import Layer
    from lamina.train.recipe import Recipe

__all__ = ["train"]

_DATA, _NETWORK, _TRAINING, _RUN = "Data", "Network", "Training", "Run"
_TASKS = ("auto", "classify", "multilabel", "regress", "forecast", "autoencode", "generate")
_TOKENS = ("auto", "words", "characters")
_SCALES = ("auto", "minmax", "standard", "none")
_HEADS = ("knn", "svm", "logistic", "linear")


def train(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with a sub-folder of pictures, sounds, videos or .txt for each class; a .csv or .parquet "
            "table, or a .csv of picture paths; a .ts file of series; one .txt to learn to go on with; an .npz file; a "
            "built-in set: digits, mnist, fashion-mnist.",
        ),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="COLUMN",
            help="The column to learn; repeat it for several labels.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test", metavar="DATA", help="Measure on this instead of on a part of DATA.", rich_help_panel=_DATA
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="PATTERN",
            help="Files in whose names this regular expression finds the same stay on one side of the split: "
            "'_(\\[a-z]+)_' for the speaker of 3_theo_12.wav.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            "--task", metavar="|".join(_TASKS), help="What to learn; told from the data.", rich_help_panel=_DATA
        ),
    ] = "auto",
    scale: Annotated[
        str, typer.Option("--scale", metavar="|".join(_SCALES), help="How numbers are scaled.", rich_help_panel=_DATA)
    ] = "auto",
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="N|HxW", help="The network's input in pixels.", rich_help_panel=_DATA),
    ] = None,
    time_column: Annotated[
        str | None,
        typer.Option(
            "--time-column", metavar="COLUMN", help="Of a forecast: the column that says when.", rich_help_panel=_DATA
        ),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option("--horizon", min=1, metavar="N", help="Of a forecast: steps ahead; 12.", rich_help_panel=_DATA),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option("--window", min=1, metavar="N", help="Of a forecast: steps it looks back.", rich_help_panel=_DATA),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="COLUMN", help="The column of texts to learn from.", rich_help_panel=_DATA),
    ] = None,
    tokens: Annotated[
        str,
        typer.Option(
            "--tokens",
            metavar="|".join(_TOKENS),
            help="What texts are read by; told from the texts.",
            rich_help_panel=_DATA,
        ),
    ] = "auto",
    arch: Annotated[
        str,
        typer.Option(
            "--arch",
            metavar="NAME|FILE.py|FILE.json",
            help="The network: auto, convnet, mlp, linear, one of lamina zoo; a Python file that defines 'network'; "
            "a saved description.",
            rich_help_panel=_NETWORK,
        ),
    ] = "auto",
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL|NAME|FILE.pth|auto",
            help="Begin with trained weights: a model, a file of weights (its network is --arch), a network whose "
            "weights are installed.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="|".join(_HEADS),
            help="Keep the trained network as it is, and put a simple classifier on its descriptors.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="PATH", help="For --head: the layer that describes.", rich_help_panel=_NETWORK),
    ] = None,
    code: Annotated[
        int | None,
        typer.Option(
            "--code", min=1, metavar="N", help="For --task autoencode: units of the code.", rich_help_panel=_NETWORK
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", min=1, metavar="N", help="Times through the training data.", rich_help_panel=_TRAINING
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="10m", help="Be done in this time: 90s, 10m, 1h30m.", rich_help_panel=_TRAINING),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option("--batch-size", metavar="N|full", help="Examples a step.", rich_help_panel=_TRAINING),
    ] = None,
    lr: Annotated[
        str | None,
        typer.Option(
            "--lr",
            metavar="A[,B,…]|find",
            help="The learning rate; the best of several, trained side by side; or look for one.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            metavar="NAME",
            help="sgd, momentum, nesterov, rmsprop, adagrad, adam, adamw, lion, muon.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="NAME",
            help="The learning rate's course: constant, step, exponential, cosine, warm_up, one_cycle.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss",
            metavar="NAME",
            help="What is made small: softmax_cross_entropy, squared_error, huber, …",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            min=1,
            metavar="N",
            help="Stop after N epochs without a better validation score.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit",
            help="Then train again on training and validation part together, for as many epochs as were best.",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="f32|bf16", help="Of the computation.", rich_help_panel=_TRAINING),
    ] = None,
    remat: Annotated[
        bool,
        typer.Option(
            "--remat",
            help="Less memory, more time: compute activations again instead of keeping them.",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="cpu|gpu|tpu", help="Where to compute; the best there is.", rich_help_panel=_TRAINING
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=2**31 - 1,
            metavar="S",
            help="Fixes all that is drawn at random.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="The run folder; a new one in runs/.", rich_help_panel=_RUN),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.", rich_help_panel=_RUN)] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with a run that was cut off (same data and options).", rich_help_panel=_RUN
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for scripts.", rich_help_panel=_RUN)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say only warnings and errors.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    r"""Learn from data: trains a network, measures it, writes model and report into a run folder.

    Without options it chooses network and recipe for the data, and says why.
    Ctrl-C ends the training cleanly, with a usable model.

    [bold]lamina train photos/[/bold]
    [bold]lamina train table.csv --target price --time 5m[/bold]
    [bold]lamina train sounds/ --group '_(\[a-z]+)_'[/bold]
    [bold]lamina train photos/ --from auto[/bold]
    [bold]lamina train photos/ --task autoencode --code 30[/bold]
    [bold]lamina train sales.csv --task forecast --target sold --horizon 12[/bold]
    [bold]lamina train reviews.csv --text text --target label[/bold]
    [bold]lamina train book.txt --task generate[/bold]
    [bold]lamina train digits --arch my_network.py --lr 0.01,0.003,0.001[/bold]
    """
    reporter = Reporter(quiet)
    options.one_of("--task", task, _TASKS)
    options.one_of("--scale", scale, _SCALES)
    options.one_of("--tokens", tokens, _TOKENS)
    if precision is not None:
        options.one_of("--precision", precision, ("f32", "bf16"))
    seconds = None if time is None else options.parse_time(time)
    pixels = None if size is None else options.parse_size(size)
    batch = None if batch_size is None else options.parse_batch_size(batch_size)
    rates = () if lr in (None, "find") else options.parse_rates(lr)
    if force and resume:
        raise ConfigError("--force replaces a run and --resume goes on with it.", "Give one of them.")
    steps = {"--epochs": epochs, "--time": time, "--batch-size": batch_size, "--lr": lr, "--optimizer": optimizer}
    steps |= {"--schedule": schedule, "--loss": loss, "--patience": patience, "--resume": resume or None}
    steps |= {"--remat": remat or None, "--refit": refit or None}
    _check_transfer(start, head, layer, {"--scale": None if scale == "auto" else scale}, steps)
    _check_autoencoder(task, code, start, head)
    if head is not None:
        start = start or "auto"
    if device is not None:
        options.use_device(device)

    from lamina import losses, optim
    from lamina.cli.network import choose_autoencoder, open_network
    from lamina.cli.pretrained import few_photographs, open_pretrained
    from lamina.cli.results import describe_results
    from lamina.data import load
    from lamina.data.sources import identify
    from lamina.train import find_learning_rate, fit
    from lamina.train.recipes import choose
    from lamina.transfer import fit_head, tuning_recipe

    if loss is not None:
        losses.resolve(loss)
    chosen = None if optimizer is None else optim.resolve(optimizer)
    if schedule is not None:
        optim.resolve_schedule(schedule)
    own = Path(arch).suffix in (".py", ".json")
    choose_own = choose_autoencoder(arch, code) if task == "autoencode" else choose
    named = arch != "auto" and start is None and (own or task != "autoencode")
    make = open_network(arch) if named else None
    check_folder(out, source, force=force, resume=resume)

    column: Any = None if not target else target[0] if len(target) == 1 else tuple(target)
    if isinstance(column, tuple) and identify(source) != "image list":
        raise ConfigError("Several target columns are for lists of pictures.", "Name one --target.")
    command = shlex.join(["lamina", *context.obj])
    wanted: dict[str, Any] = {"target": column, "task": task, "scale": scale, "seed": seed, "test": test}
    wanted |= {"time_column": time_column, "horizon": horizon, "window": window}
    wanted |= {"text": text, "tokens": tokens, "group": group}
    if start is None:
        data = load(source, size=pixels, **wanted)
        describe_data(reporter, data)
        recipe = choose_own(data)
        few = few_photographs(data) if make is None and task != "autoencode" else ""
        if few:
            reporter.field("advice", few)
        network: Layer | Recipe = recipe if make is None else make(data)
    else:
        model, origin = open_pretrained(start, None if arch == "auto" else arch, pixels)
        arch = f"from {origin}"
        data = load(source, preprocessing=model.preprocessing, **wanted)
        describe_data(reporter, data)
        if head is not None:
            reporter.field("network", f"{clean(origin)}, and a head of its descriptors: {head}")
            kept: dict[str, Any] = {"seed": seed, "force": force, "command": command, "origin": origin}
            with run_folder(out, source, resume=False) as folder:
                run = fit_head(model, data, head, layer=layer, out=folder, **kept)
            reporter.field("head", f"{head}, {run.config['chosen']} by the validation part")
            describe_results(reporter, run, as_json=as_json)
            return
        network = recipe = tuning_recipe(model, data, seed=seed, origin=origin)
    rate = rates[0] if len(rates) == 1 else None
    chosen = optim.resolve(chosen if chosen is not None else recipe.optimizer, learning_rate=rate, schedule=schedule)
    settings: dict[str, Any] = {
        "loss": loss,
        "optimizer": chosen,
        "learning_rates": rates if len(rates) > 1 else (),
        "epochs": epochs if epochs is not None else recipe.epochs,
        "batch_size": batch if batch is not None else recipe.batch_size,
        "patience": patience if patience is not None else recipe.patience,
        "precision": precision if precision is not None else recipe.precision,
        "augmentation": None if task == "autoencode" else "auto",
    }
    found = None
    if lr == "find":
        tried = {name: settings[name] for name in ("loss", "optimizer")}
        examples = len(data.train) if settings["batch_size"] == "full" else settings["batch_size"]
        found = find_learning_rate(network, data, **tried, batch_size=examples, seed=seed)
        rate = float(f"{found.suggestion:.2g}")
        settings["optimizer"] = optim.resolve(chosen, learning_rate=rate)
        reporter.field("lr", f"{rate:g}, found by a short run with a growing learning rate")
    describe_network(reporter, data, arch, network, settings)
    with run_folder(out, source, resume=resume) as folder:
        run = fit(
            network,
            data,
            **settings,
            seed=seed,
            remat=remat,
            time_limit=seconds,
            refit=refit,
            out=folder,
            force=force,
            resume=resume,
            progress=not quiet,
            command=command,
        )
    if found is not None and run.folder is not None:
        found.plot(run.folder / "learning_rate.svg")
    describe_results(reporter, run, as_json=as_json)


def _check_transfer(
    start: str | None, head: str | None, layer: str | None, scaling: Mapping[str, object], steps: Mapping[str, object]
) -> None:
    """Refuse options that say nothing beside --from and --head."""
    if head is not None:
        options.one_of("--head", head, _HEADS)
        options.none_of("--head, which trains nothing in steps", steps)
    elif layer is not None:
        raise ConfigError("--layer names the layer that describes pictures for --head.", "Give --head too.")
    if start is not None or head is not None:
        options.none_of("--from and --head, which keep the network's own scaling", scaling)


def _check_autoencoder(task: str, code: int | None, start: str | None, head: str | None) -> None:
    """Refuse options that do not go with an auto-encoder, and those that only go with one."""
    if task != "autoencode":
        if code is not None:
            raise ConfigError("--code is the size of an auto-encoder's code.", "Give --task autoencode too.")
    elif start is not None or head is not None:
        raise ConfigError(
            "--task autoencode trains a network from the beginning, without --from and --head.",
            "An auto-encoder's body goes on to learn classes: lamina train DATA --from autoencoder.lamina.",
        )
