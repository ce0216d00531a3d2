"""What `lamina train` says at its end: how good the model is, where it lies, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from lamina.cli.evaluate import interval
from lamina.cli.terminal import Reporter, aligned, emit_json, metric_number, styled
from lamina.run import Run

__all__ = ["describe_results"]


def describe_results(reporter: Reporter, run: Run, *, as_json: bool) -> None:
    """How good it is, where it lies, what to type next; also as one JSON object."""
    _tell(reporter, run)
    if as_json:
        emit_json(_as_json(run, reporter.warnings))


def _tell(reporter: Reporter, run: Run) -> None:
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
    if run.refitted:
        reporter.field(
            "refit",
            f"trained again on {run.refitted:,} examples, the validation part among them; "
            "the validation scores are those of the first training",
        )
    elif run.config.get("refit") and run.status != "interrupted":
        reporter.warn("The second training was not finished: the model is that of the first.")
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
    _say_table(reporter, rows, range(1, len(head), 2))


def _describe_baselines(reporter: Reporter, run: Run) -> None:
    """The mean absolute errors of the network and of what it has to be better than."""
    rows = [["mean absolute error", "validation", "test"]]
    rows.append(["this network", *(metric_number(part["mae"][0]) for part in (run.validation, run.test))])
    rows += [
        [row["baseline"], metric_number(row["validation"]), metric_number(row["test"])]
        for row in run.data.card.facts["baselines"]
    ]
    _say_table(reporter, rows, (1, 2))


def _describe_rates(reporter: Reporter, run: Run) -> None:
    """The learning rates that were trained side by side, each with its best epoch."""
    key = next(name for name in run.history[-1] if name.startswith("val_") and name != "val_loss")
    rows = [["learning rate", f"best {key}", "epoch", "last loss"]]
    for place, entry in enumerate(run.history[-1]["rates"]):
        scored = [(row["rates"][place][key], row["epoch"]) for row in run.history]
        score, epoch = max(((score, -epoch) for score, epoch in scored if score is not None), default=(None, 0))
        rows.append([f"{entry['learning_rate']:g}", metric_number(score), str(-epoch), metric_number(entry["loss"])])
    _say_table(reporter, rows, (0, 1, 2, 3))


def _say_table(reporter: Reporter, rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    """A table under its styled first row, and an empty line."""
    first, *rest = aligned(rows, right=right)
    for line in (styled(first), *rest, ""):
        reporter.say(line)


def _as_json(run: Run, warnings: list[str]) -> dict[str, Any]:
    assert run.folder is not None
    report, target = run.folder / "report.html", run.model.target
    measured = {"validation": run.validation, "test": run.test}
    return {
        "run": str(run.folder),
        "model": str(run.folder / "model.lamina"),
        "report": str(report) if report.exists() else None,
        "task": target.task,
        "classes": list(target.names) if target.answer in ("class", "labels", "input") else [],
        "status": run.status,
        "epochs": len(run.history),
        "best_epoch": run.best_epoch,
        "refitted": run.refitted,
        "seconds": round(run.seconds, 3),
        **{part: {name: found.value for name, found in metrics.items()} for part, metrics in measured.items()},
        "intervals": {
            part: {name: [found.low, found.high] for name, found in metrics.items()}
            for part, metrics in measured.items()
        },
        "examples": {part: described["examples"] for part, described in run.data.card.splits.items()},
        **({"baselines": run.data.card.facts["baselines"]} if target.task == "forecast" else {}),
        "skipped": len(run.data.card.skipped),
        "warnings": warnings,
    }
