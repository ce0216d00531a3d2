"""One long text: cut by place, encoded in pieces, gone on with."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina import heads
from lamina.config import from_json, to_json
from lamina.data import load, load_split
from lamina.data.characters import UNKNOWN, CharacterPreprocessing, SymbolTarget, fit_characters
from lamina.errors import ConfigError, DataError
from lamina.layers import memory
from lamina.metrics import bootstrap

LINE = "the cat sat on the mat.\n"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(LINE * 100)
    return path


@pytest.fixture(scope="module")
def run(book: Path) -> lm.Run:
    data = load(book)
    net = lm.Sequential(
        lm.Embedding(data.target.units, 8), lm.LSTM(32, return_sequences=True), lm.Dense(data.target.units)
    )
    return lm.fit(net, data, epochs=25, batch_size=4, optimizer=lm.optim.Adam(1e-2), progress=False)


def test_the_text_is_cut_by_place(book: Path) -> None:
    data = load(book, task="generate")
    text = book.read_text()
    made = data.preprocessing
    assert isinstance(made, CharacterPreprocessing)
    first = round(0.1 * len(text))
    assert made.text(data.validation.inputs[0]) == text[: made.steps + 1]
    assert made.text(data.train.inputs[0]) == text[first:][: made.steps + 1]
    assert made.text(data.train.inputs[1]) == text[first:][made.steps : 2 * made.steps + 1]
    assert made.text(data.test.inputs[0]).startswith(text[round(0.9 * len(text)) :][:20])
    np.testing.assert_array_equal(data.train.targets, data.train.inputs[:, 1:])
    assert data.train.continues


def test_characters_that_hardly_occur_share_one_code() -> None:
    assert fit_characters("aaabbbb cc") == (UNKNOWN, "a", "b")
    made = CharacterPreprocessing((UNKNOWN, "a", "b"), 2)
    assert made.codes("bca").tolist() == [2, 0, 1]
    assert made.unknown("b?ca") == ["?", "c"]
    assert SymbolTarget(made.characters).encode(["ab?"]).tolist() == [[1, 2, 0]]
    assert from_json(to_json(made)) == made


def test_scores_of_pieces_are_the_cross_entropy_and_the_share_foretold() -> None:
    logits = jax.random.normal(jax.random.key(0), (3, 5, 7))
    pieces = jax.random.randint(jax.random.key(1), (3, 6), 0, 7)
    scores = np.asarray(heads.next_scores(logits, pieces))
    logs = np.asarray(jax.nn.log_softmax(logits))
    right = np.asarray(pieces)[:, 1:]
    surprise = [-np.mean([logs[b, t, right[b, t]] for t in range(5)]) for b in range(3)]
    np.testing.assert_allclose(scores[:, 0], surprise, rtol=1e-5)
    np.testing.assert_allclose(scores[:, 1], (logs.argmax(-1) == right).mean(axis=1))
    found = bootstrap("generate", scores, right)
    assert found["cross_entropy"].value == pytest.approx(np.mean(surprise))
    assert found["perplexity"].value == pytest.approx(np.exp(np.mean(surprise)))
    assert found["cross_entropy"].low < found["cross_entropy"].value < found["cross_entropy"].high


def test_a_network_learns_what_comes_next(run: lm.Run) -> None:
    assert run.test["cross_entropy"].value < 0.5
    assert run.history[0]["val_cross_entropy"] > run.history[-1]["val_cross_entropy"]
    assert run.test["perplexity"].value == pytest.approx(np.exp(run.test["cross_entropy"].value))


def test_it_goes_on_with_a_prompt(run: lm.Run, tmp_path: Path) -> None:
    run.model.save(tmp_path / "m.lamina")
    model = lm.load(tmp_path / "m.lamina")
    assert model.sample("the cat ", 15, temperature=0) == "sat on the mat."
    assert model.sample("the", 50, seed=1) == model.sample("the", 50, seed=1)
    assert model.sample("the", 50, temperature=3.0, seed=1) != model.sample("the", 50, temperature=3.0, seed=2)
    assert UNKNOWN not in model.sample("", 500, temperature=5.0)


def test_sampling_step_by_step_gives_what_reading_the_whole_gives(run: lm.Run) -> None:
    model = run.model
    drawn = model.sample("the cat", 12, temperature=0)
    codes = jnp.asarray(model.preprocessing.codes("the cat" + drawn))[None]
    whole, _ = memory.run(model.network, model.params, model.state, codes[:, :-1])
    best = np.asarray(whole[0, 6:, 1:]).argmax(axis=-1) + 1  # the unknown is never drawn
    assert model.preprocessing.text(best) == drawn


def test_other_texts_are_measured_and_what_is_unknown_in_them_is_told(run: lm.Run, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(LINE * 20 + "ÄÖ")
    split, card = load_split(other, run.model.preprocessing, run.model.target)
    assert "2 characters not known to the model: 'Ä', 'Ö'." in card.warnings
    assert len(split) > 1
    assert run.model.evaluate(other)["cross_entropy"].value < 0.5


def test_unseen_characters_in_a_prompt_are_named(run: lm.Run) -> None:
    with pytest.raises(DataError, match=r"never seen: 'T', 'é'.*It knows 't'"):
        run.model.sample("Thé")
    with pytest.raises(DataError, match=r"never seen: '7'.*Leave it out"):
        run.model.sample("7")


def test_options_out_of_range_and_other_models_are_refused(run: lm.Run) -> None:
    with pytest.raises(ConfigError, match="temperature is a number of at least 0"):
        run.model.sample("the", temperature=-1)
    with pytest.raises(ConfigError, match="length is a whole number"):
        run.model.sample("the", 0)
    with pytest.raises(DataError, match="goes on with a text"):
        run.model.predict(["the"])
    with pytest.raises(DataError, match="lamina sample"):
        run.model.preprocessing.gather(["the"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"short", "has 5 characters; at least 1,000"),
        (b"a\nb\n" + b"c" * 2000 + b"\xff", r"byte 2004 \(line 3\) is 0xff"),
        (b"a" * 2000 + b"\0", "zero byte"),
    ],
)
def test_what_is_no_text_to_learn_from_is_told(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(path)


def test_one_text_has_no_labels(book: Path) -> None:
    with pytest.raises(ConfigError, match="it has no labels to classify"):
        load(book, task="classify")
