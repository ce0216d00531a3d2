"""What made the run: network, data card, configuration, versions, time, command."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from lamina.data.base import DataCard
from lamina.report.markup import Markup, fold, join, table, tag
from lamina.report.pictures import first_filters, picture
from lamina.report.wording import count, duration, shorten, unbroken
from lamina.run import Run

__all__ = ["configuration", "data_card", "filters", "network", "origin"]

_CLASSES = 50
_LISTED = 20
_MANY = 1000
_LONG = 26  # characters of a fact that get two columns
_JOINED = {"shape": " × ", "input": " × ", "range": " to "}  # facts that are lists of numbers


def network(run: Run) -> Markup:
    """The network layer by layer."""
    from lamina.summarize import summary

    found = summary(run.model.network, run.model.preprocessing.input_spec())
    rows = [
        (
            tag("span", tag("code", row.path), row.layer),
            row.output,
            count(row.parameters) if row.parameters else "",
            count(row.multiply_adds) if row.multiply_adds else "",
            row.receptive_field,
        )
        for row in found.rows
    ]
    rows.append((tag("b", "Total"), "", count(found.parameters), count(found.multiply_adds), ""))
    said = (
        f"{count(found.parameters)} trained parameters; one example of input {found.input} takes "
        f"{count(found.multiply_adds)} multiply-adds, {100 * found.matmul_share:.0f} % of the arithmetic being matrix "
        "multiplication. The field is how much of the input one output number sees."
    )
    head = ("Layer", "Output", "Parameters", "Multiply-adds", "Field")
    return join((tag("p", said), table(head, rows, caption="The network's layers", numbers=(2, 3, 4), class_="layers")))


def filters(run: Run) -> Markup | None:
    """The first layer's filters, None where it does not look at pictures."""
    found = first_filters(run.model)
    if found is None:
        return None
    path, pixels = found
    cells = [picture(one, "") for one in pixels]
    described = f"{len(cells)} filters of layer {path}"
    note = f"The weights of layer {path}: middle grey is a weight of zero, each filter stretched to its largest weight."
    return join((tag("p", note), tag("div", *cells, class_="filters", role="img", aria_label=described)))


def data_card(card: DataCard) -> Markup:
    """What should be known of the data before the result is trusted."""
    notes = [tag("p", unbroken(sentence), class_="note") for sentence in card.warnings]
    names = list(card.splits)
    parts: list[Markup] = []
    sizes = [("All examples", *(count(card.splits[name].get("examples", 0)) for name in names))]
    classes = {name: card.splits[name].get("classes", {}) for name in names}
    labels = list(dict.fromkeys(label for counted in classes.values() for label in counted))
    rows = [(shorten(label), *(count(counted.get(label, 0)) for counted in classes.values())) for label in labels]
    head = ("Class" if labels else "", *(name.capitalize() for name in names))
    numbers = range(1, len(names) + 1)
    if len(labels) > _CLASSES:
        parts.append(table(head, [*sizes, *_spread(classes)], caption="Examples by split", numbers=numbers))
        shown = rows[:_MANY]
        title = f"All {len(rows)} classes" if len(shown) == len(rows) else f"The first {_MANY} of {len(rows)} classes"
        parts.append(fold(title, table(head, shown, caption="By class", numbers=numbers)))
    else:
        parts.append(table(head, [*sizes, *rows], caption="Examples by split and class", numbers=numbers))
    counted = join(parts)
    parts = [tag("p", unbroken(card.split_rule))] if card.split_rule else []
    parts += [tag("p", unbroken(note)) for note in card.facts.get("notes", ())]
    plain = {key: value for key, value in card.facts.items() if not _is_table(value) and key != "notes"}
    parts.append(_facts({"source": card.source, "kind": card.kind, **plain}))
    parts += [_table_of(key, value) for key, value in card.facts.items() if _is_table(value)]
    parts.append(_duplicates(card))
    if card.skipped:
        shown = [(shorten(name, 48), reason) for name, reason in card.skipped[:_LISTED]]
        parts.append(
            fold(
                f"{_plural(len(card.skipped), 'file')} could not be read"
                + (f", the first {_LISTED} of them" if len(card.skipped) > _LISTED else ""),
                table(("File", "Reason"), shown, caption="Unreadable files"),
            )
        )
    else:
        parts.append(tag("p", "Everything could be read."))
    return join((*notes, tag("div", tag("div", counted), tag("div", *parts), class_="two")))


