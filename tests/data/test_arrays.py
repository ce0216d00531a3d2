"""Arrays: which task they ask for, how they are scaled, and every refusal by its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.config import from_json, to_json
from lamina.data.array_preprocessing import ArrayPreprocessing, fit_scale
from lamina.data.arrays import RowNames, load_array_split, load_arrays
from lamina.data.base import ClassTarget, MultiLabelTarget, ValueTarget
from lamina.data.npz import read_npz
from lamina.errors import ConfigError, DataError

rng = np.random.default_rng(0)
X = rng.normal(3, 2, (100, 4))
Y = np.arange(100) % 3


@pytest.mark.parametrize(
    ("y", "kind", "names"),
    [
        (Y, ClassTarget, ("0", "1", "2")),
        (np.where(Y == 1, -1, 10), ClassTarget, ("-1", "10")),
        (np.asarray(["cat", "dog"] * 50), ClassTarget, ("cat", "dog")),
        (np.asarray(["b", "a"] * 50, object), ClassTarget, ("a", "b")),
        (Y == 0, ClassTarget, ("False", "True")),
        (np.eye(3)[Y], ClassTarget, ("0", "1", "2")),
        (Y[:, None], ClassTarget, ("0", "1", "2")),
        (rng.integers(0, 2, (100, 3)), MultiLabelTarget, ("0", "1", "2")),
        (X[:, 0], ValueTarget, ("value",)),
        (X[:, :2], ValueTarget, ("value 0", "value 1")),
    ],
)
def test_the_task_follows_from_y(y: np.ndarray, kind: type, names: tuple[str, ...]) -> None:
    data = load_arrays({"train": (X, y)})
    assert isinstance(data.target, kind)
    assert data.target.names == names  # type: ignore[attr-defined]
    assert len(data.train) + len(data.validation) + len(data.test or ()) == 100
    assert data.train.targets.dtype == (np.int32 if kind is ClassTarget else np.float32)


def test_the_task_can_be_given() -> None:
    assert isinstance(load_arrays({"train": (X, Y)}, task="regress").target, ValueTarget)
    assert load_arrays({"train": (X, Y.astype(float))}, task="classify").target == ClassTarget(("0", "1", "2"))
    with pytest.raises(ConfigError, match=r"Unknown task 'clasify'.*classify"):
        load_arrays({"train": (X, Y)}, task="clasify")


def test_standard_scaling_is_fitted_on_the_training_part_alone() -> None:
    data = load_arrays({"train": (X, Y), "validation": (X * 100, Y), "test": (X[:1], Y[:1])})
    assert isinstance(data.preprocessing, ArrayPreprocessing)
    np.testing.assert_allclose(data.preprocessing.mean, X.mean(axis=0))
    np.testing.assert_allclose(data.train.read(np.arange(100)).std(axis=0), 1, rtol=1e-5)
    changed = load_arrays({"train": (X, Y), "validation": (X * 7, Y), "test": (X[:1] + 9, Y[:1])})
    assert changed.preprocessing == data.preprocessing
    assert changed.target == data.target


@pytest.mark.parametrize("shape", [(), (4,), (5, 3), (6, 5, 3)])
def test_scaling_runs_along_the_last_axis(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(5, 3, (200, *shape))
    expected = x if shape else x[:, None]
    axes = tuple(range(expected.ndim - 1))
    encoded = fit_scale(expected, "auto").encode(x)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, (expected - expected.mean(axes)) / expected.std(axes), atol=1e-5)
    low, high = expected.min(axes), expected.max(axes)
    np.testing.assert_allclose(fit_scale(expected, "minmax").encode(x), (expected - low) / (high - low), atol=1e-6)
    np.testing.assert_array_equal(fit_scale(expected, "none").encode(x), expected.astype(np.float32))


def test_large_offsets_lose_nothing_and_constants_become_zero() -> None:
    x = np.stack([1e9 + np.arange(64.0), np.full(64, 7.0)], axis=1)
    encoded = fit_scale(x, "standard").encode(x)
    np.testing.assert_allclose(encoded[:, 0], (np.arange(64) - 31.5) / np.arange(64).std(), rtol=1e-6)
    assert not encoded[:, 1].any()


def test_whole_numbers_stay_whole_where_nothing_is_scaled() -> None:
    data = load_arrays({"train": (rng.integers(0, 1000, (60, 9)), np.arange(60) % 2)}, scale="none")
    assert data.preprocessing.input_spec().dtype == np.int32
    assert data.train.read(np.arange(3)).dtype == np.int32
    with pytest.raises(DataError, match="whole numbers"):
        data.preprocessing.encode(np.zeros((1, 9)))


def test_the_preprocessing_survives_json() -> None:
    fitted = fit_scale(X, "standard")
    assert from_json(json.loads(json.dumps(to_json(fitted)))) == fitted
    assert fitted.input_spec().shape == (4,)


def test_pictures_are_prepared_as_picture_files_are() -> None:
    images = rng.integers(0, 256, (40, 5, 6), dtype=np.uint8)
    for x in (images, images[..., None], np.repeat(images[..., None], 3, axis=3)):
        data = load_arrays({"train": (x, np.arange(40) % 2)})
        channels = 1 if x.ndim == 3 else x.shape[3]
        assert data.preprocessing.kind == data.card.kind == "image"
        assert data.preprocessing.input_spec().shape == (5, 6, channels)
        encoded = data.train.read(np.arange(len(data.train)))
        assert encoded.dtype == np.uint8
        assert encoded.shape == (32, 5, 6, channels)
        network_input = np.asarray(data.preprocessing.transform(encoded))
        np.testing.assert_allclose(network_input.mean(axis=(0, 1, 2)), 0, atol=1e-3)
        np.testing.assert_allclose(network_input.std(axis=(0, 1, 2)), 1, atol=1e-3)
        np.testing.assert_array_equal(encoded, x.reshape(40, 5, 6, channels)[_rows(data.train)])


def _rows(split: Any) -> list[int]:
    return [int(name.split()[-1]) for name in split.names]


def test_names_lead_back_to_the_rows() -> None:
    data = load_arrays({"train": (X, Y)}, scale="none")
    for split in (data.train, data.validation, data.test):
        assert split is not None
        np.testing.assert_array_equal(split.read(np.arange(len(split))), X[_rows(split)].astype(np.float32))
        np.testing.assert_array_equal(split.targets, Y[_rows(split)])
    names = RowNames("row", np.asarray([4, 5, 6]))
    assert (names[1], list(names[1:]), len(names)) == ("row 5", ["row 5", "row 6"], 3)


def test_duplicates_stay_on_one_side_and_are_told() -> None:
    data = load_arrays({"train": (np.concatenate([X, X[:40]]), np.concatenate([Y, Y[:40]]))}, scale="none")
    sides = [{row % 100 for row in _rows(split)} for split in (data.train, data.validation, data.test)]
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]
    assert data.card.duplicates["within"] == 40
    assert data.card.duplicates["across"] == 0
    given = load_arrays({"train": (X, Y), "test": (X[:2], Y[:2])})
    assert given.card.duplicates["across"] == 2
    assert any("more than one of the given parts" in warning for warning in given.card.warnings)


def test_given_parts_are_kept() -> None:
    data = load_arrays({"train": (X, Y), "test": (X[:7] + 1, Y[:7])})
    assert (len(data.train), len(data.validation), len(data.test or ())) == (91, 9, 7)
    both = load_arrays({"train": (X, Y), "validation": (X[:9] + 1, Y[:9])})
    assert (len(both.train), len(both.validation), both.test) == (100, 9, None)
    assert both.card.split_rule == "The train and validation parts are given."


def test_the_seed_decides_the_split() -> None:
    first, again, other = (load_arrays({"train": (X, Y)}, seed=seed) for seed in (1, 1, 2))
    assert list(first.train.names) == list(again.train.names)
    assert first.preprocessing == again.preprocessing
    assert list(first.train.names) != list(other.train.names)


def test_positive_values_of_many_magnitudes_are_learned_as_logarithms() -> None:
    prices = np.exp(rng.normal(3, 2, 100))
    target = load_arrays({"train": (X, prices)}).target
    assert isinstance(target, ValueTarget)
    assert target.log
    np.testing.assert_allclose(target.decode(target.encode(prices))[:, 0], prices, rtol=1e-5)
    for others in (np.exp(rng.normal(3, 1, 100)), prices - prices.min()):
        assert not load_arrays({"train": (X, others)}).target.log  # type: ignore[attr-defined]


def _with(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("x", "y", "options", "words"),
    [
        (_with(X, (17, 2), np.nan), Y, {}, r"train x, has 1 NaN or infinite numbers, the first at index \(17, 2\)"),
        (_with(X, slice(3, 5), np.inf), Y, {}, r"has 8 NaN or infinite numbers, the first at index \(3, 0\)"),
        (X, _with(X[:, 0], 5, np.nan), {}, r"train y, has 1 NaN or infinite numbers, the first at index \(5,\)"),
        (X, Y[:-1], {}, r"x has 100 examples and y has the shape \(99,\)"),
        (X, 3, {}, "x has 100 examples and y has the shape"),
        (X[:0], Y[:0], {}, "there are no examples"),
        (np.asarray(["a"] * 100), Y, {}, "must be an array of numbers"),
        ([[1, 2], [3]], [0, 1], {}, "cannot be made an array"),
        (X, np.zeros(100, int), {}, "has one class only, '0'"),
        (X, _with(Y, 0, 9), {}, "class with one example only: '9'"),
        (X, np.arange(100), {}, "100 classes with one example only: .* set the task to 'regress'"),
        (X, Y + 0.5, {"task": "classify"}, "0.5 at index 0 is not whole"),
        (X, np.ones(100), {}, "is constant"),
        (X, np.asarray(["a"] * 50 + ["b"] * 50), {"task": "regress"}, "expected numbers to regress"),
        (X, np.asarray(["a", None] * 50, object), {}, "is missing in 50 examples, the first at index 1"),
        (X, Y, {"task": "multilabel"}, "one column a label"),
        (X, X, {"task": "multilabel"}, "expected rows of 0 or 1"),
        (X, np.zeros((100, 2, 2)), {}, "expected one label"),
        (X, Y, {"classes": ("a", "b")}, "33 labels out of range, the first 2 at index 2; expected 0 to 1"),
        (np.zeros((1, 2)), [1.5], {}, "1 examples of which 1 are distinct cannot be split|is constant"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(x: Any, y: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_arrays({"train": (x, y)}, **options)


def test_parts_must_fit_together() -> None:
    with pytest.raises(DataError, match=r"test part has examples of shape \(3,\), the train part of shape \(4,\)"):
        load_arrays({"train": (X, Y), "test": (X[:, :3], Y)})
    with pytest.raises(DataError, match="label '7' is none of the 3 classes"):
        load_arrays({"train": (X, Y), "test": (X, _with(Y, 0, 7))})
    with pytest.raises(DataError, match="Expected the parts 'train'"):
        load_arrays({"test": (X, Y)})
    with pytest.raises(ConfigError, match=r"Unknown scale 'standart'.*standard"):
        load_arrays({"train": (X, Y)}, scale="standart")


def test_arrays_with_channels_first_are_told_of() -> None:
    card = load_arrays({"train": (rng.normal(size=(20, 3, 8, 8)), np.arange(20) % 2)}).card
    assert any("channels first" in warning for warning in card.warnings)


def test_a_trained_model_reads_the_test_part_or_everything() -> None:
    data = load_arrays({"train": (X, Y)})
    split, card = load_array_split({"train": (X, Y)}, data.preprocessing, data.target)
    assert (len(split), card.splits["test"]["examples"]) == (100, 100)
    np.testing.assert_array_equal(split.targets, Y)
    split, _ = load_array_split({"train": (X, Y), "test": (X[:5], Y[:5])}, data.preprocessing, data.target)
    assert len(split) == 5
    with pytest.raises(DataError, match=r"has the shape \(100, 3\); expected \(n, 4\)"):
        load_array_split({"train": (X[:, :3], Y)}, data.preprocessing, data.target)
    with pytest.raises(DataError, match="none of the 3 classes"):
        load_array_split({"train": (X, Y.astype(str).astype("U2") + np.str_("x"))}, data.preprocessing, data.target)


def test_npz_files_are_read_by_the_names_of_their_arrays(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    for arrays, parts in [
        ({"x": X, "y": Y}, ["train"]),
        ({"images": X, "labels": Y}, ["train"]),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}, ["train", "test"]),
        ({"train_images": X, "train_labels": Y, "val_images": X, "val_labels": Y}, ["train", "validation"]),
    ]:
        np.savez(path, **arrays)  # type: ignore[arg-type]
        found = read_npz(path)
        assert list(found) == parts
        np.testing.assert_array_equal(found["train"][0], X)
    np.savez(path, a=X, b=Y)
    with pytest.raises(DataError, match=r"holds a \(100, 4\), b \(100,\).*Name them x and y"):
        read_npz(path)
    np.savez(path, x=np.asarray([{}, {}]), y=Y[:2])
    with pytest.raises(DataError, match=r"not a whole NumPy file.*Python objects"):
        read_npz(path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_npz(tmp_path / "none.npz")


@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), keep=st.floats(0, 1))
def test_a_broken_npz_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, position: float, byte: int, keep: float
) -> None:
    path = tmp_path_factory.mktemp("npz") / "data.npz"
    np.savez_compressed(path, x=X[:20].astype(np.float32), y=Y[:20])
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] = byte
    path.write_bytes(content[: int(keep * len(content))] if keep < 0.5 else content)
    try:
        parts = read_npz(path)
    except DataError:
        return
    np.testing.assert_array_equal(parts["train"][0], X[:20].astype(np.float32))


def test_prediction_gathers_files_of_arrays(tmp_path: Path) -> None:
    fitted = fit_scale(X, "standard")
    np.save(tmp_path / "a.npy", X[:2])
    np.savez(tmp_path / "b.npz", x=X[2:5], y=Y[2:5])
    inputs = fitted.gather([str(tmp_path / "a.npy"), str(tmp_path / "b.npz")])
    assert inputs.names[2] == f"{tmp_path / 'b.npz'} 0"
    np.testing.assert_array_equal(inputs.raw, X[:5])
    np.save(tmp_path / "c.npy", X[:2, :3])
    with pytest.raises(DataError, match=r"expected \(n, 4\)"):
        fitted.gather([str(tmp_path / "c.npy")])
