"""Texts as data: a column of a table, a folder of `.txt` files a class, lists in Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.data.base import ArraySplit, ClassTarget, Data, DataCard, Target
from lamina.data.splits import digest, divide, fill_card, find_duplicates
from lamina.data.targets import check_task, encode_labels, fit_target, guess_task, normal_labels
from lamina.data.text_preprocessing import TextPreprocessing
from lamina.data.text_read import Texts, folder_texts, table_texts, without_empty
from lamina.data.text_vocabulary import TOKENS, Unit, choose_unit, fit_vocabulary, normal
from lamina.errors import ConfigError, DataError, nearest

__all__ = ["TextPreprocessing", "load_text_split", "load_texts"]

_QUANTILE = 0.99  # of the training texts' lengths; longer ones are cut there
_LONGEST = {"words": 1_000, "characters": 2_000}
_EXAMPLES = 12  # on the card
_SHOWN = 160  # characters of each


def load_texts(
    source: Any,
    *,
    text: str | None = None,
    target: str | None = None,
    task: str = "auto",
    tokens: str = "auto",
    seed: int = 0,
    test: Any = None,
    why: str = "",
    preprocessing: TextPreprocessing | None = None,
) -> Data:
    """Data from texts.

    Texts that differ in case and white space alone stay on one side of the split.

    Args:
        source: a table (a path, a frame) with a column of texts; a folder with a sub-folder of `.txt` files for each
            class; ``(texts, y)``; or {"train": (texts, y), …}.
        text: the column of texts, where it is a table.
        target: the column to predict, where it is a table.
        task: "auto", "classify" or "regress".
        tokens: "words" or "characters", or "auto" to tell from the training texts.
        seed: of the split.
        test: another source of the same kind, to keep as the test part.
        why: a sentence for the card on how the texts were found.
        preprocessing: a trained model's, in place of one fitted here.

    Raises:
        DataError: for texts that cannot be read or learned from.
        ConfigError: for an unknown option value.
    """
    check_task(task)
    if task not in ("auto", "classify", "regress"):
        raise ConfigError(f"The task {task!r} is not for labelled texts.", "Use 'classify' or 'regress'.")
    if tokens not in TOKENS:
        raise ConfigError(f"Unknown tokens {tokens!r}.", nearest(tokens, TOKENS))
    name = _name(source)
    parts, column, task, hold_out = _read(source, text, target, task)
    if test is not None:
        held_out, _, _, _ = _read(test, text, column or target, task)
        parts["test"] = held_out.get("test", held_out["train"])
    labels = {part: texts.labels for part, texts in parts.items()}
    found = fit_target(labels["train"], task, f"The target of {name}", [column] if task == "regress" and column else ())
    groups = text_groups({part: texts.texts for part, texts in parts.items()})
    classify = task == "classify"
    chosen, rule = divide(labels, groups["train"], seed, stratify=classify, repeats=False, hold_out=hold_out)
    rule = rule.replace("exact duplicates", "duplicates (whatever their case and white space)")
    origin, training = chosen["train"]
    fitting = [parts[origin].texts[index] for index in training]
    reason = "The vocabulary is the model's own."
    if preprocessing is None:
        preprocessing, reason = fit_texts(fitting, tokens)
        preprocessing = TextPreprocessing(preprocessing.vocabulary, preprocessing.length, text or "", column)
    fitted = found if classify else fit_target(labels[origin][training], task, name, [column] if column else ())
    rows = {part: [preprocessing.vocabulary.encode(one) for one in texts.texts] for part, texts in parts.items()}
    splits = {
        part: ArraySplit(
            preprocessing.encoded([rows[given][index] for index in indices]),
            encode_labels(fitted, np.asarray(labels[given])[indices]),
            [parts[given].names[index] for index in indices],
        )
        for part, (given, indices) in chosen.items()
    }
    card = DataCard(name, "text", split_rule=rule)
    card.warnings += [warning for texts in parts.values() for warning in texts.warnings]
    card.skipped += [skipped for texts in parts.values() for skipped in texts.skipped]
    card.facts = _facts(preprocessing, [rows[origin][i] for i in training], splits, text, column)
    card.facts["why"] = " ".join(part for part in (why, reason) if part)
    card.facts["texts"] = _examples(fitting, np.asarray(labels[origin])[training])
    card.warnings += preprocessing.remarks(fitting)
    repeats = {part: groups[given][indices] for part, (given, indices) in chosen.items()}
    fill_card(card, splits, repeats, fitted.names if classify else ())
    return Data(splits["train"], splits["validation"], splits.get("test"), preprocessing, fitted, card)


def load_text_split(source: Any, preprocessing: TextPreprocessing, target: Target) -> tuple[ArraySplit, DataCard]:
    """Labelled texts as a trained model takes them: the test part where there is one, else everything.

    Raises:
        DataError: for a source that cannot be read, or does not fit the model.
    """
    if _is_table(source) and not preprocessing.column:
        raise DataError("The model was trained on texts without a table, and knows no column to read.")
    parts, _, _, _ = _read(source, preprocessing.column, preprocessing.target or None, target.task, target)
    wanted = ["test"] if "test" in parts else list(parts)
    texts = [one for part in wanted for one in parts[part].texts]
    labels = np.concatenate([np.asarray(parts[part].labels) for part in wanted])
    names = [one for part in wanted for one in parts[part].names]
    split = ArraySplit(preprocessing.encode(texts), encode_labels(target, labels), names)
    card = DataCard(_name(source), "text", split_rule=f"All {len(split)} texts of the {' and '.join(wanted)} part.")
    card.warnings += [warning for part in wanted for warning in parts[part].warnings] + preprocessing.remarks(texts)
    card.skipped += [skipped for part in wanted for skipped in parts[part].skipped]
    classes = target.names if isinstance(target, ClassTarget) else ()
    fill_card(card, {"test": split}, text_groups({"test": texts}), classes)
    return split, card


def fit_texts(texts: Sequence[str], tokens: str = "auto") -> tuple[TextPreprocessing, str]:
    """The preprocessing of training texts, and a sentence on why it reads words or characters."""
    unit: Unit
    if tokens == "auto":
        unit, why = choose_unit(texts)
    else:
        unit, why = ("words" if tokens == "words" else "characters"), f"The texts are read by their {tokens}, as asked."
    vocabulary = fit_vocabulary(texts, unit)
    if not vocabulary.tokens:
        raise DataError(f"The training texts hold no {unit} to learn from.")
    lengths = [len(vocabulary.split(text)) for text in texts]
    length = int(np.ceil(np.quantile(lengths, _QUANTILE)))
    return TextPreprocessing(vocabulary, max(1, min(length, _LONGEST[unit]))), why


def text_groups(texts: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Ids of equal texts, whatever their case and white space, counted over all parts together."""
    digests = [digest(normal(text).encode("utf-8", "surrogatepass")) for part in texts.values() for text in part]
    borders = np.cumsum([len(part) for part in texts.values()])[:-1]
    return dict(zip(texts, np.split(find_duplicates(digests), borders), strict=True))


