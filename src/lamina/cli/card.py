"""What `lamina train` says: what was found, what was chosen and why, how good the result is."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING, Any

from lamina.cli.evaluate import interval
from lamina.cli.terminal import Reporter, aligned, clean, metric_number, styled

if TYPE_CHECKING:
    from lamina.data import Data
    from lamina.layers import Layer
    from lamina.optim import Optimizer
    from lamina.run import Run
    from lamina.train.recipe import Recipe

__all__ = ["describe_data", "describe_network", "describe_results"]

_SHOWN = 12
_KINDS = {
    "image": "pictures",
    "table": "a table",
    "array": "arrays",
    "series": "series",
    "sound": "sounds",
    "text": "texts",
    "characters": "one text",
    "video": "videos",
}


def describe_data(reporter: Reporter, data: Data) -> None:
    """What was found in the data, with all warnings."""
    card, target = data.card, data.target
    asked = {"classify": "classes", "multilabel": "labels"}.get(target.task)
    shown = ", ".join(map(clean, target.names[:_SHOWN])) + (", …" if len(target.names) > _SHOWN else "")
    if target.answer == "next":
        asked = "characters to tell what comes next"
    what = f"{len(target.names)} {asked}" if asked else f"the value{'s' if len(target.names) > 1 else ''} {shown}"
    if target.answer == "input":
        what = f"to be given back; {len(target.names) or 'no'} classes, from which nothing is learned"
    if target.task == "forecast":
        what = f"the next {len(target.names)} values of {clean(data.card.facts['target'])}"
    reporter.field("data", f"{clean(card.source)}: {_KINDS.get(card.kind, card.kind)}, {what}")
    rows = []
    for part, described in card.splits.items():
        counts = described.get("classes", {})
        shown = ", ".join(f"{name}: {number:,}" for name, number in list(counts.items())[:_SHOWN])
        if "first" in described:
            shown = f"{described['first']} to {described['last']}"
        rows.append([part, f"{described['examples']:,}", shown + (", …" if len(counts) > _SHOWN else "")])
    reporter.field("", "\n".join(aligned(rows, right=(1,))))
    shape = getattr(data.preprocessing.input_spec(), "shape", None)
    if card.kind in ("text", "characters"):
        reporter.field("input", f"{card.facts['read']}; {card.facts['unknown']} unknown")
        if "why" in card.facts:
            reporter.field("", card.facts["why"])
    elif shape is not None:
        reporter.field("input", f"{' × '.join(map(str, shape))} numbers an example")
    if card.facts.get("notes"):
        reporter.field("note", "\n".join(map(clean, card.facts["notes"])))
    reporter.field("split", clean(card.split_rule))
    repeated = card.duplicates.get("within", 0)
    if repeated:
        reporter.field("copies", f"{repeated:,} exact duplicates")
    for warning in card.warnings:
        reporter.warn(warning)


def describe_network(
    reporter: Reporter, data: Data, arch: str, chosen: Layer | Recipe, settings: dict[str, Any]
) -> None:
    """The network, and why it was chosen where it was."""
    import jax

    from lamina.train.recipes import recipe_for

    recipe = recipe_for(chosen, data)
    network = recipe.network
    params, _ = jax.eval_shape(
        lambda key: network.init(key, data.preprocessing.input_spec()), jax.eval_shape(lambda: jax.random.key(0))
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    reporter.field("network", f"{clean(arch)}, {count:,} parameters")
    if recipe.reasons:
        reporter.field("why", "\n".join(recipe.reasons))
    batch = settings["batch_size"]
    parts = [
        f"{settings['epochs']} epoch{'s' if settings['epochs'] > 1 else ''}",
        "full batch" if batch == "full" else f"batches of {batch}",
        _short(settings["optimizer"]),
    ]
    if settings["learning_rates"]:
        parts.append("learning rates " + ", ".join(f"{rate:g}" for rate in settings["learning_rates"]))
    if settings["loss"]:
        parts.append(settings["loss"])
    if settings["patience"]:
        parts.append(f"patience {settings['patience']}")
    reporter.field("training", ", ".join(parts))
    reporter.say()


def _short(optimizer: Optimizer) -> str:
    """An optimiser without its groups, of which there may be many."""
    text = repr(dataclasses.replace(optimizer, groups=()))
    return f"{text}, {len(optimizer.groups)} groups of rates" if optimizer.groups else text


def describe_results(reporter: Reporter, run: Run) -> None:
    """How good it is, where it lies, what to type next."""
    assert run.folder is not None
    reporter.say()
    if run.status == "interrupted":
        which = f"of epoch {run.best_epoch}" if run.best_epoch else "as far as it had come"
        reporter.warn(f"The training was interrupted: the model has the weights {which}, and was not measured.")
    elif run.status != "finished":
        reporter.say(f"The training ended after {len(run.history)} epochs: {run.status}.")
    if run.history and run.history[-1].get("rates"):
        _describe_rates(reporter, run)
    if run.validation or run.test:
        _describe_metrics(reporter, run)
    if run.test and run.model.target.task == "forecast":
        _describe_baselines(reporter, run)
    which = f"epoch {run.best_epoch}, " if run.history else ""
    reporter.field("model", f"{run.folder / 'model.lamina'}  ({which}{run.seconds:.1f} s in all)")
    if (run.folder / "report.html").exists():
        reporter.field("report", str(run.folder / "report.html"))
    if run.model.target.answer == "next":
        reporter.field("next", f"lamina sample {shlex.quote(str(run.folder))} --prompt TEXT")
        return
    reporter.field("next", f"lamina predict {shlex.quote(str(run.folder / 'model.lamina'))} FILE")


def _describe_metrics(reporter: Reporter, run: Run) -> None:
    parts = {part: metrics for part, metrics in (("validation", run.validation), ("test", run.test)) if metrics}
    head = [""] + [cell for part in parts for cell in (part, "95 % interval")]
    rows = [head]
    for name in next(iter(parts.values())):
        row = [name]
        for metrics in parts.values():
            value, low, high = metrics[name]
            row += [metric_number(value), interval(low, high)]
        rows.append(row)
    first, *rest = aligned(rows, right=range(1, len(head), 2))
    reporter.say(styled(first))
    for line in [*rest, ""]:
        reporter.say(line)


def _describe_baselines(reporter: Reporter, run: Run) -> None:
    """The mean absolute errors of the network and of what it has to be better than."""
    rows = [["mean absolute error", "validation", "test"]]
    rows.append(["this network", *(metric_number(part["mae"][0]) for part in (run.validation, run.test))])
    rows += [
        [row["baseline"], metric_number(row["validation"]), metric_number(row["test"])]
        for row in run.data.card.facts["baselines"]
    ]
    first, *rest = aligned(rows, right=(1, 2))
    reporter.say(styled(first))
    for line in [*rest, ""]:
        reporter.say(line)


def _describe_rates(reporter: Reporter, run: Run) -> None:
    """The learning rates that were trained side by side, each with its best epoch."""
    key = next(name for name in run.history[-1] if name.startswith("val_") and name != "val_loss")
    rows = [["learning rate", f"best {key}", "epoch", "last loss"]]
    for place, entry in enumerate(run.history[-1]["rates"]):
        scored = [(row["rates"][place][key], row["epoch"]) for row in run.history]
        score, epoch = max(((score, -epoch) for score, epoch in scored if score is not None), default=(None, 0))
        rows.append([f"{entry['learning_rate']:g}", metric_number(score), str(-epoch), metric_number(entry["loss"])])
    first, *rest = aligned(rows, right=(0, 1, 2, 3))
    reporter.say(styled(first))
    for line in [*rest, ""]:
        reporter.say(line)
