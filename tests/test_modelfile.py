from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina as lm
from lamina import modelfile, trees
from lamina.data import load
from lamina.errors import BadInputError, ConfigError, ModelFileError
from lamina.model import Model

NETWORK = lm.Sequential(lm.Flatten(), lm.Dense(4), lm.BatchNorm(), lm.relu, out=lm.Dense(10))
ENTRIES = ("network.json", "weights.safetensors", "preprocessing.json", "card.json")


@pytest.fixture(scope="module")
def model() -> Model:
    data = load("digits")
    params, state = NETWORK.init(jax.random.key(3), data.preprocessing.input_spec())
    return Model(NETWORK, params, state, data.preprocessing, data.target, {"seed": 3, "test": {"accuracy": 0.5}})


@pytest.fixture(scope="module")
def whole(model: Model, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "m.lamina"
    model.save(path)
    return path.read_bytes()


def same(one: Model, other: Model) -> bool:
    ours, theirs = trees.flatten((one.params, one.state)), trees.flatten((other.params, other.state))
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def repacked(
    whole: bytes,
    change: Callable[[dict[str, bytes]], None] = lambda entries: None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def edited(whole: bytes, entry: str, change: Callable[[Any], Any]) -> bytes:
    def edit(entries: dict[str, bytes]) -> None:
        value = json.loads(entries[entry])
        entries[entry] = json.dumps(change(value) or value).encode()

    return repacked(whole, edit)


def read(data: bytes, tmp_path: Path) -> Model:
    path = tmp_path / "other.lamina"
    path.write_bytes(data)
    return lm.load(path)


def refused(data: bytes, tmp_path: Path, words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        read(data, tmp_path)


def test_a_model_comes_back_equal(model: Model, whole: bytes, tmp_path: Path) -> None:
    back = read(whole, tmp_path)
    assert same(back, model)
    assert (back.network, back.preprocessing, back.target) == (model.network, model.preprocessing, model.target)
    assert dict(back.card) == dict(model.card)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    np.testing.assert_array_equal(back.predict(pictures).probabilities, model.predict(pictures).probabilities)


def test_the_same_model_is_the_same_bytes(model: Model, whole: bytes, tmp_path: Path) -> None:
    model.save(tmp_path / "again.lamina")
    assert (tmp_path / "again.lamina").read_bytes() == whole
    read(whole, tmp_path).save(tmp_path / "resaved.lamina")
    assert (tmp_path / "resaved.lamina").read_bytes() == whole


def test_the_file_is_json_and_safetensors_without_a_pickle(whole: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert tuple(archive.namelist()) == ENTRIES
        for name in ENTRIES:
            data = archive.read(name)
            if name.endswith(".json"):
                json.loads(data)
            else:
                assert "params.out.kernel" in trees.from_bytes(data)
            with pytest.raises((pickle.UnpicklingError, EOFError, KeyError, ValueError, IndexError, AttributeError)):
                pickle.loads(data)


def test_reading_imports_nothing_that_the_file_names(whole: bytes, tmp_path: Path) -> None:
    data = edited(whole, "network.json", lambda head: head | {"network": {"type": "antigravity.Fly"}})
    refused(data, tmp_path, "Unknown type 'antigravity.Fly'")


def test_a_newer_version_says_so_before_anything_else(whole: bytes, tmp_path: Path) -> None:
    data = edited(whole, "network.json", lambda head: {"format": modelfile.FORMAT + 1, "layers": "otherwise"})
    refused(data, tmp_path, rf"newer Lamina \(format {modelfile.FORMAT + 1}; this one reads up to {modelfile.FORMAT}")

    def rearranged(entries: dict[str, bytes]) -> None:
        entries["weights.v2"] = entries.pop("weights.safetensors")

    refused(repacked(data, rearranged), tmp_path, "newer Lamina")


@pytest.mark.parametrize("version", [None, 0, -1, "1", True, 1.0])
def test_a_file_without_a_version_is_refused(version: Any, whole: bytes, tmp_path: Path) -> None:
    refused(edited(whole, "network.json", lambda head: head | {"format": version}), tmp_path, "no format version")


@pytest.mark.parametrize("sixteenths", range(16))
def test_a_file_cut_short_is_refused(sixteenths: int, whole: bytes, tmp_path: Path) -> None:
    refused(whole[: len(whole) * sixteenths // 16], tmp_path, "not a whole Lamina model: it is cut short, corrupt")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["flip", "insert", "delete", "swap"]),
    place=st.floats(0, 1, exclude_max=True),
    count=st.integers(1, 40),
    value=st.binary(min_size=40, max_size=40),
)
def test_damage_is_an_error_or_harmless(
    kind: str, place: float, count: int, value: bytes, model: Model, whole: bytes, tmp_path: Path
) -> None:
    at = int(place * len(whole))
    damaged = {
        "flip": whole[:at] + bytes([whole[at] ^ (1 << count % 8)]) + whole[at + 1 :],
        "insert": whole[:at] + value[:count] + whole[at:],
        "delete": whole[:at] + whole[at + count :],
        "swap": whole[:at] + value[:count] + whole[at + count :],
    }[kind]
    try:
        loaded = read(damaged, tmp_path)
    except ModelFileError:
        return
    assert same(loaded, model)
    assert (loaded.network, loaded.preprocessing) == (model.network, model.preprocessing)
    assert loaded.target == model.target


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entry=st.sampled_from(ENTRIES), place=st.floats(0, 1, exclude_max=True), value=st.binary(min_size=1, max_size=8))
def test_damage_inside_a_well_formed_archive_never_crashes(
    entry: str, place: float, value: bytes, whole: bytes, tmp_path: Path
) -> None:
    def damage(entries: dict[str, bytes]) -> None:
        data = entries[entry]
        at = int(place * len(data))
        entries[entry] = data[:at] + value + data[at + len(value) :]

    try:
        loaded = read(repacked(whole, damage), tmp_path)
    except ModelFileError:
        return
    assert isinstance(loaded, Model)


def test_compressed_entries_are_refused(whole: bytes, tmp_path: Path) -> None:
    refused(repacked(whole, compression=zipfile.ZIP_DEFLATED), tmp_path, "not stored plainly")


def test_entries_that_claim_to_be_huge_are_refused(whole: bytes, tmp_path: Path) -> None:
    """The size is stated in the archive's directory, at byte 24 of each of its records."""
    at = whole.index(b"PK\x01\x02") + 24
    claimed = whole[:at] + (2**31 - 1).to_bytes(4, "little") + whole[at + 4 :]
    refused(claimed, tmp_path, "not stored plainly")


def test_entries_of_one_name_or_that_are_missing_are_refused(whole: bytes, tmp_path: Path) -> None:
    buffer = io.BytesIO(whole)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("network.json", b"{}")
    refused(buffer.getvalue(), tmp_path, "two entries 'network.json'")
    for name in ENTRIES:
        refused(repacked(whole, lambda entries, name=name: entries.pop(name)), tmp_path, f"no entry {name}")  # type: ignore[misc]


def test_nothing_is_ever_unpacked_to_disk(model: Model, whole: bytes, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"

    def smuggle(entries: dict[str, bytes]) -> None:
        entries[str(outside)] = b"x"
        entries["../outside.txt"] = b"x"

    assert same(read(repacked(whole, smuggle), tmp_path), model)
    assert [path.name for path in tmp_path.iterdir()] == ["other.lamina"]


@pytest.mark.parametrize(
    ("entry", "change", "words"),
    [
        ("network.json", lambda head: head["network"]["layers"][1][1].update(type="Densse"), "'Densse'.*'Dense'"),
        ("network.json", lambda head: head["network"]["layers"][1][1].update(unit=4), "Dense has no field 'unit'"),
        ("network.json", lambda head: head["network"]["layers"][1][1].update(units=5), r"params\.1\.bias is \(4,\)"),
        ("network.json", lambda head: head["network"]["layers"][1][1].update(units="x"), "units"),
        ("network.json", lambda head: head["network"]["layers"][1][1].update(kernel_init=7), "cannot be built"),
        ("network.json", lambda head: head.update(network=[1, 2]), "Expected a Layer"),
        ("network.json", lambda head: [head], "no JSON object"),
        ("preprocessing.json", lambda body: body.update(target=None), "Expected a Target"),
        ("preprocessing.json", lambda body: body.update(preprocessing=body["target"]), "Expected a Preprocessing"),
        ("card.json", lambda card: card.update(seed=float("nan")), "card.json is no JSON"),
    ],
)
def test_a_model_that_does_not_make_sense_is_refused(
    entry: str, change: Any, words: str, whole: bytes, tmp_path: Path
) -> None:
    refused(edited(whole, entry, change), tmp_path, words)


def test_weights_that_do_not_belong_to_the_network_are_refused(whole: bytes, tmp_path: Path) -> None:
    def without_kernel(entries: dict[str, bytes]) -> None:
        table = trees.from_bytes(entries["weights.safetensors"])
        del table["params.out.kernel"]
        entries["weights.safetensors"] = trees.to_bytes(table)

    def doubles(entries: dict[str, bytes]) -> None:
        table = trees.from_bytes(entries["weights.safetensors"])
        table["params.out.kernel"] = table["params.out.kernel"].astype(np.float64)
        entries["weights.safetensors"] = trees.to_bytes(table)

    refused(repacked(whole, without_kernel), tmp_path, r"no entry params\.out\.kernel")
    refused(repacked(whole, doubles), tmp_path, "float64; the network needs .* float32")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    refused(b"", tmp_path, "not a whole Lamina model")
    refused(b"\x89PNG\r\n\x1a\n" + bytes(100), tmp_path, "not a whole Lamina model")
    with pytest.raises(ModelFileError, match=r"There is no model at .*absent"):
        lm.load(tmp_path / "absent.lamina")
    with pytest.raises(ModelFileError, match="not a whole Lamina model"):
        lm.load(tmp_path)


def test_numbers_that_json_cannot_hold_are_refused_when_written(model: Model, tmp_path: Path) -> None:
    for card in ({"loss": float("nan")}, {"loss": float("inf")}, {"path": tmp_path}):
        with pytest.raises(ConfigError, match="card holds what JSON cannot"):
            replace(model, card=card).save(tmp_path / "m.lamina")
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_refused_and_leaves_nothing(model: Model, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be written"):
        model.save(tmp_path / "absent" / "m.lamina")
    (tmp_path / "folder.lamina").mkdir()
    with pytest.raises(BadInputError, match="cannot be written"):
        model.save(tmp_path / "folder.lamina")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.lamina"]


def test_a_failed_write_leaves_the_old_file_whole(
    model: Model, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.lamina"
    path.write_bytes(whole)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BadInputError, match="No space left on device"):
        replace(model, card={"seed": 4}).save(path)
    assert path.read_bytes() == whole
    assert [file.name for file in tmp_path.iterdir()] == ["m.lamina"]


def test_a_network_with_a_bare_function_cannot_be_saved(model: Model, tmp_path: Path) -> None:
    network = lm.Sequential(lm.Flatten(), lambda x: x * 2, lm.Dense(10))
    with pytest.raises(ConfigError, match=r"lambda.*Write it as a Layer subclass"):
        replace(model, network=network).save(tmp_path / "m.lamina")
    assert list(tmp_path.iterdir()) == []