def _is_table(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, dict) for item in value)


def _table_of(key: str, rows: list[dict[str, Any]]) -> Markup:
    """A fact that is a list of records with the same fields."""
    head = list(rows[0])
    numbers = [i for i, name in enumerate(head) if isinstance(rows[0][name], int | float)]
    title = f"{len(rows)} {key}"
    cells = [tuple(_fact(row.get(name)) for name in head) for row in rows]
    return fold(title, table([name.capitalize() for name in head], cells, caption=title, numbers=numbers))


def _spread(classes: dict[str, dict[str, int]]) -> list[tuple[str, ...]]:
    rows = []
    for title, pick in (("Smallest class", np.min), ("Median class", np.median), ("Largest class", np.max)):
        values = [list(counted.values()) for counted in classes.values()]
        rows.append((title, *(count(int(pick(numbers))) if numbers else "–" for numbers in values)))
    return rows


def _duplicates(card: DataCard) -> Markup:
    within, across = card.duplicates.get("within", 0), card.duplicates.get("across", 0)
    if not within and not across:
        return tag("p", "No exact duplicates." if card.duplicates else "Exact duplicates were not looked for.")
    said = f"Exact duplicates: {count(within)} within a split, {count(across)} across splits."
    pairs = [
        (shorten(str(first), 40), shorten(str(second), 40)) for first, second in card.duplicates.get("examples", ())
    ]
    if not pairs:
        return tag("p", said)
    return fold(said, table(("Example", "Its duplicate"), pairs[:_LISTED], caption="Duplicates"))


def configuration(run: Run) -> Markup:
    """Every option, and why those were chosen that nobody named."""
    config = run.config
    parts: list[Markup] = []
    reasons = config.get("why") or []
    if reasons:
        parts.append(tag("p", "Chosen for this data:"))
        parts.append(tag("ul", *(tag("li", reason) for reason in reasons)))
    left_out = ("network", "preprocessing", "classes", "why", "versions", "command", "data", "device")
    parts.append(_facts({key: value for key, value in config.items() if key not in left_out}))
    whole = tag("pre", tag("code", json.dumps(config, indent=1, ensure_ascii=False, default=str)), tabindex="0")
    parts.append(fold("The whole configuration as JSON (config.json)", whole))
    return join(parts)


def origin(run: Run) -> Markup:
    """Command, time, machine and versions."""
    command = run.config.get("command")
    made = (
        tag("pre", tag("code", command), tabindex="0")
        if command
        else tag("p", "Started from Python with ", tag("code", "lamina.fit"), ".")
    )
    rows = run.history
    facts: dict[str, Any] = {"time in all": duration(run.seconds), "status": run.status, "epochs": len(rows)}
    if rows and rows[0].get("seconds") is not None:
        facts["first epoch done after"] = duration(rows[0]["seconds"])
        spans = np.diff([row["seconds"] for row in rows])
        if len(spans):
            facts["an epoch takes"] = duration(float(np.median(spans)))
    speeds = [row["examples_per_second"] for row in rows if row.get("examples_per_second")]
    if speeds:
        facts["examples per second"] = count(round(float(np.median(speeds))))
    if run.config.get("device"):
        facts["device"] = run.config["device"]
    if run.folder is not None:
        facts["run folder"] = str(run.folder)
    return join((made, _facts(facts), _facts(run.config.get("versions", {}))))


def _facts(facts: dict[str, Any]) -> Markup:
    pairs = []
    for key, value in facts.items():
        shown = _JOINED[key].join(f"{part:g}" for part in value) if key in _JOINED else _fact(value)
        long = isinstance(shown, str) and len(shown) > _LONG
        label = tag("dt", key.replace("_", " ").capitalize())
        pairs.append(tag("div", label, tag("dd", shown), class_="long" if long else None))
    return tag("dl", *pairs, class_="facts")


def _fact(value: Any) -> object:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and "type" in value:
        given = {key: item for key, item in value.items() if key != "type" and item is not None}
        options = ", ".join(f"{key}={item if isinstance(item, bool) else _fact(item)}" for key, item in given.items())
        return f"{value['type']}({options})"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_fact(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        shown = ", ".join(str(_fact(item)) for item in value[:_LISTED])
        return (shown + (f" and {len(value) - _LISTED} more" if len(value) > _LISTED else "")) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plural(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
