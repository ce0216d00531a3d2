"""The report as a reader, a browser and an attacker would take it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lamina import report
from lamina.errors import BadInputError
from lamina.run import Run

VOID = {"br", "col", "hr", "img", "meta"}


class Page(HTMLParser):
    """The page's structure; an assertion fails where elements are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def sections(self) -> list[str | None]:
        return [attrs["id"] for attrs in self.all("section")]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture
def written(tmp_path: Path):
    def write(run: Run, **options) -> Page:
        report.write(run, tmp_path / "report.html", **options)
        return Page((tmp_path / "report.html").read_text("utf-8"))

    return write


RECORD = ["network", "data", "configuration", "origin"]


def test_a_classifier_of_pictures_has_all_sections(make_run, written) -> None:
    page = written(make_run())
    expected = ["curves", "confusion", "classes", "metrics", "calibration", "mistakes", "samples", "network", "filters"]
    assert page.sections == [*expected, "data", "configuration", "origin"]
    assert [attrs["href"] for attrs in page.all("a") if attrs["href"]] == [f"#{anchor}" for anchor in page.sections]
    assert len(page.all("svg")) == 4


def test_many_classes_show_pairs_and_no_matrix(make_run, written) -> None:
    page = written(make_run(names=tuple(f"kind {i}" for i in range(100)), size=300))
    assert "Most confused pairs" in page.words
    assert not [attrs for attrs in page.all("table") if "matrix" in (attrs.get("class") or "")]
    assert "All 100 classes" in page.words


def test_the_most_confused_pairs_are_counted(make_run, written) -> None:
    run = make_run(names=tuple(f"kind {i}" for i in range(60)), size=180)
    outputs = 9 * np.eye(60, dtype=np.float32)[run.data.test.targets]
    outputs[run.data.test.targets == 7] = 9 * np.eye(60, dtype=np.float32)[8]  # all three of them
    page = written(run, outputs={"test": outputs})
    assert "kind 7 kind 8 3 100.0 %" in page.words


@pytest.mark.parametrize("count", [2, 14, 50])
def test_the_matrix_shows_every_example(make_run, written, count: int) -> None:
    run = make_run(names=tuple(f"kind {i}" for i in range(count)), size=100)
    page = written(run)
    assert len([attrs for attrs in page.all("table") if "matrix" in (attrs.get("class") or "")]) == 1
    hits = [attrs for attrs in page.all("td") if (attrs.get("class") or "").startswith("hit")]
    assert len(hits) == count


def test_regression_shows_errors(make_run, written) -> None:
    page = written(make_run("regress", names=("price", "weight"), pictures=False, size=40))
    assert page.sections == ["curves", "metrics", "errors", "mistakes", "samples", *RECORD]
    assert len(page.all("svg")) == 3 + 2 * 3
    assert "price" in page.words
    assert "Confusion" not in page.words


def test_thousands_of_classes_stay_a_small_page(make_run, written, tmp_path: Path) -> None:
    page = written(make_run(names=tuple(f"kind {i}" for i in range(3000)), size=50, pictures=False))
    assert "The first 1000 of 3000" in page.words
    assert (tmp_path / "report.html").stat().st_size < 2_000_000


def test_a_constant_value_and_few_examples_do_not_break_the_plots(make_run, written) -> None:
    run = make_run("regress", names=("price",), pictures=False, size=3)
    same = np.zeros((3, 1), np.float32)
    page = written(run, outputs={"test": same})
    assert "errors" in page.sections


def test_labels_have_a_table_and_no_matrix(make_run, written) -> None:
    page = written(make_run("multilabel", names=("red", "blue", "big", "old")))
    assert page.sections == ["curves", "classes", "metrics", "mistakes", "samples", "network", "filters", *RECORD[1:]]
    assert "By label" in page.words


def test_without_a_test_split_it_says_so(make_run, written) -> None:
    page = written(make_run(test=False))
    assert "Measured on the validation split" in page.words
    assert "There is no test score" in page.words


