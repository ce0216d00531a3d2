"""The result at the top of the page, and how the training came to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.data.base import Split
from lamina.metrics import Interval, main_metric
from lamina.report import plots
from lamina.report.markup import Markup, join, table, tag
from lamina.report.svg import inline
from lamina.report.wording import count, duration, interval, is_share, metric_label, metric_value, percent, shorten
from lamina.run import Run

__all__ = ["curves", "headline", "metrics"]


def headline(run: Run) -> Markup:
    """The metric that counts, with its interval, and the few facts beside it."""
    name = main_metric(run.model.target.task)
    shown = run.test or run.validation
    part = "test" if run.test else "validation"
    cards = []
    if shown.get(name) is not None and shown[name][0] is not None:
        split = run.data.test if run.test and run.data.test is not None else run.data.validation
        cards.append(
            tag(
                "div",
                tag("p", f"{metric_label(name)}, {part} split", class_="label"),
                tag("p", metric_value(name, shown[name][0]), class_="value"),
                _scale(name, shown[name]),
                tag("p", f"95 % interval {interval(name, shown[name])}, {_examples(split)}", class_="aside"),
                _baseline(run, split),
                class_="card main",
            )
        )
    else:
        why = "The run was interrupted before it was measured." if run.status == "interrupted" else "Not defined here."
        cards.append(
            tag("div", tag("p", metric_label(name), class_="label"), tag("p", "–", class_="value"), tag("p", why),
                class_="card main")
        )  # fmt: skip
    if run.test and run.validation.get(name) is not None:
        value = run.validation[name]
        when = ", of the first training" if run.refitted else ""
        aside = f"95 % interval {interval(name, value)}{when}"
        cards.append(_card("Validation", metric_value(name, value[0]), aside))
    planned = run.config.get("epochs")
    best = f"the best was number {run.best_epoch}" if run.best_epoch else "none was finished"
    of = f" of {planned}" if planned and planned != len(run.history) else ""
    if "head" in run.config:
        cards.append(_card("Head", run.config["head"], f"{run.config['chosen']}, by the validation split"))
    else:
        cards.append(_card("Epochs", f"{len(run.history)}{of}", best))
    cards.append(_card("Time", duration(run.seconds), run.status))
    cards.append(_card("Training examples", count(run.refitted or len(run.data.train)), _kinds(run)))
    return tag("div", *cards, class_="cards")


def _card(label: str, value: str, aside: str) -> Markup:
    return tag(
        "div",
        tag("p", label, class_="label"),
        tag("p", value, class_="value"),
        tag("p", aside, class_="aside"),
        class_="card",
    )


def _scale(name: str, value: Interval | tuple[float | None, float | None, float | None]) -> Markup | None:
    """The interval on a line from 0 to 1, for metrics that live there."""
    middle, low, high = value
    if not is_share(name) or middle is None or low is None or high is None or not 0 <= low <= high <= 1:
        return None
    style = f"--low:{100 * low:.2f}%;--high:{100 * high:.2f}%;--at:{100 * middle:.2f}%"
    return tag("div", tag("i"), tag("b"), class_="scale", style=style, aria_hidden="true")


def _examples(split: Split) -> str:
    return f"{count(len(split))} {'example' if len(split) == 1 else 'examples'}"


def _baseline(run: Run, split: Split) -> Markup | None:
    """What an answer without looking would score, so that the result can be judged."""
    target = run.model.target
    if target.task == "forecast" and split is run.data.test:
        best = min(run.data.card.facts["baselines"], key=lambda row: row["test"])
        said = f"The best baseline, {best['baseline']}, scores {metric_value('mae', best['test'])}."
        return tag("p", said, class_="aside")
    if target.answer != "class":
        return None
    usual = int(np.bincount(run.data.train.targets).argmax())
    share = float(np.mean(split.targets == usual))
    return tag("p", f"To say “{shorten(target.names[usual])}” every time would score {percent(share)}.", class_="aside")


def _kinds(run: Run) -> str:
    target = run.model.target
    size = len(target.names)
    if target.answer == "input":
        return f"{count(size)} classes, unused" if size else "without classes"
    noun = {"class": "classes", "labels": "labels", "values": "values", "next": "characters known"}[target.answer]
    return f"{count(size)} {noun}" if size != 1 else f"value: {target.names[0]}"


def metrics(run: Run) -> Markup:
    """All metrics of both splits with their intervals."""
    parts = [(name, measured) for name, measured in (("Test", run.test), ("Validation", run.validation)) if measured]
    if not parts:
        return tag(
            "p",
            "The run was interrupted before it was measured; ",
            tag("code", "lamina evaluate"),
            " measures its model.",
        )
    head = ["Metric", *(name for name, _ in parts)]
    rows = []
    for metric in parts[0][1]:
        row: list[object] = [metric_label(metric)]
        for _, measured in parts:
            value = measured.get(metric, (None, None, None))
            row.append(join((metric_value(metric, value[0]), tag("small", interval(metric, value)))))
        rows.append(row)
    note = (
        "The test split was scored once, after all choices. " if run.test else "There is no test score. "
    ) + "In small: 95 % bootstrap intervals over the examples."
    return join((tag("p", note), table(head, rows, caption="All metrics", numbers=range(1, len(head)))))


def curves(run: Run) -> Markup:
    """Loss, metric and learning rate by epoch."""
    if not run.history:
        return tag("p", "No epoch was finished.")
    name = main_metric(run.model.target.task)
    won, rows = _winner(run)
    last = rows[-1]
    said = f"After {len(rows)} {'epoch' if len(rows) == 1 else 'epochs'}: training loss {_short(last.get('loss'))}, "
    said += f"validation loss {_short(last.get('val_loss'))}. "
    which = f"epoch {run.best_epoch}" + ("" if won is None else f" of learning rate {won:g}, whose curves these are")
    if run.refitted:
        said += (
            f"The best was {which}. The model was then trained again from the beginning for as many epochs, on "
            f"{count(run.refitted)} examples: training and validation split together. The validation scores are those "
            "of the first training, which had not seen the validation split."
        )
    else:
        said += f"The model has the weights of {which}."
    figures = [
        inline(plots.loss_curve(rows), "loss", f"Training and validation loss by epoch. {said}"),
        inline(plots.metric_curve(rows, name), "metric", f"{metric_label(name)} by epoch."),
    ]
    if won is None:
        figures.append(inline(plots.rate_curve(rows), "rate", "Learning rate by epoch."))
    parts = [tag("p", said), tag("div", *(tag("figure", figure) for figure in figures), class_="figures")]
    if won is not None:
        described = "Training and validation loss by epoch of each learning rate."
        parts.append(tag("h3", "Learning rates side by side"))
        parts.append(tag("figure", inline(plots.rates(run.history), "rates", described), class_="wide", tabindex="0"))
    return join(parts)


def _winner(run: Run) -> tuple[float | None, list[dict[str, Any]]]:
    """Of several learning rates the one whose weights the model has, and its history; else None and the history.

    The rows themselves follow whichever rate was the best until then.
    """
    best = next((row for row in run.history if row["epoch"] == run.best_epoch), {})
    tried = best.get("rates")
    if not tried:
        return None, list(run.history)
    place = min(range(len(tried)), key=lambda i: (tried[i]["val_loss"] != best["val_loss"], i))
    kept = [
        {"epoch": row["epoch"], "best": row["epoch"] == run.best_epoch, **row["rates"][place]} for row in run.history
    ]
    return float(tried[place]["learning_rate"]), kept


def _short(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
