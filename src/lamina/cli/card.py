"""What `lamina train` says before it trains: what was found, what was chosen and why."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from lamina.cli.terminal import Reporter, aligned, clean

if TYPE_CHECKING:
    from lamina.data import Data
    from lamina.layers import Layer
    from lamina.optim import Optimizer
    from lamina.train.recipe import Recipe

__all__ = ["describe_data", "describe_network"]

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
    if settings["precision"] == "bf16":
        parts.append("in bfloat16")
    if settings["patience"]:
        parts.append(f"patience {settings['patience']}")
    reporter.field("training", ", ".join(parts))
    reporter.say()


def _short(optimizer: Optimizer) -> str:
    """An optimiser without its groups, of which there may be many."""
    text = repr(dataclasses.replace(optimizer, groups=()))
    return f"{text}, {len(optimizer.groups)} groups of rates" if optimizer.groups else text
