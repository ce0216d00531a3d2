"""Video folders: animated GIFs and frame folders, sampling, streaming, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import lamina as lm
from lamina.config import from_json, to_json
from lamina.data.media import UnreadableClipError
from lamina.data.video import load_video_folder, load_video_split
from lamina.data.video_files import frame_names, is_numbered, read_video, read_video_header, sampled
from lamina.data.video_preprocessing import VideoPreprocessing
from lamina.errors import DataError

from .clips import moving, write_gif, write_videos


class TestFiles:
    @pytest.mark.parametrize("colour", [False, True])
    def test_a_gif_and_a_frame_folder_give_the_same_frames(self, tmp_path: Path, colour: bool) -> None:
        pictures = moving(True, 5, colour=colour)
        gif = write_gif(tmp_path / "x.gif", pictures)
        (tmp_path / "x").mkdir()
        for time, picture in enumerate(pictures, 8):  # 8, 9, 10: in order of number, not of letters
            picture.save(tmp_path / "x" / f"f{time}.png")
        channels = 3 if colour else 1
        expected = np.stack([np.asarray(picture).reshape(12, 12, channels) for picture in pictures])
        np.testing.assert_array_equal(read_video(str(tmp_path / "x"), 5, 12, 12, channels), expected)
        # A GIF has 256 colours.
        np.testing.assert_allclose(read_video(str(gif), 5, 12, 12, channels).astype(int), expected, atol=30)
        for path in (gif, tmp_path / "x"):
            header = read_video_header(str(path))
            assert (header.frames, header.width, header.height, header.grey) == (5, 12, 12, not colour)

    def test_frames_are_taken_evenly(self, tmp_path: Path) -> None:
        assert sampled(9, 5).tolist() == [0, 2, 4, 6, 8]
        assert sampled(3, 5).tolist() in ([0, 0, 1, 2, 2], [0, 1, 1, 1, 2])
        gif = write_gif(tmp_path / "x.gif", moving(True, 9))
        np.testing.assert_array_equal(read_video(str(gif), 5, 12, 12, 1), read_video(str(gif), 9, 12, 12, 1)[::2])

    def test_names_of_frames(self) -> None:
        assert frame_names(["f10.png", "f9.png", "notes.txt", "f1.PNG"]) == ["f1.PNG", "f9.png", "f10.png"]
        assert is_numbered(["f0.png", "f1.png", "f2.png"])
        assert is_numbered(["f10.png", *(f"f0{i}.png" for i in range(1, 10))])
        assert not is_numbered(["f0.png"])
        assert not is_numbered(["f0.png", "g1.png"])
        assert not is_numbered(["f0.png", "f2.png"])
        assert not is_numbered(["IMG_17.jpg", "IMG_18.jpg"])
        assert not is_numbered(["cat.png", "dog.png"])

    def test_what_is_broken_is_told_in_a_few_words(self, tmp_path: Path) -> None:
        whole = write_gif(tmp_path / "x.gif", moving(True)).read_bytes()
        (tmp_path / "folder").mkdir()
        moving(True)[0].save(tmp_path / "folder" / "1.png")
        write_gif(tmp_path / "one.gif", moving(True, 1))
        (tmp_path / "empty.gif").write_bytes(b"")
        (tmp_path / "cut.gif").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "text.gif").write_bytes(b"not a GIF;")
        words = {
            "folder": "one frame only", "one.gif": "one frame only", "empty.gif": "the file is empty",
            "cut.gif": "the file is cut short", "text.gif": "it is not a picture", "nothing.gif": "no such file",
        }  # fmt: skip
        for name, reason in words.items():
            with pytest.raises(UnreadableClipError, match=f"Cannot read the video .*{name}: .*{reason}"):
                read_video_header(str(tmp_path / name))
            with pytest.raises(UnreadableClipError, match=reason):
                read_video(str(tmp_path / name), 4, 12, 12, 1)


class TestPreprocessing:
    def test_round_trips_and_takes_paths_and_arrays(self, tmp_path: Path) -> None:
        own = VideoPreprocessing(4, 12, 12, 1, (10.0,), (20.0,))
        assert from_json(json.loads(json.dumps(to_json(own)))) == own
        gif = write_gif(tmp_path / "x.gif", moving(True, 4))
        x = own.encode(gif)
        np.testing.assert_array_equal(own.encode(x), x)
        np.testing.assert_array_equal(own.encode(x[0]), x)
        np.testing.assert_allclose(jax.jit(own.transform)(x), (x.astype(float) - 10) / 20, atol=1e-5)
        assert own.input_spec().shape == (4, 12, 12, 1)
        with pytest.raises(DataError, match="Expected videos: paths, or uint8 arrays"):
            own.encode(np.zeros(3))
        with pytest.raises(DataError, match=r"it is float64 \(4, 12, 12, 1\); expected uint8"):
            own.encode(np.zeros((4, 12, 12, 1)))

    def test_gathers_gifs_and_frame_folders(self, tmp_path: Path) -> None:
        write_videos(tmp_path / "a", 2)
        write_videos(tmp_path / "b", 2, folders=True)
        own = VideoPreprocessing(4, 12, 12, 1, (10.0,), (20.0,))
        assert len(own.gather([str(tmp_path)]).names) == 8
        assert own.gather([str(tmp_path / "b" / "left" / "00")]).raw == [str(tmp_path / "b" / "left" / "00")]
        assert len(own.encode(own.gather([str(tmp_path)]).raw)) == 8


class TestFolder:
    @pytest.mark.parametrize("folders", [False, True])
    def test_is_split_and_measured(self, tmp_path: Path, folders: bool) -> None:
        data = lm.data.load(write_videos(tmp_path, 20, folders=folders))
        assert data.card.kind == "video"
        assert data.target.names == ("left", "right")
        assert data.preprocessing.input_spec().shape == (6, 12, 12, 1)
        x = np.asarray(data.preprocessing.transform(data.train.read(np.arange(32))))
        assert abs(x.mean()) < 1e-3
        assert x.std() == pytest.approx(1, abs=1e-3)
        for index, name in enumerate(data.train.names):
            frames = data.train.read(np.array([index]))[0, :, :, :, 0].astype(float)
            place = [np.average(np.arange(12), weights=frame.clip(60).sum(axis=0) - 720 + 1e-9) for frame in frames]
            assert (place[-1] > place[0]) == name.startswith("right")

    def test_colour_stays(self, tmp_path: Path) -> None:
        data = load_video_folder(write_videos(tmp_path, 4, colour=True))
        assert data.preprocessing.input_spec().shape == (6, 12, 12, 3)

    def test_unequal_counts_and_sizes_are_told(self, tmp_path: Path) -> None:
        write_videos(tmp_path, 10, folders=True)
        for name in ("frame2.png", "frame3.png", "frame4.png", "frame5.png"):
            (tmp_path / "left" / "00" / name).unlink()
        write_gif(tmp_path / "left" / "x.gif", moving(False, 9, side=20))
        data = load_video_folder(tmp_path, size=12)
        first, second = data.card.facts["notes"]
        assert first == "The videos have 2 to 9 frames; 6 of each are taken, evenly; 1 shorter one repeats some."
        assert second == "The videos have 2 different sizes; their frames become 12×12."

    def test_large_videos_are_made_smaller(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            for number in range(3):
                write_gif(tmp_path / name / f"{number}.gif", moving(True, 3, side=100, seed=number))
        shape = load_video_folder(tmp_path).preprocessing.input_spec().shape
        assert shape == (3, 64, 64, 1)

    def test_what_is_no_video_is_left_out(self, tmp_path: Path) -> None:
        write_videos(tmp_path, 10)
        write_gif(tmp_path / "left" / "still.gif", moving(True, 1))
        moving(True)[0].save(tmp_path / "left" / "cover.png")
        (tmp_path / "left" / "notes.txt").write_text("x")
        data = load_video_folder(tmp_path)
        reasons = dict(data.card.skipped)
        assert "one frame only" in reasons["left/still.gif"]
        assert reasons["left/cover.png"] == "it is a single picture"
        assert reasons["left/notes.txt"] == "it is no video"
        assert sum(found["examples"] for found in data.card.splits.values()) == 20

    def test_copies_stay_on_one_side(self, tmp_path: Path) -> None:
        write_videos(tmp_path, 10, folders=True)
        for number in range(4):
            shutil.copytree(tmp_path / "left" / "00", tmp_path / "left" / f"copy{number}")
        data = load_video_folder(tmp_path)
        sides = [
            part
            for part, split in (("train", data.train), ("validation", data.validation), ("test", data.test))
            if split is not None and any("copy" in name or name == "left/00" for name in split.names)
        ]
        assert len(sides) == 1
        assert data.card.duplicates["within"] == 4

    def test_streams_from_disk_what_does_not_fit_into_memory(self, tmp_path: Path) -> None:
        write_videos(tmp_path, 10)
        near, far = load_video_folder(tmp_path), load_video_folder(tmp_path, memory=0)
        assert not far.train.in_memory
        assert far.preprocessing == near.preprocessing
        np.testing.assert_array_equal(far.train.read(np.array([5, 1])), near.train.read(np.array([5, 1])))

    def test_a_model_is_evaluated_on_a_folder(self, tmp_path: Path) -> None:
        data = load_video_folder(write_videos(tmp_path / "a", 5))
        assert isinstance(data.preprocessing, VideoPreprocessing)
        split, card = load_video_split(write_videos(tmp_path / "b", 3, folders=True), data.preprocessing, data.target)
        assert split.targets.tolist() == [0] * 3 + [1] * 3
        assert card.splits["test"]["examples"] == 6

    def test_what_cannot_be_learned_from_is_refused(self, tmp_path: Path) -> None:
        write_videos(tmp_path / "one", 4)
        shutil.rmtree(tmp_path / "one" / "right")
        with pytest.raises(DataError, match="one class only, 'left'"):
            load_video_folder(tmp_path / "one")
        write_videos(tmp_path / "cut", 4)
        for path in (tmp_path / "cut").rglob("*.gif"):
            path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(
            DataError, match=r"None of the 8 videos in .* can be read; the first is .*: the file is cut"
        ):
            load_video_folder(tmp_path / "cut")
        (tmp_path / "stills" / "a").mkdir(parents=True)
        moving(True)[0].save(tmp_path / "stills" / "a" / "x.png")
        with pytest.raises(DataError, match="There are no videos in"):
            load_video_folder(tmp_path / "stills")
