"""Files of weights: what is read, and that nothing in them is run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lamina.errors import ModelFileError
from lamina.zoo import checkpoint

torch = pytest.importorskip("torch")

FORMATS = [True, False]  # zip, and what came before


def weights() -> dict[str, Any]:
    numbers = torch.arange(24, dtype=torch.float32)
    return OrderedDict(
        plain=numbers.reshape(2, 3, 4),
        view=numbers.reshape(4, 6).T,  # of the same numbers, in another order
        part=numbers[5:9],
        half=numbers[:4].half(),
        brain=numbers[:4].bfloat16(),
        whole=torch.tensor(7),
        flags=torch.tensor([True, False]),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(numbers[:3] / 7),
    )


def expected() -> dict[str, np.ndarray]:
    return {name: value.detach().float().numpy() for name, value in weights().items()}


def same(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    assert set(got) == set(want)
    for name, value in want.items():
        assert got[name].shape == value.shape
        np.testing.assert_array_equal(got[name].astype(np.float32), value)


@pytest.mark.parametrize("new", FORMATS)
def test_pytorchs_two_formats(new: bool, tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    same(checkpoint.read(tmp_path / "w.pth"), expected())


@pytest.mark.parametrize("new", FORMATS)
def test_nested_under_a_key_with_a_wrappers_prefix(new: bool, tmp_path: Path) -> None:
    inner = {f"module.{name}": value for name, value in weights().items()}
    saved = {
        "epoch": 3,
        "best": 0.5,
        "args": {"lr": [1e-3, None, "x"]},
        "state_dict": inner,
        "ema": {"a": torch.ones(1)},
    }
    torch.save(saved, tmp_path / "w.th", _use_new_zipfile_serialization=new)
    same(checkpoint.read(tmp_path / "w.th"), expected())


def test_safetensors_and_npz(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float32)}
    save_file(arrays, tmp_path / "w.safetensors")
    np.savez(tmp_path / "w.npz", **arrays)
    same(checkpoint.read(tmp_path / "w.safetensors"), arrays)
    same(checkpoint.read(tmp_path / "w.npz"), arrays)


class Bomb:
    """Pickled, a call that makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


class Evaluated(Bomb):
    def __reduce__(self) -> Any:
        return eval, (f"__import__('os').mkdir({str(self.path)!r})",)


class Attributes:
    """Pickled, an admitted function whose attributes are set."""

    def __reduce__(self) -> Any:
        return OrderedDict, (), {"anything": 1}


@pytest.mark.parametrize("bomb", [Bomb, Evaluated])
@pytest.mark.parametrize("new", FORMATS)
def test_a_pickle_that_would_run_code_is_refused(bomb: type[Bomb], new: bool, tmp_path: Path) -> None:
    target = tmp_path / "made"
    torch.save({"a": torch.ones(2), "b": bomb(target)}, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    with pytest.raises(ModelFileError, match="would run code"):
        checkpoint.read(tmp_path / "w.pth")
    assert not target.exists()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        # cos\nsystem\n(S'true'\ntR. and its like, by hand
        (b"cos\nsystem\n(S'true'\ntR.", "would run code"),
        (b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.", "would run code"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb.", "sets attributes"),
        (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04tR.",
            "no file of weights|a tensor that is none",
        ),
        (b"\x80\x02\x82\x01.", "extension"),
        (b"\x80\x02(X\x07\x00\x00\x00storageK\x01tQ.", "no tensor"),
        (b"\x80\x02]q\x00.", "not a dictionary of tensors"),
        (b"not a pickle at all", "no file of weights|cannot be loaded"),
        (b"", "cut short"),
    ],
)
def test_programs_written_by_hand(program: bytes, words: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("archive/data.pkl", program)
    with pytest.raises(ModelFileError, match=words):
        checkpoint.read(tmp_path / "w.pt")


def test_attributes_of_a_dictionary_are_left_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Attributes(), 2))
    with pytest.raises(ModelFileError, match="holds no tensors"):
        checkpoint.read(tmp_path / "w.pt")


@pytest.mark.parametrize("new", FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_is_cut_short(new: bool, part: float, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(weights(), buffer, _use_new_zipfile_serialization=new)
    whole = buffer.getvalue()
    (tmp_path / "w.pth").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ModelFileError, match=r"w\.pth"):
        checkpoint.read(tmp_path / "w.pth")


def test_a_tensor_beyond_its_numbers(tmp_path: Path) -> None:
    from lamina.zoo import pickles

    storage = pickles._Storage(np.dtype(np.float32), 4)
    storage.data = np.zeros(4, np.float32)
    for offset, size, stride in ((0, (5,), (1,)), (-1, (2,), (1,)), (0, (2, 2), (3, 2)), (3, (2,), (-1,))):
        with pytest.raises(ModelFileError, match="beyond its numbers"):
            pickles._Tensor(storage, offset, size, stride).array()


def test_no_file_no_ending_and_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="There is no file"):
        checkpoint.read(tmp_path / "w.pth")
    (tmp_path / "w.bmp").write_bytes(b"")
    with pytest.raises(ModelFileError, match="by its name"):
        checkpoint.read(tmp_path / "w.bmp")
    for name in ("w.npz", "w.safetensors"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(ModelFileError, match=name):
            checkpoint.read(tmp_path / name)
    torch.save({"a": {"x": torch.ones(1)}, "b": {"x": torch.ones(1)}}, tmp_path / "w.pt")
    with pytest.raises(ModelFileError, match="several"):
        checkpoint.read(tmp_path / "w.pt")
