"""Built-in sets and the IDX files they come in."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.data import load, load_split
from lamina.data.builtin import load_builtin
from lamina.data.idx import find_idx, read_idx, read_idx_folder
from lamina.errors import DataError

_CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx_bytes(array: np.ndarray, dtype: str = "u1") -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, _CODES[dtype], array.ndim, *array.shape)
    return header + array.astype(dtype).tobytes()


def write_set(folder: Path, count: int = 40, test: int = 10) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, size in (("train", count), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (size, 4, 5), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(size) % 3).astype(np.uint8)
    for name, array in arrays.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
    return arrays


@pytest.mark.parametrize("dtype", list(_CODES))
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_of_every_type_are_read(tmp_path: Path, dtype: str, zipped: bool) -> None:
    array = np.arange(24).reshape(2, 3, 4)
    content = idx_bytes(array, dtype)
    path = tmp_path / ("a-idx3-ubyte.gz" if zipped else "a-idx3-ubyte")
    path.write_bytes(gzip.compress(content) if zipped else content)
    found = read_idx(path)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an IDX file: it begins with nothing"),
        (b"\x89PNG....", "is not an IDX file: it begins with 89 50 4e 47"),
        (b"\0\0\x08\0", "is not an IDX file"),
        (b"\0\0\x08\x03\0\0", "ends within its header"),
        (idx_bytes(np.zeros((3, 4)))[:-1], "cut short"),
        (
            idx_bytes(np.zeros((3, 4))) + b"x",
            r"goes on after the 12 bytes that its header announces for shape \(3, 4\)",
        ),
        (struct.pack(">BBBB3I", 0, 0, 0x0E, 3, 2**31, 2**31, 2**31), "announces 79228162514264337593543950336 bytes"),
    ],
)
def test_a_broken_idx_file_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_idx(path)
    path = path.with_suffix(".gz")
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=words if "announces 7" not in words else "cut short"):
        read_idx(path)


def test_a_cut_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 256, (50, 50))))[:-30])
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_idx(path)
    path.write_bytes(b"no gzip")
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_idx(path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_idx(tmp_path / "none")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), keep=st.floats(0, 1), zipped=st.booleans())
def test_corruption_gives_a_data_error_or_an_array(
    tmp_path: Path, place: float, byte: int, keep: float, zipped: bool
) -> None:
    content = idx_bytes(np.arange(60).reshape(3, 4, 5))
    content = gzip.compress(content) if zipped else content
    changed = bytearray(content[: max(1, int(keep * len(content)))])
    changed[int(place * len(changed))] = byte
    path = tmp_path / ("f.gz" if zipped else "f")
    path.write_bytes(changed)
    try:
        found = read_idx(path)
    except DataError:
        return
    assert found.nbytes <= 60
    if zipped:  # a checksum guards it
        np.testing.assert_array_equal(found, np.arange(60).reshape(3, 4, 5))


def test_a_folder_of_idx_files_is_data(tmp_path: Path) -> None:
    arrays = write_set(tmp_path)
    data = load(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test or ())) == (37, 3, 10)
    assert data.target.names == ("0", "1", "2")  # type: ignore[attr-defined]
    assert data.preprocessing.input_spec().shape == (4, 5, 1)
    assert data.test is not None
    np.testing.assert_array_equal(data.test.read(np.arange(10))[..., 0], arrays["t10k-images-idx3-ubyte"])
    split, _ = load_split(tmp_path, data.preprocessing, data.target)
    np.testing.assert_array_equal(split.targets, data.test.targets)


def test_a_folder_must_hold_both_images_and_labels(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="has no test-labels-idx1-ubyte"):
        read_idx_folder(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    assert list(read_idx_folder(tmp_path)) == ["train"]
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match="has no train-images-idx3-ubyte"):
        read_idx_folder(tmp_path)


def test_a_folder_holds_one_set(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "emnist-letters-train-images-idx3-ubyte.gz").write_bytes(b"")
    with pytest.raises(DataError, match="more than one set of IDX files"):
        find_idx(tmp_path)


def test_labels_that_no_class_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = write_set(tmp_path / "fashion-mnist")
    labels = arrays["train-labels-idx1-ubyte"]
    labels[7] = 10
    (tmp_path / "fashion-mnist" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    with pytest.raises(DataError, match="1 labels out of range, the first 10 at index 7; expected 0 to 9"):
        load("fashion-mnist")


def test_digits_come_with_the_package_and_have_one_split() -> None:
    first, second = load("digits", seed=0), load("digits", seed=5)
    assert [len(split) for split in (first.train, first.validation, first.test or ())] == [1438, 180, 179]
    np.testing.assert_array_equal(first.test.targets, second.test.targets)  # type: ignore[union-attr]
    np.testing.assert_array_equal(first.test.read(np.arange(179)), second.test.read(np.arange(179)))  # type: ignore[union-attr]
    pictures = first.train.read(np.arange(1438))
    assert (pictures.shape, pictures.dtype, pictures.min(), pictures.max()) == ((1438, 8, 8, 1), np.uint8, 0, 255)
    assert min(first.card.splits["test"]["classes"].values()) >= 17
    assert "whatever the seed" in first.card.split_rule


def test_digits_are_the_digits_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    known = {
        image.astype(np.uint8).tobytes(): target for image, target in zip(*load_digits(return_X_y=True), strict=True)
    }
    data = load("digits", scale="none")
    for split in (data.train, data.validation, data.test):
        assert split is not None
        pictures = np.rint(split.read(np.arange(len(split)))[..., 0] * (16 / 255)).astype(np.uint8)
        assert [known[picture.tobytes()] for picture in pictures] == split.targets.tolist()


def test_the_test_part_of_a_built_in_set_is_the_models_to_be_measured_on() -> None:
    data = load("digits")
    split, card = load_split("digits", data.preprocessing, data.target)
    np.testing.assert_array_equal(split.targets, data.test.targets)  # type: ignore[union-attr]
    np.testing.assert_array_equal(split.read(np.arange(3)), data.test.read(np.arange(3)))  # type: ignore[union-attr]
    assert card.splits["test"]["examples"] == 179


def test_a_set_that_is_not_there_says_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lamina.data.builtin.usual_places", lambda name: [tmp_path / "a" / name, tmp_path / "b" / name])
    with pytest.raises(
        DataError, match=r"files of fashion-mnist were not found.*b/fashion-mnist.*dataset-fashion-mnist"
    ):
        load_builtin("fashion-mnist")


def test_a_named_set_is_found_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "mnist")
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    data = load("mnist", seed=3)
    assert (len(data.train), len(data.validation), len(data.test or ())) == (37, 3, 10)
    assert data.target.names == tuple("0123456789")  # type: ignore[attr-defined]
    assert "The test part is given" in data.card.split_rule


@pytest.mark.slow
def test_mnist_whole(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_DATA", str(shared_data))
    data: Any = load("mnist")
    assert len(data.train) + len(data.validation) == 60_000
    assert data.card.splits["test"]["classes"] == dict(
        zip("0123456789", (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009), strict=True)
    )
    assert data.card.duplicates["across"] == 0
