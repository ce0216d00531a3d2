"""Sound folders: preprocessing, splits, the data card, streaming, what is refused."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import lamina as lm
from lamina.config import from_json, to_json
from lamina.data.base import ClassTarget
from lamina.data.sound import load_sound_folder, load_sound_split, plan_sounds
from lamina.data.sound_files import SoundHeader, read_sound
from lamina.data.sound_preprocessing import SoundPreprocessing
from lamina.errors import ConfigError, DataError

from .clips import tone, wav_bytes, write_sounds


def preprocessing(**changed: object) -> SoundPreprocessing:
    given = {"rate": 8000, "samples": 1600, "window": 200, "hop": 80, "bands": 4, "low": 0.0, "high": 4000.0}
    given |= {"decibels": 80.0, "mean": (1.0, 2.0, 3.0, 4.0), "std": (1.0, 2.0, 4.0, 8.0)} | changed  # type: ignore[assignment]
    return SoundPreprocessing(**given)  # type: ignore[arg-type]


class TestPreprocessing:
    def test_round_trips_and_standardises_every_band(self) -> None:
        own = preprocessing()
        assert from_json(json.loads(json.dumps(to_json(own)))) == own
        x = own.encode([tone(440, 0.2), wav_bytes(tone(880, 0.1))])
        assert x.shape == (2, 1600)
        y = jax.jit(own.transform)(x)
        assert y.shape[1:] == own.input_spec().shape == (18, 4, 1)
        expected = (np.asarray(own.spectrogram(x)) - [1, 2, 3, 4]) / [1, 2, 4, 8]
        np.testing.assert_allclose(y[..., 0], expected, atol=1e-5)

    def test_takes_paths_bytes_and_arrays(self, tmp_path: Path) -> None:
        own, samples = preprocessing(), tone(440, 0.15)
        path = tmp_path / "x.wav"
        path.write_bytes(wav_bytes(samples, kind="<f8"))
        for given in (path, str(path), path.read_bytes(), samples, samples[:, None], [str(path)], [path.read_bytes()]):
            np.testing.assert_array_equal(own.encode(given), own.encode([path]))
        with pytest.raises(DataError, match="Expected sounds: paths, bytes of files, or arrays of samples at 8000 Hz"):
            own.encode(17)
        with pytest.raises(DataError, match="Cannot read the sound number 2: it has samples that are not numbers"):
            own.encode([samples, samples * np.nan])

    def test_skips_what_cannot_be_read(self, tmp_path: Path) -> None:
        own = preprocessing()
        paths = [tmp_path / f"{index}.wav" for index in range(5)]
        for index, path in enumerate(paths):
            path.write_bytes(b"" if index in (1, 4) else wav_bytes(tone(200 * index + 200, 0.1)))
        told: dict[int, str] = {}
        batches = list(own.batches([str(path) for path in paths], 2, told.__setitem__))
        assert told == {1: "the file is empty", 4: "the file is empty"}
        np.testing.assert_array_equal(np.concatenate(batches), own.encode([paths[0], paths[2], paths[3]]))

    def test_gathers_files_and_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_sounds(tmp_path / "sounds", 2)
        (tmp_path / "sounds" / "notes.txt").write_text("x")
        given = preprocessing().gather([str(tmp_path / "sounds"), str(tmp_path / "sounds/low/low_a_0.wav")])
        assert len(given.names) == 5
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="has no sounds in it"):
            preprocessing().gather([str(tmp_path / "empty")])
        with pytest.raises(DataError, match="There is no nowhere"):
            preprocessing().gather(["nowhere"])
        data = Path(given.names[0]).read_bytes()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        assert preprocessing().gather(["-"]).raw == [data]

    @pytest.mark.parametrize(
        ("changed", "words"),
        [({"hop": 0}, "a hop from 1 to the window"), ({"high": 5000.0}, "half the rate"), ({"std": (1.0,)}, "4 bands")],
    )
    def test_refuses_what_cannot_be(self, changed: dict[str, object], words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            preprocessing(**changed)

    def test_is_planned_from_the_training_sounds(self) -> None:
        headers = [SoundHeader(44100, 44100 * second, 2, "16-bit") for second in range(1, 21)]
        own = plan_sounds(headers)
        assert (own.rate, own.window, own.hop, own.bands) == (16000, 400, 160, 64)
        assert own.seconds == pytest.approx(10.0)  # the limit; 95 % are 19 s or shorter
        own = plan_sounds([SoundHeader(8000, 4000, 1, "16-bit")] * 19 + [SoundHeader(22050, 441000, 1, "16-bit")])
        assert own.rate == 8000
        assert own.seconds < 1.5
        assert plan_sounds([SoundHeader(8000, 10, 1, "8-bit")]).frames == 16


class TestFolder:
    def test_is_split_and_measured(self, tmp_path: Path) -> None:
        data = load_sound_folder(write_sounds(tmp_path, 20))
        assert isinstance(data.target, ClassTarget)
        assert data.target.names == ("high", "low")
        assert {part: found["examples"] for part, found in data.card.splits.items()} == {
            "train": 32, "validation": 4, "test": 4,
        }  # fmt: skip
        own = data.preprocessing
        assert isinstance(own, SoundPreprocessing)
        everything = np.asarray(own.transform(data.train.read(np.arange(32))))
        np.testing.assert_allclose(everything.mean(axis=(0, 1, 3)), 0, atol=1e-3)
        np.testing.assert_allclose(everything.std(axis=(0, 1, 3)), 1, atol=1e-2)
        for index, name in enumerate(data.train.names):
            expected = read_sound(tmp_path / name, own.rate, own.samples)
            np.testing.assert_array_equal(data.train.read(np.array([index]))[0], expected)
            assert data.target.names[data.train.targets[index]] == Path(name).parts[0]
        assert data.card.kind == "sound"
        assert data.card.facts["rate"] == {"8000": 40}
        assert data.card.warnings == []
        json.dumps(data.card.to_json())

    def test_speakers_stay_on_one_side(self, tmp_path: Path) -> None:
        data = lm.data.load(write_sounds(tmp_path, 20), group="_([a-e])_")
        assert data.test is not None
        speakers = [{name.split("_")[1] for name in split.names} for split in (data.train, data.validation, data.test)]
        assert [len(found) for found in speakers] == [3, 1, 1]
        assert len(set.union(*speakers)) == 5
        assert "whole groups, told apart by '_([a-e])_'" in data.card.split_rule

    def test_given_parts_are_kept_and_equal_files_stay_together(self, tmp_path: Path) -> None:
        write_sounds(tmp_path / "train", 20)
        write_sounds(tmp_path / "test", 3, rate=16000)
        for number in range(5):
            shutil.copy(tmp_path / "train/low/low_a_0.wav", tmp_path / f"train/low/copy{number}.wav")
        data = load_sound_folder(tmp_path)
        assert data.test is not None
        assert all(name.startswith("test/") for name in data.test.names)
        copies = {"copy" in name or name.endswith("low_a_0.wav") for name in data.train.names}
        other = {"copy" in name or name.endswith("low_a_0.wav") for name in data.validation.names}
        assert (True in copies) != (True in other)
        assert data.card.duplicates["within"] == 5
        assert any("6 from 16,000 Hz" in note for note in data.card.facts["notes"])

    def test_what_is_converted_stands_on_the_card(self, tmp_path: Path) -> None:
        write_sounds(tmp_path, 10)
        stereo = np.stack([tone(500, 0.3, 22050), tone(600, 0.3, 22050)], axis=1)
        (tmp_path / "low" / "x_a_.wav").write_bytes(wav_bytes(stereo, 22050, "<i3"))
        (tmp_path / "low" / "y_a_.wav").write_bytes(wav_bytes(tone(500, 3.0), kind="u1"))
        (tmp_path / "high" / "z_a_.wav").write_bytes(wav_bytes(np.zeros(2400)))
        data = load_sound_folder(tmp_path)
        notes = " ".join(data.card.facts["notes"])
        assert "Converted to 8,000 Hz: 1 from 22,050 Hz." in notes
        assert "Of 1 sounds with several channels the mean is taken." in notes
        assert "21 16-bit, 1 24-bit, 1 8-bit" in notes or "1 8-bit, 1 24-bit" in notes
        assert "1 longer ones are cut" in notes
        assert any("1 sound is nothing but silence: high/z_a_.wav" in warning for warning in data.card.warnings)

    def test_unreadable_files_are_left_out_with_their_reason(self, tmp_path: Path) -> None:
        write_sounds(tmp_path, 10)
        whole = (tmp_path / "low/low_a_0.wav").read_bytes()
        (tmp_path / "low/empty.wav").write_bytes(b"")
        (tmp_path / "low/cut.wav").write_bytes(whole[:-100])
        (tmp_path / "low/cover.jpg").write_bytes(b"?")
        data = load_sound_folder(tmp_path)
        assert dict(data.card.skipped) == {
            "low/empty.wav": "the file is empty", "low/cut.wav": "the file is cut short",
            "low/cover.jpg": "it is no sound, by its name",
        }  # fmt: skip
        assert any(warning.startswith("3 sounds were left out: ") for warning in data.card.warnings)
        assert sum(found["examples"] for found in data.card.splits.values()) == 20

    def test_streams_from_disk_what_does_not_fit_into_memory(self, tmp_path: Path) -> None:
        write_sounds(tmp_path, 10)
        near, far = load_sound_folder(tmp_path), load_sound_folder(tmp_path, memory=0)
        assert near.train.in_memory
        assert not far.train.in_memory
        assert far.preprocessing == near.preprocessing
        indices = np.array([3, 0, 3])
        np.testing.assert_array_equal(far.train.read(indices), near.train.read(indices))
        broken = tmp_path / far.train.names[0]
        broken.write_bytes(b"")
        following = int(np.flatnonzero(far.train.targets == far.train.targets[0])[1])
        np.testing.assert_array_equal(far.train.read(indices)[1], near.train.read(np.array([following]))[0])
        assert "the file is empty" in far.train.warnings[0]  # type: ignore[attr-defined]
        assert "stands in for it" in far.train.warnings[0]  # type: ignore[attr-defined]

    def test_a_model_is_evaluated_on_a_folder(self, tmp_path: Path) -> None:
        data = load_sound_folder(write_sounds(tmp_path / "a", 10))
        assert isinstance(data.preprocessing, SoundPreprocessing)
        other = write_sounds(tmp_path / "b", 4, ("low",), rate=16000)
        split, card = load_sound_split(other, data.preprocessing, data.target)
        assert split.targets.tolist() == [1] * 4
        assert card.split_rule == "All sounds."
        write_sounds(tmp_path / "c", 2, ("deep",))
        with pytest.raises(DataError, match="knows no class 'deep'"):
            load_sound_split(tmp_path / "c", data.preprocessing, data.target)

    def test_what_cannot_be_learned_from_is_refused(self, tmp_path: Path) -> None:
        write_sounds(tmp_path / "one", 4, ("low",))
        with pytest.raises(DataError, match="one class only, 'low'"):
            load_sound_folder(tmp_path / "one")
        write_sounds(tmp_path / "few", 4)
        write_sounds(tmp_path / "few", 1, ("lonely",))
        with pytest.raises(DataError, match=r"class 'lonely' .* has one sound"):
            load_sound_folder(tmp_path / "few")
        write_sounds(tmp_path / "empty", 4)
        for path in (tmp_path / "empty").rglob("*.wav"):
            path.write_bytes(b"")
        with pytest.raises(
            DataError, match=r"None of the 8 sounds in .* can be read; the first is .*: the file is empty"
        ):
            load_sound_folder(tmp_path / "empty")
        (tmp_path / "text" / "a").mkdir(parents=True)
        (tmp_path / "text" / "a" / "x.txt").write_text("x")
        with pytest.raises(DataError, match="There are no sounds in"):
            load_sound_folder(tmp_path / "text")
        with pytest.raises(ConfigError, match="Sounds are always standardised"):
            lm.data.load(tmp_path / "few", scale="minmax")
        with pytest.raises(ConfigError, match="not possible with these sounds"):
            lm.data.load(tmp_path / "few", task="regress")

    def test_flac_without_soundfile_is_refused_with_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_sounds(tmp_path, 4)
        (tmp_path / "low" / "x.flac").write_bytes(b"fLaC")
        monkeypatch.setitem(sys.modules, "soundfile", None)
        with pytest.raises(DataError, match=r"1 of the 9 sounds in .* are \.flac files") as caught:
            load_sound_folder(tmp_path)
        assert "pip install 'lamina[sound]'" in caught.value.hint
