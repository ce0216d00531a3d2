"""Image folders and lists: splits, the data card, streaming, what is refused."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from lamina.config import from_json, to_json
from lamina.data.base import ArraySplit, ClassTarget, Data, MultiLabelTarget, Split
from lamina.data.decode import decode
from lamina.data.image_files import Files, file_groups
from lamina.data.image_preprocessing import fit_pixels
from lamina.data.image_split import ImageFileSplit
from lamina.data.images import ImagePreprocessing, choose_size, load_image_folder, load_image_list, load_image_split
from lamina.errors import ConfigError, DataError


def noise(seed: int, height: int = 12, width: int = 10, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def fill(folder: Path, classes: dict[str, int], seed: int = 0, channels: int = 3) -> Path:
    """Random pictures, all different: ``classes`` gives how many of each."""
    for name, count in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            seed += 1
            noise(seed, channels=channels).save(folder / name / f"{index:03}.png")
    return folder


def names(data: Data) -> dict[str, list[str]]:
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return {name: list(split.names) for name, split in splits.items() if split is not None}


class TestFolder:
    def test_is_split_by_class_and_seed(self, tmp_path: Path) -> None:
        fill(tmp_path, {"cat": 30, "dog": 20, "eel": 10})
        data = load_image_folder(tmp_path)
        assert isinstance(data.target, ClassTarget)
        assert data.target.names == ("cat", "dog", "eel")
        assert data.card.splits["train"] == {"examples": 48, "classes": {"cat": 24, "dog": 16, "eel": 8}}
        assert data.card.splits["validation"]["classes"] == {"cat": 3, "dog": 2, "eel": 1}
        assert data.card.splits["test"]["classes"] == {"cat": 3, "dog": 2, "eel": 1}
        parts = names(data)
        assert len(set().union(*parts.values())) == 60
        for split in (data.train, data.validation, data.test):
            assert split is not None
            for index, name in enumerate(split.names):
                assert data.target.names[split.targets[index]] == Path(name).parts[0]
                np.testing.assert_array_equal(split.read(np.array([index]))[0], decode(tmp_path / name, 12, 10, 3))
        assert names(load_image_folder(tmp_path)) == parts
        assert names(load_image_folder(tmp_path, seed=1)) != parts
        json.dumps(data.card.to_json())

    @pytest.mark.parametrize("validation", ["val", "valid", "validation", None])
    def test_given_parts_are_kept(self, tmp_path: Path, validation: str | None) -> None:
        fill(tmp_path / "train", {"a": 20, "b": 20})
        fill(tmp_path / "test", {"a": 3, "b": 4}, seed=100)
        if validation:
            fill(tmp_path / validation, {"a": 5, "b": 6}, seed=200)
        data = load_image_folder(tmp_path)
        assert data.test is not None
        assert all(name.startswith("test/") for name in data.test.names)
        assert len(data.test) == 7
        assert all(name.startswith(f"{validation or 'train'}/") for name in data.validation.names)
        assert len(data.validation) == (11 if validation else 4)
        assert len(data.train) == (40 if validation else 36)
        assert data.card.splits["test"]["classes"] == {"a": 3, "b": 4}

    def test_a_class_may_be_called_train(self, tmp_path: Path) -> None:
        fill(tmp_path, {"train": 10, "plane": 10})
        data = load_image_folder(tmp_path)
        assert data.target == ClassTarget(("plane", "train"))

    def test_classes_are_searched_to_any_depth(self, tmp_path: Path) -> None:
        fill(tmp_path / "cat", {"2023": 10, "2024/may": 10})
        fill(tmp_path, {"dog": 20}, seed=50)
        data = load_image_folder(tmp_path)
        assert data.target == ClassTarget(("cat", "dog"))
        assert sum(len(part) for part in names(data).values()) == 40

    def test_links_are_followed_once(self, tmp_path: Path) -> None:
        fill(tmp_path / "store", {"cat": 10, "dog": 10})
        folder = tmp_path / "set"
        folder.mkdir()
        for name in ("cat", "dog"):
            (folder / name).symlink_to(tmp_path / "store" / name)
        (tmp_path / "store" / "cat" / "again").symlink_to(tmp_path / "store" / "cat")
        assert sum(len(part) for part in names(load_image_folder(folder)).values()) == 20

    def test_duplicates_stay_on_one_side(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 30, "b": 30})
        for index in range(30):  # each once more: the same file, or the same pixels in another format
            picture = Image.open(tmp_path / "a" / f"{index:03}.png")
            picture.save(tmp_path / "a" / f"x{index:03}.{'bmp' if index % 2 else 'png'}")
        for seed in range(3):
            data = load_image_folder(tmp_path, seed=seed)
            side = {Path(name).stem: part for part, found in names(data).items() for name in found if name[0] == "a"}
            assert all(side[f"{index:03}"] == side[f"x{index:03}"] for index in range(30))
            assert data.card.duplicates["within"] == 30
            assert data.card.duplicates["across"] == 0

    def test_even_where_most_are_duplicates(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 10, "b": 10})
        for path in list(tmp_path.rglob("*.png")):
            for copy in range(3):
                path.with_stem(f"{path.stem}-{copy}").write_bytes(path.read_bytes())
        for memory in (None, 0):
            data = load_image_folder(tmp_path, memory=memory)
            sides = [{name[:5] for name in found} for found in names(data).values()]
            assert sum(len(side) for side in sides) == len(set().union(*sides)) == 20
            assert data.card.duplicates["across"] == 0

    def test_duplicates_across_given_parts_are_told(self, tmp_path: Path) -> None:
        fill(tmp_path / "train", {"a": 20, "b": 20})
        fill(tmp_path / "test", {"a": 5, "b": 5}, seed=100)
        (tmp_path / "test/a/copy.png").write_bytes((tmp_path / "train/a/000.png").read_bytes())
        for memory in (None, 0):
            data = load_image_folder(tmp_path, memory=memory)
            assert data.test is not None
            assert len(data.test) == 11
            assert data.card.duplicates["across"] == 1
            assert {"test/a/copy.png", "train/a/000.png"} == set(data.card.duplicates["examples"][0])
            assert any("more than one of" in warning for warning in data.card.warnings)

    def test_what_is_no_picture_is_left_out_and_named(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 20, "b": 20})
        whole = (tmp_path / "a/000.png").read_bytes()
        (tmp_path / "a/cut.png").write_bytes(whole[:200])
        (tmp_path / "a/empty.jpg").touch()
        (tmp_path / "a/words.jpg").write_text("words")
        (tmp_path / "a/notes.txt").write_text("words")
        (tmp_path / "a/unnamed").write_bytes(whole)  # a picture all the same
        for ignored in (".DS_Store", "Thumbs.db", ".hidden.png", "desktop.ini"):
            (tmp_path / "a" / ignored).write_bytes(b"x")
        (tmp_path / "__MACOSX").mkdir()
        (tmp_path / "__MACOSX" / "a.png").write_bytes(b"x")
        (tmp_path / "stray.png").write_bytes(whole)
        data = load_image_folder(tmp_path)
        reasons = dict(data.card.skipped)
        assert set(reasons) == {"a/cut.png", "a/empty.jpg", "a/words.jpg", "a/notes.txt"}
        assert reasons["a/empty.jpg"] == "the file is empty"
        assert "cut short" in reasons["a/cut.png"]
        assert sum(len(part) for part in names(data).values()) == 41
        assert any(warning.startswith("4 files were left out") for warning in data.card.warnings)
        assert any("1 picture directly" in warning for warning in data.card.warnings)

    def test_a_bomb_is_left_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(tmp_path, {"a": 20, "b": 20})
        noise(999, 40, 40).save(tmp_path / "a" / "bomb.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        data = load_image_folder(tmp_path)
        assert [name for name, _ in data.card.skipped] == ["a/bomb.png"]
        assert "decompression bomb" in data.card.skipped[0][1]

    def test_imbalance_is_told(self, tmp_path: Path) -> None:
        data = load_image_folder(fill(tmp_path, {"a": 60, "b": 4}))
        assert any("imbalanced" in warning for warning in data.card.warnings)

    def test_facts(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 10, "b": 10})
        noise(77, 300, 200, 1).save(tmp_path / "b" / "large.png")
        data = load_image_folder(tmp_path, size=(16, 8))
        facts = data.card.facts
        assert facts["width"] == {"min": 10, "median": 10, "max": 200}
        assert facts["height"] == {"min": 12, "median": 12, "max": 300}
        assert facts["modes"] == {"RGB": 20, "L": 1}
        assert facts["input"] == [16, 8, 3]
        assert data.preprocessing.input_spec().shape == (16, 8, 3)


class TestScaleAndChannels:
    def test_standard_is_that_of_the_training_split(self, tmp_path: Path) -> None:
        data = load_image_folder(fill(tmp_path, {"a": 30, "b": 30}))
        x = data.train.read(np.arange(len(data.train)))
        assert isinstance(data.preprocessing, ImagePreprocessing)
        np.testing.assert_allclose(data.preprocessing.mean, x.mean(axis=(0, 1, 2)), rtol=1e-9)
        np.testing.assert_allclose(data.preprocessing.std, x.std(axis=(0, 1, 2)), rtol=1e-9)
        y = np.asarray(jax.jit(data.preprocessing.transform)(x))
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, atol=1e-4)

    def test_other_scales(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 6, "b": 6})
        for scale, highest in (("minmax", 1.0), ("none", 255.0)):
            preprocessing = load_image_folder(tmp_path, scale=scale).preprocessing
            white = np.full((1, 12, 10, 3), 255, np.uint8)
            np.testing.assert_allclose(preprocessing.transform(white), highest)
            np.testing.assert_allclose(preprocessing.transform(white * 0), 0)
        with pytest.raises(ConfigError, match="minmax"):
            load_image_folder(tmp_path, scale="minmaks")

    def test_a_constant_channel_becomes_zero(self) -> None:
        pixels = np.zeros((4, 2, 2, 3), np.uint8)
        pixels[..., 1] = 9
        np.testing.assert_array_equal(fit_pixels(pixels, "standard").transform(pixels), 0)

    @pytest.mark.parametrize("memory", [None, 0])
    def test_grey_pictures_have_one_channel(self, tmp_path: Path, memory: int | None) -> None:
        fill(tmp_path / "grey", {"a": 10, "b": 10}, channels=1)
        grey = load_image_folder(tmp_path / "grey", memory=memory)
        for path in (tmp_path / "grey").rglob("*.png"):
            coloured = tmp_path / "stored" / path.relative_to(tmp_path / "grey")
            coloured.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).convert("RGB").save(coloured)
        stored = load_image_folder(tmp_path / "stored", memory=memory)
        assert grey.preprocessing.input_spec().shape == stored.preprocessing.input_spec().shape == (12, 10, 1)
        everything = np.arange(len(grey.train))
        np.testing.assert_array_equal(grey.train.read(everything), stored.train.read(everything))
        assert grey.preprocessing == stored.preprocessing

    @pytest.mark.parametrize(
        ("sizes", "count", "expected"),
        [
            ([(28, 28)] * 9, 60_000, (28, 28)),
            ([(100, 60)] * 9, 9, (60, 100)),
            ([(500, 375), (300, 400)], 2_000, (96, 96)),
            ([(500, 375), (300, 400)], 200_000, (64, 64)),
            ([(50, 40), (44, 48)], 2_000, (42, 42)),
            ([(640, 480)] * 9, 900, (80, 112)),
            ([(480, 640), (240, 320)], 900, (112, 80)),
            ([(1000, 100)] * 9, 900, (96, 96)),
            ([(512, 512)] * 9, 900, (96, 96)),
            ([(1, 1), (2, 1)], 2, (1, 1)),
        ],
    )
    def test_choose_size(self, sizes: list[tuple[int, int]], count: int, expected: tuple[int, int]) -> None:
        assert choose_size(sizes, count) == expected


class TestStreaming:
    def test_gives_the_same_as_in_memory(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 25, "b": 25})
        (tmp_path / "a/copy.png").write_bytes((tmp_path / "a/001.png").read_bytes())
        whole, streamed = load_image_folder(tmp_path, seed=3), load_image_folder(tmp_path, seed=3, memory=1000)
        assert isinstance(whole.train, ArraySplit)
        assert whole.train.in_memory
        assert isinstance(streamed.train, ImageFileSplit)
        assert not streamed.train.in_memory
        assert names(whole) == names(streamed)
        assert whole.preprocessing == streamed.preprocessing
        assert whole.card.duplicates == streamed.card.duplicates
        for one, other in ((whole.train, streamed.train), (whole.test, streamed.test)):
            assert one is not None
            assert other is not None
            np.testing.assert_array_equal(one.targets, other.targets)
            chosen = np.random.default_rng(0).permutation(len(one))
            np.testing.assert_array_equal(one.read(chosen), other.read(chosen))

    def test_from_several_threads(self, tmp_path: Path) -> None:
        split = load_image_folder(fill(tmp_path, {"a": 20, "b": 20}), memory=0).train
        expected = split.read(np.arange(len(split)))
        batches = [np.random.default_rng(seed).permutation(len(split))[:8] for seed in range(20)]
        with ThreadPoolExecutor(4) as pool:
            for batch, pixels in zip(batches, pool.map(split.read, batches), strict=True):
                np.testing.assert_array_equal(pixels, expected[batch])

    def test_a_broken_picture_is_replaced_by_one_of_its_class(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 5, "b": 5})
        files = Files.pack(str(tmp_path), ((f"{label}/{i:03}.png", 1) for label in "ab" for i in range(5)))
        split = ImageFileSplit(files, np.repeat(np.arange(2, dtype=np.int32), 5), 12, 10, 3)
        everything = split.read(np.arange(10))
        for broken in ("a/004.png", "b/001.png", "b/002.png"):
            (tmp_path / broken).write_bytes(b"")
        for _ in range(2):
            again = split.read(np.array([4, 6, 7, 8]))
            np.testing.assert_array_equal(again, everything[[0, 8, 8, 8]])
        assert len(split.warnings) == 3
        assert "a/004.png cannot be read (the file is empty); a/000.png stands in for it." in split.warnings
        for index in range(5):
            (tmp_path / f"a/{index:03}.png").unlink()
        for _ in range(2):
            assert not split.read(np.array([1])).any()  # none of its class is left

    def test_headers_may_be_whole_and_bodies_not(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 20, "b": 20})
        path = tmp_path / "a/007.png"
        path.write_bytes(path.read_bytes()[:150])
        data = load_image_folder(tmp_path, memory=0)
        assert not data.card.skipped
        splits = [split for split in (data.train, data.validation, data.test) if split is not None]
        for split in splits:
            split.read(np.arange(len(split)))
        warnings = [warning for split in splits if isinstance(split, ImageFileSplit) for warning in split.warnings]
        assert len(warnings) == 1
        assert "a/007.png" in warnings[0]

    def test_reading_is_bounded(self, tmp_path: Path) -> None:
        for label in "ab":
            (tmp_path / label).mkdir()
            for index in range(10):
                noise(index, 300, 300).save(tmp_path / label / f"{index}.bmp")
        split = load_image_folder(tmp_path, memory=0, size=8).train
        tracemalloc.start()
        split.read(np.arange(16).repeat(8))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2_000_000  # 128 whole pictures would be 35 MB

    def test_file_names_are_packed(self) -> None:
        listed = [(f"class {index % 7}/picture {index:07}.jpg", index) for index in range(20_000)]
        tracemalloc.start()
        files = Files.pack("/data", iter(listed))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size < 60 * len(listed)
        assert [files[3], files[-1], files.path(3)] == [listed[3][0], listed[-1][0], f"/data/{listed[3][0]}"]
        part = files.take(np.array([5, 2]))
        assert list(part) == [listed[5][0], listed[2][0]]
        assert list(files[10:12].paths()) == [f"/data/{name}" for name, _ in listed[10:12]]
        odd = b"caf\xe9.png"  # no UTF-8
        assert (
            Files.pack("", iter([(odd.decode("utf-8", "surrogateescape"), 1)]))[0].encode("utf-8", "surrogateescape")
            == odd
        )

    def test_equal_files_are_found_by_content(self, tmp_path: Path) -> None:
        contents = [b"a" * 40_000, b"a" * 39_999 + b"b", b"a" * 40_000, b"b" * 40_000, b"c", b"d", b"c", b""]
        for index, content in enumerate(contents):
            (tmp_path / str(index)).write_bytes(content)
        files = Files.pack(str(tmp_path), ((str(index), len(content)) for index, content in enumerate(contents)))
        assert file_groups(files).tolist() == [0, 1, 0, 2, 3, 4, 3, 5]


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda folder: folder / "missing", "There is no"),
            (lambda folder: folder, "is empty"),
            (lambda folder: fill(folder, {"a": 10}), "one class only, 'a'"),
            (lambda folder: fill(folder, {"a": 10, "b": 1}), "'b' .*has one picture"),
            (lambda folder: fill(folder / "only", {".": 3}), "no sub-folders"),
            (lambda folder: fill(folder, {"a": 0, "b": 0}), "No pictures were found"),
        ],
    )  # fmt: skip
    def test_folders_without_enough(self, tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
        source = make(tmp_path)
        for memory in (None, 0):
            with pytest.raises(DataError, match=message):
                load_image_folder(source, memory=memory)

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        noise(1).save(tmp_path / "a.png")
        with pytest.raises(DataError, match="is a file"):
            load_image_folder(tmp_path / "a.png")

    def test_the_folder_above_the_right_one(self, tmp_path: Path) -> None:
        fill(tmp_path / "photos", {"a": 5, "b": 5})
        with pytest.raises(DataError, match=f"Did you mean {tmp_path / 'photos'}"):
            load_image_folder(tmp_path)

    def test_no_pictures_among_the_files(self, tmp_path: Path) -> None:
        for label in "ab":
            (tmp_path / label).mkdir()
            (tmp_path / label / "notes.txt").write_text("words")
        with pytest.raises(DataError, match="no pictures"):
            load_image_folder(tmp_path)

    @pytest.mark.parametrize("damage", [b"", b"words", "cut"])
    def test_more_than_half_unreadable(self, tmp_path: Path, damage: bytes | str) -> None:
        fill(tmp_path, {"a": 10, "b": 10})
        for index in range(10):
            path = tmp_path / f"a/{index:03}.png"
            path.write_bytes(path.read_bytes()[:150] if isinstance(damage, str) else damage)
        with pytest.raises(DataError, match=r"'a' .*no readable picture"):  # just half
            load_image_folder(tmp_path)
        path = tmp_path / "b/000.png"
        path.write_bytes(path.read_bytes()[:150] if isinstance(damage, str) else damage)
        with pytest.raises(DataError, match="11 of the 20 pictures"):
            load_image_folder(tmp_path)

    def test_classes_must_agree(self, tmp_path: Path) -> None:
        fill(tmp_path / "train", {"cat": 5, "dog": 5})
        fill(tmp_path / "test", {"cats": 5})
        with pytest.raises(DataError, match=r"'cats' .*training part has no such class.*'cat'"):
            load_image_folder(tmp_path)

    def test_a_test_part_alone(self, tmp_path: Path) -> None:
        fill(tmp_path / "test", {"cat": 5, "dog": 5})
        with pytest.raises(DataError, match="no training part"):
            load_image_folder(tmp_path)

    @pytest.mark.parametrize("size", [0, -3, (8, 0), 5000])
    def test_sizes(self, tmp_path: Path, size: int | tuple[int, int]) -> None:
        with pytest.raises(ConfigError, match="Received"):
            load_image_folder(fill(tmp_path, {"a": 2, "b": 2}), size=size)


class TestList:
    def test_one_label(self, tmp_path: Path) -> None:
        fill(tmp_path, {"pictures": 30})
        rows = [f"pictures/{index:03}.png,{'cat' if index % 3 else 'dog'}" for index in range(30)]
        (tmp_path / "list.csv").write_text("file,animal\n" + "\n".join(rows))
        data = load_image_list(tmp_path / "list.csv")
        assert data.target == ClassTarget(("cat", "dog"))
        assert data.card.splits["train"]["classes"] == {"cat": 16, "dog": 8}
        for index, name in enumerate(data.train.names):
            assert data.train.targets[index] == (int(Path(name).stem) % 3 == 0)

    def test_labels_joined_and_in_columns(self, tmp_path: Path) -> None:
        fill(tmp_path, {"pictures": 24})
        sets = [["sea"] if i % 2 else [] for i in range(24)]
        for index in range(0, 24, 3):
            sets[index].append("sun")
        joined = [f"pictures/{i:03}.png,{'|'.join(labels)}" for i, labels in enumerate(sets)]
        flags = [f"pictures/{i:03}.png,{int('sea' in labels)},{'sun' in labels}" for i, labels in enumerate(sets)]
        (tmp_path / "joined.csv").write_text("image,tags\n" + "\n".join(joined))
        (tmp_path / "flags.tsv").write_text("image\tsea\tsun\n" + "\n".join(flags).replace(",", "\t"))
        one, other = load_image_list(tmp_path / "joined.csv"), load_image_list(tmp_path / "flags.tsv")
        assert one.target == other.target == MultiLabelTarget(("sea", "sun"))
        np.testing.assert_array_equal(one.train.targets, other.train.targets)
        assert one.train.targets.dtype == np.float32
        for index, name in enumerate(one.train.names):
            labels = sets[int(Path(name).stem)]
            assert one.train.targets[index].tolist() == ["sea" in labels, "sun" in labels]
        split, card = load_image_split(tmp_path / "joined.csv", one.preprocessing, one.target)  # type: ignore[arg-type]
        assert len(split) == 24
        assert card.splits["test"]["classes"] == {"sea": 12, "sun": 8}

    def test_missing_files_and_labels(self, tmp_path: Path) -> None:
        fill(tmp_path, {"p": 12})
        rows = [f"p/{index:03}.png,{index % 2}" for index in range(12)] + ["p/none.png,0", "p/000.png,"]
        (tmp_path / "list.csv").write_text("file,y\n" + "\n".join(rows))
        data = load_image_list(tmp_path / "list.csv")
        assert data.card.skipped == [("p/none.png", "there is no such file")]
        assert any("1 row of" in warning and "no y" in warning for warning in data.card.warnings)

    def test_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "list.csv"
        cases = {
            "a,b\n1,2\n": "no column of picture files",
            "file,x,y\na.png,1,cat\n": "--target",
            "file\na.png\n": "needs a column of labels",
            "file,y\na.png,1\nb.png,2\n": "cannot be read",
            "": "cannot be read as CSV",
        }
        for text, message in cases.items():
            path.write_text(text)
            with pytest.raises(DataError, match=message):
                load_image_list(path)
        path.write_text("file,class\na.png,1\n")
        with pytest.raises(DataError, match="Did you mean 'class'"):
            load_image_list(path, target="clas")
        with pytest.raises(DataError, match="There is no"):
            load_image_list(tmp_path / "none.csv")


class TestSplitToEvaluate:
    def test_the_test_part_or_everything(self, tmp_path: Path) -> None:
        fill(tmp_path / "train", {"a": 10, "b": 10})
        fill(tmp_path / "test", {"b": 4}, seed=90)
        data = load_image_folder(tmp_path)
        split, card = load_image_split(tmp_path, data.preprocessing, data.target)  # type: ignore[arg-type]
        assert len(split) == 4
        assert (split.targets == 1).all()
        assert card.splits["test"]["classes"] == {"a": 0, "b": 4}
        alone, _ = load_image_split(tmp_path / "test", data.preprocessing, data.target, memory=0)  # type: ignore[arg-type]
        np.testing.assert_array_equal(alone.read(np.arange(4)), split.read(np.arange(4)))
        whole, _ = load_image_split(tmp_path / "train", data.preprocessing, data.target)  # type: ignore[arg-type]
        assert len(whole) == 20

    def test_only_a_test_part_is_enough(self, tmp_path: Path) -> None:
        fill(tmp_path / "test", {"a": 3, "b": 3})
        preprocessing = ImagePreprocessing(8, 8, 1, (0.0,), (255.0,))
        split, _ = load_image_split(tmp_path, preprocessing, ClassTarget(("b", "a")))
        assert split.targets.tolist() == [1, 1, 1, 0, 0, 0]
        assert split.read(np.array([0])).shape == (1, 8, 8, 1)

    def test_unknown_classes(self, tmp_path: Path) -> None:
        preprocessing = ImagePreprocessing(8, 8, 1, (0.0,), (255.0,))
        with pytest.raises(DataError, match=r"no class 'cats'.*'cat'"):
            load_image_split(fill(tmp_path, {"cats": 2, "dog": 2}), preprocessing, ClassTarget(("cat", "dog")))


class TestPreprocessing:
    colour = ImagePreprocessing(12, 10, 3, (100.0, 110.0, 120.0), (50.0, 60.0, 70.0))
    grey = ImagePreprocessing(6, 5, 1, (0.0,), (255.0,))

    def test_is_data(self) -> None:
        assert from_json(json.loads(json.dumps(to_json(self.colour)))) == self.colour

    @pytest.mark.parametrize(
        "fields",
        [
            (0, 5, 1, (0.0,), (1.0,)),
            (5, 5, 2, (0.0,) * 2, (1.0,) * 2),
            (5, 5, 3, (0.0,), (1.0,)),
            (5, 5, 1, (0.0,), (0.0,)),
        ],
    )
    def test_impossible_ones(self, fields: tuple[int, int, int, tuple[float, ...], tuple[float, ...]]) -> None:
        with pytest.raises(ConfigError, match="Received"):
            ImagePreprocessing(*fields)

    def test_all_kinds_of_input_give_one_result(self, tmp_path: Path) -> None:
        image = noise(5)
        path = tmp_path / "a.png"
        image.save(path)
        array = np.asarray(image)
        for raw in (
            path, str(path), path.read_bytes(), image, array, array[None], array.astype(int), array / 255.0,
            array.astype(np.float32), [path], [image, ], [array], [array.tolist()], jax.numpy.asarray(array),
        ):  # fmt: skip
            np.testing.assert_array_equal(self.colour.encode(raw), array[None])
        assert self.colour.encode([path, image, array]).shape == (3, 12, 10, 3)
        assert self.colour.encode([]).shape == (0, 12, 10, 3)

    def test_arrays_are_brought_to_size_and_channels(self) -> None:
        stack = np.stack([np.asarray(noise(seed, channels=1)) for seed in range(4)])
        small = self.grey.encode(stack)
        assert small.shape == (4, 6, 5, 1)
        np.testing.assert_array_equal(small[2], decode(Image.fromarray(stack[2]), 6, 5, 1))
        coloured = self.colour.encode(stack)
        np.testing.assert_array_equal(coloured, np.repeat(stack[..., None], 3, axis=3))
        luma = self.grey.encode(np.full((6, 5, 3), 77, np.uint8))
        np.testing.assert_array_equal(luma, 77)
        clear = np.zeros((12, 10, 4), np.uint8)
        np.testing.assert_array_equal(self.colour.encode(clear), 255)
        np.testing.assert_array_equal(self.grey.encode(np.full((6, 5), 65535, np.uint16)), 255)
        np.testing.assert_array_equal(self.grey.encode(np.eye(6, 5) > 0)[0, ..., 0], np.eye(6, 5) * 255)

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (np.full((6, 5), np.nan), "NaN"),
            (np.full((6, 5), np.inf), "NaN or infinite"),
            (np.full((6, 5), -1.0), "0…255"),
            (np.full((6, 5), 300), "0…255"),
            (np.zeros((2, 6, 5, 7)), "shape"),
            (np.zeros(5), "shape"),
            (np.zeros((0, 5)), "shape"),
            (np.array([["a"]]), "numbers"),
            (7, "Received: int"),
            ([[1, 2], [[3], [4, 5]]], "cannot be made arrays|shape"),
            ("none.png", "no such file"),
            ([b"", b"", noise(1)], "2 of 3"),
        ],
    )
    def test_what_cannot_be_pictures(self, raw: object, message: str) -> None:
        with pytest.raises(DataError, match=message):
            self.grey.encode(raw)

    def test_gather(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(tmp_path, {"deep/er": 3})
        (tmp_path / "deep/bad.jpg").write_bytes(b"")
        (tmp_path / "deep/readme.txt").write_text("words")
        single = tmp_path / "one"
        noise(8).save(single, "PNG")
        buffer = io.BytesIO()
        noise(9).save(buffer, "PNG")
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(buffer.getvalue())))
        gathered = self.colour.gather([str(tmp_path / "deep"), str(single), "-"])
        found = [str(tmp_path / "deep/bad.jpg"), *(str(tmp_path / f"deep/er/{i:03}.png") for i in range(3))]
        assert gathered.names == (*found, str(single), "-")
        assert gathered.raw[:-1] == [*found, str(single)]
        encoded = self.colour.encode(gathered.raw[4:])
        np.testing.assert_array_equal(encoded, np.stack([np.asarray(noise(8)), np.asarray(noise(9))]))

    def test_batches_leave_out_what_cannot_be_read_and_tell(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a": 7})
        paths = sorted(map(str, tmp_path.rglob("*.png")))
        expected = self.colour.encode(paths)
        pictures: list[str | bytes] = [*paths[:2], b"", paths[2], b"?", "none.png", *paths[3:]]
        told: dict[int, str] = {}
        batches = self.colour.batches(pictures, 2, told.__setitem__)
        np.testing.assert_array_equal(next(batches), expected[:2])
        assert told == {}  # nothing is read before it is asked for
        np.testing.assert_array_equal(np.concatenate(list(batches)), expected[2:])
        assert {index: reason[:9] for index, reason in told.items()} == {2: "the file ", 4: "it is not", 5: "there is "}
        with pytest.raises(DataError, match="number 2: the file is empty"):
            list(self.colour.batches(pictures, 2))
        arrays = list(self.colour.batches(expected, 3))
        assert [len(array) for array in arrays] == [3, 3, 1]
        np.testing.assert_array_equal(np.concatenate(arrays), expected)

    def test_gather_refuses_what_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for name, message in {"none.png": "There is no", "empty": "no pictures"}.items():
            with pytest.raises(DataError, match=message):
                self.colour.gather([str(tmp_path / name)])


def check_split(split: Split, shape: tuple[int, ...]) -> None:
    assert split.read(np.array([0, len(split) - 1])).shape == (2, *shape)


def test_cats_and_dogs(shared_data: Path) -> None:
    data = load_image_folder(shared_data / "cats_dogs", memory=0)
    assert data.card.splits["test"]["classes"] == {"cat": 100, "dog": 100}
    assert data.card.facts["input"] == [100, 100, 3]
    assert len(data.train) + len(data.validation) == 1999
    check_split(data.train, (100, 100, 3))


def test_a_list_of_photographs(shared_data: Path) -> None:
    preprocessing = ImagePreprocessing(64, 64, 3, (0.0,) * 3, (255.0,) * 3)
    listing = (shared_data / "imagenet_mini/labels.csv").read_text().splitlines()
    target = ClassTarget(tuple(sorted({line.split(",")[2] for line in listing[1:]})))
    split, card = load_image_split(shared_data / "imagenet_mini/labels.csv", preprocessing, target)
    assert len(split) == 100
    assert not card.skipped
    check_split(split, (64, 64, 3))


@pytest.mark.slow
def test_cifar(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "cifar10_jpeg.zip") as archive:
        archive.extractall(tmp_path)
    data = load_image_folder(tmp_path, memory=0)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [45_000, 5_000, 10_000]
    assert data.card.facts["input"] == [32, 32, 3]
    assert data.train.read(np.arange(256)).shape == (256, 32, 32, 3)
