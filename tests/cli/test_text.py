"""Texts on the command line: told apart, and gone on with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from .conftest import Command

LINE = "the cat sat on the mat.\n"


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    texts = [f"a {word} film number {index}" for index in range(30) for word in ("fine", "dull")]
    path = tmp_path / "reviews.csv"
    pl.DataFrame({"text": texts, "stars": np.arange(60) % 5, "label": ["good", "bad"] * 30}).write_csv(path)
    return path


def test_reviews_are_told_apart(lamina: Command, reviews: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = lamina("train", reviews, "--text", "text", "--target", "label", "--epochs", 5, "--out", out, "--json")
    assert done.code == 0
    assert done.json["task"] == "classify"
    assert done.json["classes"] == ["bad", "good"]
    assert "A bag of words" in done.err
    asked = lamina("predict", out, "what a fine film", "dull", "--json")
    assert [answer["label"] for answer in asked.json["predictions"]] == ["good", "bad"]
    assert asked.json["predictions"][0]["input"] == "what a fine film"
    shown = lamina("predict", out, "what a fine film")
    assert shown.out.startswith("what a fine film  good")
    measured = lamina("evaluate", out, reviews, "--json")
    assert measured.json["metrics"]["accuracy"]["value"] > 0.9


def test_a_book_is_gone_on_with(lamina: Command, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(LINE * 60)
    (tmp_path / "net.py").write_text(
        "import lamina as lm\n"
        "def network(data):\n"
        "    n = data.target.units\n"
        "    return lm.Sequential(lm.Embedding(n, 8), lm.GRU(16, return_sequences=True), lm.Dense(n))\n"
    )
    out, arch = tmp_path / "run", tmp_path / "net.py"
    book = tmp_path / "book.txt"
    done = lamina("train", book, "--task", "generate", "--arch", arch, "--epochs", 2, "--out", out, "--json")
    assert done.code == 0
    assert done.json["task"] == "generate"
    assert set(done.json["test"]) == {"cross_entropy", "perplexity", "accuracy"}
    assert "lamina sample" in done.err
    written = lamina("sample", out, "--prompt", "the", "--length", 20, "--json")
    assert len(written.json["text"]) == 20
    assert lamina("sample", out, "--prompt", "the", "--length", 20).out == "the" + written.json["text"] + "\n"
    assert lamina("evaluate", out, book, "--json").json["metrics"]["perplexity"]["value"] > 1


def test_what_cannot_be_done_is_told(lamina: Command, reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(LINE * 60)
    for arguments, message in [
        (("train", reviews, "--text", "txt", "--target", "label"), "Did you mean 'text'"),
        (("train", tmp_path / "book.txt", "--task", "classify"), "it has no labels to classify"),
        (("train", reviews, "--target", "label", "--tokens", "words"), "Tokens are for texts"),
        (("train", tmp_path / "book.txt", "--text", "text"), "A column of texts is for tables"),
    ]:
        done = lamina(*arguments)
        assert done.code == 2
        assert message in done.err
    assert not (tmp_path / "runs").exists()
