"""`.ts` files: read, refused, split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lamina import data
from lamina.config import from_json, to_json
from lamina.data.series_preprocessing import SeriesPreprocessing
from lamina.data.series_ts import read_ts
from lamina.errors import ConfigError, DataError
from lamina.layers import Masked

HEAD = """# made up
@problemName Made
@timeStamps false
@missing false
@univariate true
@equalLength true
@seriesLength 4
@classLabel true up down
@data
"""


def write(path: Path, *lines: str, head: str = HEAD) -> Path:
    path.write_text(head + "".join(f"{line}\n" for line in lines))
    return path


def many(count: int = 10, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    lines = []
    for index in range(2 * count):
        slope = 1 if index % 2 else -1
        values = slope * np.arange(4) + rng.standard_normal(4)
        lines.append(",".join(f"{value:.4f}" for value in values) + (":up" if slope > 0 else ":down"))
    return lines


def test_series_and_labels_are_read(tmp_path: Path) -> None:
    found = read_ts(write(tmp_path / "a.ts", "1,2,3,4:up", "4,3,2.5,-1e1:down"))
    assert found.classes == ("up", "down")
    assert found.labels == ["up", "down"]
    assert found.lines == [10, 11]
    np.testing.assert_array_equal(found.series[1], np.array([[4], [3], [2.5], [-10]], np.float32))


def test_channels_are_apart_by_colons(tmp_path: Path) -> None:
    found = read_ts(write(tmp_path / "a.ts", "1,2,3,4:5,6,7,8:up", head=HEAD.replace("@univariate true", "")))
    np.testing.assert_array_equal(found.series[0], np.array([[1, 5], [2, 6], [3, 7], [4, 8]], np.float32))


def test_missing_values_lie_on_a_straight_line_and_are_told_of(tmp_path: Path) -> None:
    found = read_ts(write(tmp_path / "a.ts", "1,?,3,NaN:up"))
    np.testing.assert_array_equal(found.series[0][:, 0], [1, 2, 3, 3])
    assert found.warnings == [f"2 values of {tmp_path / 'a.ts'} are missing: filled by straight lines."]


@pytest.mark.parametrize(
    ("lines", "head", "said"),
    [
        (["1,2,3,4:up", "1,2,3:up"], HEAD, "line 11: the series has 3 values; expected 4"),
        (["1,2,3,4:up", "1,2,3,4"], HEAD, "line 11: the series has no label"),
        (["1,2,3,4:up", "1,2"], HEAD, "line 11: the series has no label"),
        (["1,2,3,4:u"], HEAD, "line 10: the label 'u' is none of the classes up, down"),
        (["1,2,x,4:up"], HEAD, "line 10: value 3 is 'x', which is no number"),
        (["?,?,?,4:up"], HEAD, "line 10: 3 of 4 values are missing"),
        (["1,2,3,4:1,2,3:up"], HEAD, "line 10: its channels have 3 to 4 values"),
        (["1,2,3,4:up", "1,2,3,4:1,2,3,4:up"], HEAD, "line 11: the series has 2 channels; those above have 1"),
        ([], HEAD, "no series after its line @data"),
        ([], HEAD.replace("@data\n", ""), "no line @data"),
        (["1,2,3,4:up"], HEAD.replace("@data\n", ""), "line 9: expected a line that begins with @"),
        (["1,2,3,4:up"], HEAD.replace("@timeStamps false", "@timeStamps true"), "every value with its time"),
        (["1,2,3,4:up"], HEAD.replace("@equalLength true", "@equalLength perhaps"), "@equallength is to be followed"),
        (["1,2,3,4:1.5"], HEAD.replace("@classLabel true up down", "@targetLabel true"), "a number for each series"),
    ],
)
def test_a_broken_file_is_refused_with_the_line(tmp_path: Path, lines: list[str], head: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_ts(write(tmp_path / "a.ts", *lines, head=head))


def test_zero_bytes_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"\0\1")
    with pytest.raises(DataError, match="not text"):
        read_ts(tmp_path / "a.ts")
    with pytest.raises(DataError, match="cannot be read"):
        read_ts(tmp_path / "b.ts")


def test_the_test_file_beside_the_training_file_is_the_test_part(tmp_path: Path) -> None:
    write(tmp_path / "Made_TRAIN.ts", *many())
    write(tmp_path / "Made_TEST.ts", *many(5, seed=1))
    loaded = data.load(tmp_path / "Made_TRAIN.ts")
    assert (len(loaded.train), len(loaded.validation)) == (18, 2)
    assert loaded.test is not None
    assert len(loaded.test) == 10
    assert loaded.target.names == ("up", "down")
    assert loaded.train.read(np.arange(3)).shape == (3, 4, 1)
    assert loaded.test.names[0] == "Made_TEST.ts line 10"
    other = data.load(tmp_path / "Made_TRAIN.ts", test=tmp_path / "Made_TRAIN.ts")
    assert other.card.duplicates["across"] == 20
    split, _ = data.load_split(tmp_path / "Made_TEST.ts", loaded.preprocessing, loaded.target)
    np.testing.assert_array_equal(split.read(np.arange(10)), loaded.test.read(np.arange(10)))


def test_channels_are_scaled_by_the_training_part(tmp_path: Path) -> None:
    loaded = data.load(write(tmp_path / "a.ts", *many()))
    values = np.asarray(loaded.train.read(np.arange(len(loaded.train))))
    assert values.mean() == pytest.approx(0, abs=1e-5)
    assert values.std() == pytest.approx(1, abs=1e-5)


def test_series_of_unequal_length_are_masked(tmp_path: Path) -> None:
    head = HEAD.replace("@equalLength true\n@seriesLength 4", "@equalLength false")
    lines = [line if index % 3 else "9," + line for index, line in enumerate(many())]
    loaded = data.load(write(tmp_path / "a.ts", *lines, head=head), scale="none")
    encoded = loaded.train.read(np.arange(len(loaded.train)))
    assert isinstance(encoded, Masked)
    assert encoded.shape == (16, 5, 1)
    assert set(encoded.lengths.tolist()) == {4, 5}
    assert (encoded.values[encoded.lengths == 4, 4] == 0).all()
    assert isinstance(loaded.preprocessing.input_spec(), Masked)


def test_a_model_refuses_series_of_another_shape(tmp_path: Path) -> None:
    preprocessing = data.load(write(tmp_path / "a.ts", *many())).preprocessing
    assert isinstance(preprocessing, SeriesPreprocessing)
    assert from_json(to_json(preprocessing)) == preprocessing
    with pytest.raises(DataError, match="Series 1 has 5 steps; the model takes 4"):
        preprocessing.encode(np.ones((2, 5, 1)))
    with pytest.raises(DataError, match="Series 1 has 2 channels; the model takes 1"):
        preprocessing.encode(np.ones((2, 4, 2)))
    with pytest.raises(DataError, match="Series 2 holds NaN"):
        preprocessing.encode([np.ones(4), np.array([1, 2, np.nan, 4])])
    inputs = preprocessing.gather([str(write(tmp_path / "b.ts", "1,2,3,4:up"))])
    assert inputs.names == (f"{tmp_path / 'b.ts'} line 10",)
    np.save(tmp_path / "c.npy", np.ones((2, 4, 1)))
    assert preprocessing.encode(preprocessing.gather([str(tmp_path / "c.npy")]).raw).shape == (2, 4, 1)


def test_labels_that_the_training_file_lacks_and_other_tasks_are_refused(tmp_path: Path) -> None:
    train = write(tmp_path / "a.ts", *many())
    head = HEAD.replace("up down", "up down flat")
    with pytest.raises(DataError, match="has the class 'flat', of which"):
        data.load(train, test=write(tmp_path / "b.ts", "1,1,1,1:flat", head=head))
    with pytest.raises(ConfigError, match=r"Series in \.ts files are classified"):
        data.load(train, task="regress")
    with pytest.raises(DataError, match="no class labels"):
        data.load(write(tmp_path / "c.ts", "1,2,3,4", head=HEAD.replace("true up down", "false")))


def test_the_archives_files_are_read(shared_data: Path) -> None:
    loaded = data.load(shared_data / "series" / "OSULeaf_TRAIN.ts")
    assert loaded.test is not None
    assert (len(loaded.train) + len(loaded.validation), len(loaded.test)) == (200, 242)
    assert loaded.preprocessing.input_spec().shape == (427, 1)
    assert loaded.target.names == ("1", "2", "3", "4", "5", "6")
