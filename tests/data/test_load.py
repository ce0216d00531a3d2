"""`load` and `load_split`: every kind of source finds its reader, everything else its sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lamina.data import load, load_split
from lamina.data.sources import identify
from lamina.errors import ConfigError, DataError

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 3)), np.arange(60) % 2
FRAME = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    lines = ["file,label"]
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{index}.png")
            lines.append(f"{label}/{index}.png,{label}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_every_kind_is_told_from_its_looks(tmp_path: Path, pictures: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    FRAME.write_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", x=X, y=Y)
    expected: list[tuple[Any, str]] = [
        ("digits", "builtin"),
        (tmp_path / "t.csv", "table"),
        (str(tmp_path / "t.parquet"), "table"),
        (tmp_path / "t.npz", "arrays"),
        (pictures, "images"),
        (pictures / "list.csv", "image list"),
        ((X, Y), "arrays"),
        ([X, Y], "arrays"),
        ({"train": (X, Y)}, "arrays"),
        (FRAME, "table"),
        ((FRAME, Y), "table"),
        ([{"a": 1.0}, {"a": 2.0}], "table"),
    ]
    assert [identify(source) for source, _ in expected] == [kind for _, kind in expected]
    assert identify({"a": [1], "y": [2]}, "y") == "table"


def test_a_table_that_happens_to_name_pictures_stays_a_table(tmp_path: Path) -> None:
    frame = FRAME.with_columns(pl.Series("photo", [f"{index}.jpg" for index in range(60)]))
    frame.write_csv(tmp_path / "t.csv")
    assert identify(tmp_path / "t.csv") == "table"


def test_every_kind_loads_and_is_read_again(tmp_path: Path, pictures: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    np.savez(tmp_path / "t.npz", x=X, y=Y)
    sources: list[tuple[Any, dict[str, Any]]] = [
        (tmp_path / "t.csv", {"target": "y"}),
        (FRAME, {"target": "y"}),
        ((FRAME.drop("y"), Y), {}),
        (tmp_path / "t.npz", {}),
        ((X, Y), {}),
        (pictures, {}),
        (pictures / "list.csv", {"target": "label"}),
    ]
    for source, options in sources:
        data = load(source, **options)
        split, card = load_split(source, data.preprocessing, data.target)
        assert len(split) == card.splits["test"]["examples"]
        assert len(split) == len(data.train) + len(data.validation) + len(data.test or ())
        spec = data.preprocessing.input_spec()
        assert data.preprocessing.transform(split.read(np.arange(2))).shape == (2, *spec.shape)


def test_a_given_test_part_is_kept(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "train.csv")
    FRAME[:9].with_columns(pl.col("a") + 5).write_csv(tmp_path / "test.csv")
    data = load(tmp_path / "train.csv", target="y", test=tmp_path / "test.csv")
    assert (len(data.train), len(data.validation), len(data.test or ())) == (54, 6, 9)
    data = load((X, Y), test=(X[:5] + 1, Y[:5]))
    assert (len(data.train), len(data.validation), len(data.test or ())) == (54, 6, 5)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digitz", "There is no digitz. Did you mean 'digits'"),
        (
            "no/such/place",
            "There is no no/such/place. Built-in sets: digits, mnist, fashion-mnist|digits, fashion-mnist",
        ),
        (3, "Expected a path, .* Received: int"),
        ({"a": [1]}, r"Received: dict.*Give arrays as \(x, y\)"),
    ],
)
def test_what_is_no_source_is_refused(source: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(source)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train-images-idx3-ubyte.gz", "Give the folder that holds the IDX files"),
        ("cat.jpg", "one sub-folder of pictures a class"),
        ("x.npy", "numpy.savez"),
        ("photos.zip", "Unpack it"),
        ("story.docx", "no data that Lamina can learn from. Lamina learns from"),
    ],
)
def test_files_of_other_kinds_come_with_advice(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=words):
        load(tmp_path / name)


def test_a_slip_in_a_path_gets_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "titanic.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"Did you mean '.*titanic\.csv'"):
        load(tmp_path / "titanik.csv")


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("digits", {"target": "y"}, "A target column is for tables. Received: target='y'"),
        ((X, Y), {"target": "y"}, "A target column is for tables"),
        ("digits", {"size": 32}, "A size is for pictures and videos in files. Received: size=32"),
        ("digits", {"test": "other.csv"}, "a built-in set has one"),
        ("digits", {"task": "clasify"}, "Unknown task 'clasify'. Did you mean 'classify'"),
        ("digits", {"scale": "std"}, "Unknown scale 'std'. Did you mean 'standard'"),
        (FRAME, {"target": "y", "task": "multilabel"}, "not for tables"),
    ],
)
def test_options_that_do_not_apply_are_refused(source: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(source, **options)


def test_pictures_take_the_tasks_of_pictures(pictures: Path) -> None:
    with pytest.raises(ConfigError, match=r"'regress' is not possible with these pictures\. Possible: classify"):
        load(pictures, task="regress")
    with pytest.raises(ConfigError, match="sub-folder 'test'"):
        load(pictures, test=pictures)


def test_a_model_reads_its_own_kind(pictures: Path) -> None:
    table, arrays = load(FRAME, target="y"), load((X, Y))
    with pytest.raises(DataError, match=r"takes rows of a table\. Received: .*photos \(images\)"):
        load_split(pictures, table.preprocessing, table.target)
    with pytest.raises(DataError, match=r"takes arrays of numbers\. Received: what is in memory \(table\)"):
        load_split(FRAME, arrays.preprocessing, arrays.target)
    with pytest.raises(DataError, match=r"takes rows of a table\. Received: what is in memory \(arrays\)"):
        load_split((X, Y), table.preprocessing, table.target)


def test_heavy_libraries_are_imported_when_they_are_needed() -> None:
    code = (
        "import sys, numpy as np, lamina.data as d;"
        "d.load((np.arange(40.).reshape(20, 2), np.arange(20) % 2));"
        "print(sorted({'polars', 'PIL', 'matplotlib', 'sklearn', 'optax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