def test_an_interrupted_run_has_a_report_and_is_not_measured(make_run, written, monkeypatch) -> None:
    run = make_run(status="interrupted", epochs=0)
    monkeypatch.setattr(type(run.model), "outputs", lambda *_: pytest.fail("the person is waiting"))
    page = written(run)
    assert page.sections == ["curves", "metrics", "network", "filters", *RECORD[1:]]
    assert "interrupted before it was measured" in page.words


def test_one_epoch_is_drawn(make_run, written) -> None:
    assert len(written(make_run(epochs=1)).all("svg")) == 4


def test_several_learning_rates_are_drawn(make_run, written) -> None:
    page = written(make_run(rates=(0.1, 0.01)))
    assert "Learning rates side by side" in page.words
    assert "weights of epoch 3 of learning rate 0.01, whose curves these are" in page.words
    assert "validation loss 0.6667" in page.words
    assert len(page.all("svg")) == 4


def test_nothing_is_asked_for_from_anywhere(make_run, written, tmp_path: Path) -> None:
    page = written(make_run(rates=(0.1, 0.01)))
    for _, attrs in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:image/"))
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "://" not in text
    assert "@import" not in text
    assert not page.all("script")
    assert not page.all("link")
    (policy,) = (attrs["content"] for attrs in page.all("meta") if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("task", ["classify", "multilabel", "regress"])
def test_what_users_name_cannot_become_markup(make_run, written, task: str) -> None:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    run = make_run(
        task,
        names=(attack, "$\\frac{", "plain"),
        pictures=task == "classify",
        source=f"data/{attack}",
        warnings=[attack],
        skipped=[(attack, attack)],
        duplicates={"within": 1, "across": 0, "examples": [[attack, attack]]},
        facts={attack: {attack: attack}, "columns": [attack]},
    )
    run.config.update(command=f"lamina train {attack}", why=[attack], classes=[attack])
    page = written(run)
    assert not page.all("script")
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert all((attrs["src"] or "").startswith("data:image/") for attrs in page.all("img"))
    assert attack in page.words


def test_the_same_run_gives_the_same_file(make_run, tmp_path: Path) -> None:
    run = make_run()
    for name in ("first", "second"):
        report.write(run, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_given_outputs_are_not_computed_again(make_run, written, monkeypatch) -> None:
    run = make_run()
    sure = np.full((60, 3), -9.0, np.float32)
    sure[np.arange(60), run.data.test.targets] = 9.0
    monkeypatch.setattr(type(run.model), "outputs", lambda *_: pytest.fail("scored twice"))
    page = written(run, outputs={"test": sure})
    assert "every one of the 60 test examples is answered right" in page.words


def test_pictures_have_words_and_ids_are_unique(make_run, written) -> None:
    page = written(make_run(rates=(0.1, 0.01)))
    galleries = [attrs for attrs in page.all("img") if attrs["alt"]]
    assert len(galleries) >= 24
    assert "the model says" in str(galleries[0]["alt"])
    assert all(attrs.get("role") == "img" for attrs in page.all("svg"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        for reference in re.findall(r"url\(#([^)]*)\)", " ".join(value or "" for value in attrs.values())):
            assert reference in ids
        if (attrs.get("href") or "").startswith("#"):
            assert str(attrs["href"])[1:] in ids


def test_every_figure_follows_the_page_s_colours(make_run, tmp_path: Path) -> None:
    report.write(make_run(rates=(0.1, 0.01)), tmp_path / "r.html")
    report.write(make_run("regress", names=("price",), pictures=False), tmp_path / "v.html")
    for name in ("r.html", "v.html"):
        drawn = re.findall(r"<svg.*?</svg>", (tmp_path / name).read_text("utf-8"), re.DOTALL)
        assert drawn
        for figure in drawn:
            assert not re.findall(r"(?:fill|stroke): (#[0-9a-f]{3,6})", figure)
            assert "var(--" in figure


def test_a_path_that_cannot_be_written_is_refused_in_words(make_run, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be written"):
        report.write(make_run(), tmp_path / "missing" / "report.html")
