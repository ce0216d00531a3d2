"""The folder: whole or not at all, and a page that needs nothing but itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamina import layers as L
from lamina.errors import BadInputError, ConfigError
from lamina.explain import write
from lamina.explain.panels import METHODS
from lamina.model import Model

from .conftest import MakeModel


class Page(HTMLParser):
    """Sources, ids and headings of a page; fails where elements are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("task", ["classify", "binary", "multilabel", "regress"])
def test_everything_is_there(make_model: MakeModel, photo: np.ndarray, tmp_path: Path, task: str) -> None:
    model = make_model(L.Conv(4, 3), L.relu, L.MaxPool(2), L.Flatten(), task=task)
    done = write(model, photo, tmp_path / "deep" / "out", name="a <b>&.png")
    assert list(done.files) == list(METHODS)
    assert not done.left_out
    files = [path for paths in done.files.values() for path in paths]
    assert sorted(done.page.parent.iterdir()) == sorted([done.page, *files])
    for path in files:
        with Image.open(path) as image:
            assert (image.format, image.mode) in {("PNG", "RGB"), ("PNG", "RGBA")}
            assert min(image.size) > 50
    assert done.facts["grad-cam"]["layer"] == "2"
    assert abs(done.facts["integrated-gradients"]["gap"]) < 0.05
    text = done.page.read_text()
    page = Page(text)
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 1 + 4 + len(files)
    assert all(source is not None and source.startswith("data:image/") for source in sources)
    assert all(attrs.get("alt") is not None for tag, attrs in page.tags if tag == "img")
    assert not any(tag in {"script", "link", "iframe"} for tag, _ in page.tags)
    anchors = {attrs["id"] for tag, attrs in page.tags if tag == "section"}
    assert anchors == {"glance", *METHODS}
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert {link for link in links if link and not link.startswith("#")} == {
        f"https://arxiv.org/abs/{number}" for number in ("1312.6034", "1703.01365", "1610.02391", "1311.2901")
    }
    assert "a &lt;b&gt;&amp;.png" in text
    assert "prefers-color-scheme: dark" in text


def test_what_the_network_has_not_is_left_out_with_a_reason(
    make_model: MakeModel, photo: np.ndarray, tmp_path: Path
) -> None:
    model = make_model(L.Flatten())
    done = write(model, photo, tmp_path / "out", class_="owl")
    assert set(done.left_out) == {"grad-cam", "feature-maps"}
    text = done.page.read_text()
    assert text.count("The network has no convolution, and so no feature maps.") == 2
    assert set(done.files) == set(METHODS) - set(done.left_out)
    with pytest.raises(ConfigError, match="no convolution"):
        write(model, photo, tmp_path / "other", methods=["grad-cam"])
    assert not (tmp_path / "other").exists()


def test_only_what_was_asked_for(convnet: Model, photo: np.ndarray, tmp_path: Path) -> None:
    done = write(convnet, photo, tmp_path / "out", methods=["feature-maps", "grad-cam"], layer="3")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"feature-maps-3.png", "grad-cam.png", "explain.html"}
    assert done.facts["grad-cam"] == {"layer": "3"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"methods": ["salience"]}, "Unknown method 'salience'. Did you mean 'saliency'"),
        ({"methods": []}, "no method is named"),
        ({"methods": ["saliency"], "layer": "0"}, "A layer is for grad-cam and feature-maps"),
        ({"layer": "9"}, "no layer '9'"),
        ({"class_": "cow"}, "no class 'cow'"),
    ],
)
def test_refusals_write_nothing(
    convnet: Model, photo: np.ndarray, tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        write(convnet, photo, tmp_path / "deep" / "out", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_only_when_told(convnet: Model, photo: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write(convnet, photo, out, methods=["filters"])  # an empty one is taken
    with pytest.raises(BadInputError, match=r"out exists already. Use --force"):
        write(convnet, photo, out)
    write(convnet, photo, out, methods=["saliency"], force=True)
    assert {path.name for path in out.iterdir()} == {"saliency.png", "explain.html"}
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInputError, match=r"has no explain.html"):
        write(convnet, photo, other, force=True)
    with pytest.raises(BadInputError, match="is a file"):
        write(convnet, photo, other / "thesis.txt", force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "mine"}


def test_a_full_disk_leaves_what_was_there(
    convnet: Model, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write(convnet, photo, out, methods=["filters"])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    really = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "explain.html":
            raise OSError(28, "No space left on device")
        return really(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    for place in (out, tmp_path / "a" / "b" / "new"):
        with pytest.raises(BadInputError, match=re.escape(f"{place} cannot be written: No space left on device.")):
            write(convnet, photo, place, methods=["filters"], force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_cannot_be_replaced_is_put_back(
    convnet: Model, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write(convnet, photo, out, methods=["filters"])
    really = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return really(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BadInputError, match="Input/output error"):
        write(convnet, photo, out, methods=["saliency"], force=True)
    assert {path.name for path in out.iterdir()} == {"filters.png", "explain.html"}
    assert list(tmp_path.iterdir()) == [out]
