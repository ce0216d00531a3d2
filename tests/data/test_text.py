"""Labelled texts: found, read, split without leaks, encoded."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lamina as lm
from lamina.config import from_json, to_json
from lamina.data import load, load_split
from lamina.data.text import fit_texts
from lamina.data.text_vocabulary import Vocabulary, choose_unit, fit_vocabulary, normal
from lamina.errors import ConfigError, DataError

GOOD = ["a fine film", "fine acting and a good story", "good good film", "what a fine story"]
BAD = ["a bad film", "bad acting and a dull story", "dull dull film", "what a bad story"]


def reviews(copies: int = 6) -> tuple[list[str], list[str]]:
    """Texts of two classes, each of its own."""
    texts = [f"{text} number {index}" for index in range(copies) for text in GOOD + BAD]
    return texts, (["good"] * len(GOOD) + ["bad"] * len(BAD)) * copies


def write_csv(path: Path, encoding: str = "utf-8") -> Path:
    texts, labels = reviews()
    frame = pl.DataFrame({"text": texts, "label": labels})
    path.write_bytes(frame.write_csv().encode(encoding))
    return path


def test_words_are_runs_of_letters_and_marks_are_words_of_their_own() -> None:
    vocabulary = Vocabulary("words", ("don't", "stop", "!"), lower=True)
    assert vocabulary.split("Don't STOP now!") == ["don't", "stop", "now", "!"]
    assert vocabulary.encode("Don't STOP now! 42nd") == [2, 3, 0, 4, 1]
    assert vocabulary.decode([2, 3, 0, 4, 1]) == "don't stop … ! #"
    assert len(vocabulary) == 5


def test_characters_keep_their_case_between_one_blank_before_and_one_after() -> None:
    vocabulary = fit_vocabulary(["Anna", "Nana ", "ab"], "characters")
    assert vocabulary.tokens == (" ", "a", "n")  # A, N and b occur once
    assert vocabulary.encode("  An7") == [2, 0, 4, 1, 2]
    assert vocabulary.decode([2, 0, 4, 1, 2]) == "…n#"
    assert vocabulary.encode("  ") == []
    assert vocabulary.knows(vocabulary.encode("xa"))
    assert not vocabulary.knows(vocabulary.encode("xy7"))


def test_a_vocabulary_holds_all_words_the_most_frequent_first_and_what_else_occurs_twice() -> None:
    assert fit_vocabulary(["b a a 17 8", "c a b 8"], "words").tokens == ("a", "8", "b", "c")
    assert fit_vocabulary(["baa", "cab"], "characters").tokens == (" ", "a", "b")


@pytest.mark.parametrize(
    ("texts", "unit", "why"),
    [
        (["Khoury", "de la Cruz", "Smith"], "characters", "1.7 words on average"),
        (["a fine film about nothing much", "not so good , not so bad"], "words", "words on average"),
        (["今天天气很好我们去公园玩吧 好不好呢大家一起去 看看花也好啊真的很漂亮"] * 2, "characters", "without spaces"),
    ],
)
def test_the_texts_decide_between_words_and_characters(texts: list[str], unit: str, why: str) -> None:
    found, said = choose_unit(texts)
    assert found == unit
    assert why in said


def test_texts_that_differ_in_case_and_white_space_lie_on_one_side() -> None:
    texts, labels = reviews(4)
    texts += ["  ".join(text.upper().split()) for text in texts]
    data = load({"train": (texts, labels * 2)}, seed=3)
    assert data.card.duplicates["across"] == 0
    assert data.card.duplicates["within"] == len(texts) // 2
    sides = {
        part: {normal(texts[int(name.split()[1]) - 1]) for name in getattr(data, part).names}
        for part in ("train", "validation")
    }
    assert not sides["train"] & sides["validation"]


def test_the_vocabulary_and_the_length_come_from_the_training_split_alone() -> None:
    texts, labels = reviews()
    data = load({"train": (texts, labels), "validation": (["zebra " * 50, "zebra"], ["good", "bad"])})
    assert "zebra" not in data.preprocessing.vocabulary.tokens
    assert data.preprocessing.length == max(len(text.split()) for text in texts)
    np.testing.assert_array_equal(data.validation.inputs.values[0], np.zeros(data.preprocessing.length))
    assert data.validation.inputs.lengths.tolist() == [data.preprocessing.length, 1]


def test_a_table_with_one_column_of_text_beside_the_target_is_read_as_text(tmp_path: Path) -> None:
    data = load(write_csv(tmp_path / "reviews.csv"), target="label")
    assert data.card.kind == "text"
    assert data.preprocessing.column == "text"
    assert "only one beside the target" in data.card.facts["why"]
    assert data.target.names == ("bad", "good")
    assert data.test is not None
    assert data.train.inputs.values.dtype == np.int32
    assert data.card.facts["texts"][0].keys() == {"answer", "text"}


def test_a_column_of_text_beside_others_is_read_when_it_is_named() -> None:
    texts, labels = reviews()
    frame = pl.DataFrame({"text": texts, "stars": np.arange(len(texts)) % 5, "label": labels})
    assert load(frame, target="label").card.kind == "table"
    assert load(frame, target="label", text="text").card.kind == "text"


def test_a_text_that_reads_na_is_a_text() -> None:
    texts, labels = reviews()
    data = load(pl.DataFrame({"name": [*texts, "NA", "Null"], "label": [*labels, "good", "bad"]}), target="label")
    assert sum(part["examples"] for part in data.card.splits.values()) == len(texts) + 2


def test_numbers_can_be_learned_from_texts() -> None:
    texts, labels = reviews()
    stars = [1.5 + len(text) / 7 + (label == "good") for text, label in zip(texts, labels, strict=True)]
    data = load((texts, np.asarray(stars)))
    assert data.target.task == "regress"


def test_a_folder_with_a_sub_folder_of_txt_a_class(tmp_path: Path) -> None:
    texts, labels = reviews(3)
    for index, (text, label) in enumerate(zip(texts, labels, strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{index}.txt").write_text(text)
    (tmp_path / "good" / "notes.pdf").write_bytes(b"%PDF")
    data = load(tmp_path)
    assert data.card.kind == "text"
    assert data.target.names == ("bad", "good")
    assert data.card.skipped == [("good/notes.pdf", "it is no .txt file")]
    split, _ = load_split(tmp_path, data.preprocessing, data.target)
    assert len(split) == len(texts)


def test_a_model_reads_labelled_texts_as_it_was_trained_on_them(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv")
    data = load(path, target="label")
    split, card = load_split(path, data.preprocessing, data.target)
    assert len(split) == len(reviews()[0])
    assert card.splits["test"]["classes"] == {"bad": 24, "good": 24}
    one = data.train.read(np.arange(1))
    again = split.read(np.asarray([int(data.train.names[0].split()[1]) - 1]))
    np.testing.assert_array_equal(one.values, again.values)


def test_a_preprocessing_is_written_and_read() -> None:
    made, _ = fit_texts(reviews()[0])
    assert from_json(to_json(made)) == made


def test_predictions_take_texts_files_tables_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = load(write_csv(tmp_path / "r.csv"), target="label").preprocessing
    (tmp_path / "one.txt").write_text("a fine film")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"bad film\n\ngood film\n")))
    monkeypatch.chdir(tmp_path)
    given = made.gather(["what a story", "one.txt", "-", "r.csv"])
    assert given.names[:4] == ("what a story", "one.txt", "bad film", "good film")
    assert given.raw[:4] == ("what a story", "a fine film", "bad film", "good film")
    assert given.names[4] == "r.csv row 1"
    assert len(given.names) == 4 + len(reviews()[0])


def test_what_the_model_will_not_see_is_told() -> None:
    made, _ = fit_texts(reviews()[0])
    long, strange = "film " * (made.length + 1), "zyx wvu"
    said = made.gather([long, strange]).warnings
    assert said[0] == f"1 text is longer than {made.length} words; the rest is not read."
    assert "1 text holds none of the words seen in training" in said[1]


def test_an_empty_text_is_skipped_with_its_reason_or_refused() -> None:
    made, _ = fit_texts(reviews()[0])
    skipped: dict[int, str] = {}
    batches = list(made.batches(["a film", " ", "a story"], 2, skipped.__setitem__))
    assert skipped == {1: "it is empty"}
    assert [len(batch.lengths) for batch in batches] == [1, 1]
    with pytest.raises(DataError, match="Text number 2 is empty"):
        made.encode(["a film", " "])


def latin1(folder: Path) -> object:
    path = folder / "latin.csv"
    write_csv(path, "utf-8")
    path.write_bytes(path.read_bytes() + "schön,good\n".encode("latin-1"))
    return path


def empty_texts(folder: Path) -> object:
    return ["", " "], ["a", "b"]


def one_class(folder: Path) -> object:
    return ["a film", "a story"], ["a", "a"]


def empty_folder(folder: Path) -> object:
    (folder / "good").mkdir()
    return folder


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (latin1, {"target": "label"}, r"latin.csv is not UTF-8: byte \d+ \(line 50\) is 0xf6"),
        (empty_texts, {}, "All 2 texts of what is in memory are empty"),
        (one_class, {}, "one class only"),
        (empty_folder, {}, "No pictures were found"),
        (lambda folder: write_csv(folder / "r.csv"), {"target": "label", "text": "txt"}, "Did you mean 'text'"),
        (lambda folder: write_csv(folder / "r.csv"), {"target": "lable", "text": "text"}, "Did you mean 'label'"),
        (lambda folder: write_csv(folder / "r.csv"), {"target": "text", "text": "text"}, "both the text and the"),
        (lambda folder: reviews(), {"tokens": "word"}, "Did you mean 'words'"),
        (lambda folder: (["a", "b", "c"], ["x", "y"]), {}, "There are 3 texts"),
        (lambda folder: (["a", 3], ["x", "y"]), {}, "number 2 is a int"),
    ],
)
def test_what_cannot_be_learned_from_is_told_in_a_sentence(
    make: Callable[[Path], object], options: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        load(make(tmp_path), **options)


def test_several_texts_are_asked_for_where_one_is_given() -> None:
    made, _ = fit_texts(reviews()[0])
    with pytest.raises(DataError, match="Expected several texts, got one"):
        made.encode("a film")


def test_a_network_is_chosen_learns_and_predicts(tmp_path: Path) -> None:
    run = lm.fit("auto", reviews(), epochs=8, progress=False)
    assert run.validation["accuracy"].value == 1.0
    run.model.save(tmp_path / "m.lamina")
    again = lm.load(tmp_path / "m.lamina")
    assert again.predict(["fine and good", "dull and bad"]).labels.tolist() == ["good", "bad"]
    assert again.evaluate(reviews())["accuracy"].value > 0.9