def _read(
    source: Any, text: str | None, target: str | None, task: str, known: Target | None = None
) -> tuple[dict[str, Texts], str, str, bool]:
    """The given parts with labels in their normal form, the target's column, the task, whether to hold out a test."""
    if _is_table(source):
        if not text:
            raise DataError(f"Which column of {_name(source)} holds the texts?", "Name it: text=…, or --text.")
        texts, column, task = table_texts(source, text, target, task)
        return {"train": texts}, column, task, True
    if isinstance(source, str | os.PathLike):
        parts, _ = folder_texts(source)
        if task == "regress":
            raise ConfigError("A folder of texts has classes; there is nothing to regress.", "Leave the task out.")
        for texts in parts.values():
            texts.labels = np.asarray(texts.labels)
        return parts, "", "classify", True
    pairs = source if isinstance(source, Mapping) else {"train": source}
    parts = {}
    answers = {part: np.asarray(pair[1]) for part, pair in pairs.items()}
    task = guess_task(answers["train"]) if task == "auto" else task
    numbered = known is not None and answers[next(iter(answers))].dtype.kind in "biuf"
    for part, (given, _) in pairs.items():
        texts = Texts(_strings(given), answers[part], [f"text {index + 1}" for index in range(len(given))])
        if len(texts.texts) != len(answers[part]):
            raise DataError(f"There are {len(texts.texts)} texts, and y has the shape {answers[part].shape}.")
        texts = without_empty(texts, "what is in memory")
        names = known.names if known is not None and numbered and not _all_names(texts.labels, known) else ()
        texts.labels = normal_labels(texts.labels, task, names if task == "classify" else (), "y")
        parts[str(part)] = texts
    return parts, "", task, False


def _all_names(labels: np.ndarray, target: Target) -> bool:
    return set(np.unique(labels).astype(str)) <= set(target.names)


def _strings(given: Any) -> list[str]:
    texts = list(given)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"Expected texts; number {index + 1} is a {type(text).__name__}.")
    return [str(text) for text in texts]


def _is_table(source: Any) -> bool:
    from lamina.data.sources import TABLES, is_frame

    if isinstance(source, str | os.PathLike):
        return os.fspath(source).lower().endswith(TABLES)
    first = source[0] if isinstance(source, tuple | list) and len(source) else None
    return is_frame(source) or is_frame(first) or isinstance(first, Mapping)


def _name(source: Any) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "what is in memory"


def _facts(
    preprocessing: TextPreprocessing,
    training: Sequence[Sequence[int]],
    splits: Mapping[str, ArraySplit],
    text: str | None,
    column: str,
) -> dict[str, Any]:
    lengths = np.asarray([len(row) for row in training])
    vocabulary, unit = preprocessing.vocabulary, preprocessing.vocabulary.unit
    validation = splits["validation"].inputs
    seen = np.arange(preprocessing.length) < validation.lengths[:, None]
    strange = float(((validation.values < 2) & seen).sum() / max(1, int(seen.sum())))
    facts: dict[str, Any] = {"text": text, "target": column} if text else {}
    return facts | {
        "tokens": unit,
        "vocabulary": len(vocabulary),
        "length": f"median {int(np.median(lengths))}, longest {int(lengths.max())} {unit}",
        "read": f"{preprocessing.length} {unit} at most",
        "unknown": f"{strange:.2%} of the validation split's {unit}",
    }


def _examples(texts: Sequence[str], labels: np.ndarray) -> list[dict[str, str]]:
    """Some training texts, the classes in turn."""
    turns: dict[Any, int] = {}
    order = []
    for index, label in enumerate(labels.ravel().tolist() if labels.ndim == 1 else range(len(labels))):
        turns[label] = turns.get(label, 0) + 1
        order.append((turns[label], index))
    chosen = [index for _, index in sorted(order)[:_EXAMPLES]]
    shown = [" ".join(texts[index].split()) for index in chosen]
    return [
        {
            "answer": ", ".join(np.atleast_1d(labels[index]).astype(str)),
            "text": text[:_SHOWN] + "…" * (len(text) > _SHOWN),
        }
        for index, text in zip(chosen, shown, strict=True)
    ]
