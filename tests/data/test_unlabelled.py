"""Data without labels: what is kept, what is left out, how it is scaled."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lamina.data import InputTarget, load, load_split
from lamina.errors import ConfigError, DataError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (40, 6, 5), np.uint8)


def write_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for index in range(count):
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{index}.png")
    return folder


def write_idx(path: Path, array: np.ndarray) -> None:
    head = struct.pack(f">2BBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


def test_pictures_alone_are_scaled_to_the_range_0_to_1() -> None:
    data = load(PIXELS, task="autoencode")
    assert data.target == InputTarget()
    assert data.test is None
    assert len(data.train) + len(data.validation) == 40
    x = np.asarray(data.preprocessing.transform(data.train.read(np.arange(len(data.train)))))
    assert x.shape[1:] == (6, 5, 1)
    assert 0 <= x.min() < 0.1 < 0.9 < x.max() <= 1


@pytest.mark.parametrize(
    ("x", "scale", "mean", "spread"),
    [
        (RANDOM.normal(3, 2, (200, 4)), "auto", 0.0, 1.0),
        (RANDOM.random((200, 4)), "auto", 0.5, 0.29),
        (RANDOM.normal(3, 2, (200, 4)), "none", 3.0, 2.0),
    ],
)
def test_numbers_are_standardised_unless_they_lie_in_0_to_1(x: Any, scale: str, mean: float, spread: float) -> None:
    data = load(x, task="autoencode", scale=scale)
    inputs = data.train.read(np.arange(len(data.train)))
    assert float(inputs.mean()) == pytest.approx(mean, abs=0.2)
    assert float(inputs.std()) == pytest.approx(spread, abs=0.15)


def test_labels_are_kept_where_there_are_classes_and_left_out_where_there_are_values() -> None:
    x = RANDOM.normal(size=(40, 3))
    labelled = load((x, np.arange(40) % 2 + 5), task="autoencode")
    assert labelled.target.names == ("5", "6")
    assert set(labelled.train.targets.tolist()) == {0, 1}
    assert labelled.card.splits["train"]["classes"].keys() == {"5", "6"}
    valued = load((x, RANDOM.normal(size=40)), task="autoencode")
    assert valued.target.names == ()
    assert not valued.train.targets.any()


def test_a_built_in_set_has_its_fixed_split_and_its_classes() -> None:
    data, labelled = load("digits", task="autoencode"), load("digits")
    assert data.target.names == labelled.target.names
    assert data.test is not None
    assert labelled.test is not None
    np.testing.assert_array_equal(data.test.targets, labelled.test.targets)
    np.testing.assert_array_equal(data.test.read(np.arange(9)), labelled.test.read(np.arange(9)))
    split, _ = load_split("digits", data.preprocessing, data.target)
    assert len(split) == len(data.test)


def test_a_folder_of_pictures_needs_no_classes_and_may_have_them(tmp_path: Path) -> None:
    plain = write_pictures(tmp_path / "plain", 20)
    data = load(plain, task="autoencode")
    assert data.target.names == ()
    assert data.test is not None
    assert sum(map(len, (data.train, data.validation, data.test))) == 20
    assert data.preprocessing.transform(data.train.read(np.arange(3))).max() <= 1
    for place, name in enumerate(("cat", "dog")):
        write_pictures(tmp_path / "sorted" / name, 10, seed=place)
    assert load(tmp_path / "sorted", task="autoencode").target.names == ("cat", "dog")
    assert len(load_split(plain, data.preprocessing, data.target)[0]) == 20


def test_parts_of_a_folder_without_classes_are_taken_as_given(tmp_path: Path) -> None:
    for place, name in enumerate(("train", "test")):
        write_pictures(tmp_path / name, 12 - 4 * place, seed=place)
    data = load(tmp_path, task="autoencode")
    assert data.test is not None
    assert len(data.test) == 8
    assert len(load_split(tmp_path, data.preprocessing, data.target)[0]) == 8


def test_idx_and_npz_files_need_no_labels(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", PIXELS)
    data = load(tmp_path, task="autoencode")
    assert data.target.names == ()
    assert data.test is not None
    with pytest.raises(DataError, match="has no train-labels"):
        load(tmp_path)
    np.savez(tmp_path / "x.npz", x=RANDOM.normal(size=(30, 4)))
    assert load(tmp_path / "x.npz", task="autoencode").preprocessing.input_spec().shape == (4,)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"source": PIXELS[:0]}, DataError, "there are no examples"),
        ({"source": (PIXELS, np.arange(3))}, DataError, r"x has 40 examples and y has the shape \(3,\)"),
        ({"source": np.full((9, 2), np.nan)}, DataError, "NaN or infinite"),
        ({"source": PIXELS, "target": "y"}, ConfigError, "learns from no column"),
        ({"source": PIXELS, "size": 3}, ConfigError, "size is for pictures in files"),
        ({"source": PIXELS, "scale": "log"}, ConfigError, "Unknown scale"),
        ({"source": {"train": PIXELS, "test": PIXELS[:, :3]}}, DataError, "the test part has examples of shape"),
        ({"source": [{"a": 1.0}, {"a": 2.0}]}, DataError, "this is a table"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(options.pop("source"), task="autoencode", **options)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="There are no pictures"):
        load(tmp_path, task="autoencode")
