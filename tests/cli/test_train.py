"""lamina train: what it prints, where it writes, which options reach the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lamina as lm
from lamina.cli import options
from lamina.config import to_json

from .conftest import Command, Home, write_pictures

ONE = ("--epochs", "1", "--arch", "linear")


@pytest.mark.usefixtures("real_report")
def test_a_folder_of_pictures_becomes_a_measured_model(lamina: Command, desk: Path) -> None:
    done = lamina("train", "pictures", "--arch", "net.py", "--epochs", "2", "--batch-size", "8", "--json")
    assert done.code == 0
    told = done.json
    assert {"run", "model", "task", "classes", "epochs", "seconds", "validation", "test"} <= set(told)
    assert told["run"] == "runs/pictures"
    assert Path(told["report"]).read_text().startswith("<!doctype html>")
    assert told["task"] == "classify"
    assert told["classes"] == ["dark", "light"]
    assert told["epochs"] == 2
    assert told["status"] == "finished"
    assert sum(told["examples"].values()) == 24
    assert 0 <= told["test"]["accuracy"] <= 1
    low, high = told["intervals"]["validation"]["brier"]
    assert low <= told["validation"]["brier"] <= high
    model = lm.load(told["model"])
    assert model.target.names == ("dark", "light")
    config = json.loads(Path("runs/pictures/config.json").read_text())
    assert config["batch_size"] == 8
    assert config["command"].startswith("lamina train pictures --arch net.py")
    for words in ("pictures, 2 classes", "net.py", "epoch 2/2", "95 % interval", "runs/pictures/model.lamina"):
        assert words in done.err


def test_people_get_everything_on_stderr(lamina: Command, desk: Path) -> None:
    done = lamina("train", "pictures", *ONE)
    assert done.code == 0
    assert done.out == ""
    assert "lamina predict runs/pictures/model.lamina FILE" in done.err


def test_quiet_says_nothing(lamina: Command, desk: Path) -> None:
    done = lamina("train", "pictures", *ONE, "--quiet")
    assert (done.code, done.out) == (0, "")
    assert all(line.startswith("warning:") for line in done.err.splitlines())


def test_runs_are_numbered_and_never_collide(lamina: Command, desk: Path) -> None:
    Path("runs/pictures-2").mkdir(parents=True)
    folders = [lamina("train", "pictures/", *ONE, "--json").json["run"] for _ in range(2)]
    assert folders == ["runs/pictures", "runs/pictures-3"]


def test_an_unreadable_picture_is_skipped_with_a_warning(lamina: Command, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 6)
    (pictures / "dark" / "broken.png").write_bytes(b"not a picture")
    done = lamina("train", pictures, *ONE, "--out", tmp_path / "run", "--json")
    assert done.code == 0
    assert done.json["skipped"] == 1
    assert any("broken.png" in warning for warning in done.json["warnings"])
    assert "warning:" in done.err


def test_several_learning_rates_are_told_apart(lamina: Command, desk: Path) -> None:
    done = lamina("train", "labels.npz", *ONE, "--lr", "0.1,0.01", "--json")
    assert done.code == 0
    assert "learning rate  best val_f1" in done.err
    row = json.loads(Path("runs/labels/metrics.jsonl").read_text().splitlines()[-1])
    assert [entry["learning_rate"] for entry in row["rates"]] == [0.1, 0.01]


def test_a_learning_rate_can_be_looked_for(lamina: Command, desk: Path) -> None:
    done = lamina("train", "values.npz", *ONE, "--lr", "find", "--optimizer", "sgd")
    assert done.code == 0
    config = json.loads(Path("runs/values/config.json").read_text())
    assert f"lr       {config['optimizer']['learning_rate']:g}, found" in done.err
    assert Path("runs/values/learning_rate.svg").stat().st_size > 1000


def test_options_reach_the_run(lamina: Command, desk: Path) -> None:
    given = "--optimizer momentum --lr 0.02 --schedule cosine --loss hinge --batch-size full --patience 7 --seed 5"
    done = lamina(
        *("train", "pictures", *ONE, *given.split()),
        *("--precision", "bf16", "--remat", "--scale", "minmax", "--size", "4x5"),
    )
    assert done.code == 0, done.err
    config = json.loads(Path("runs/pictures/config.json").read_text())
    assert config["optimizer"]["type"] == "Momentum"
    assert config["optimizer"]["learning_rate"] == 0.02
    assert config["optimizer"]["schedule"]["type"] == "CosineDecay"
    assert config["loss"]["type"] == "Hinge"
    assert config["batch_size"] > 8
    assert (config["patience"], config["seed"], config["precision"], config["remat"]) == (7, 5, "bf16", True)
    preprocessing = lm.load("runs/pictures/model.lamina").preprocessing
    assert preprocessing.input_spec().shape[:2] == (4, 5)
    assert preprocessing.mean == (0.0,)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("real_report")
def test_refit_trains_again_with_the_validation_part(lamina: Command, desk: Path) -> None:
    done = lamina("train", "values.npz", *ONE, "--refit", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    examples = told["examples"]
    assert told["refitted"] == examples["train"] + examples["validation"]
    assert f"refit    trained again on {told['refitted']} examples, the validation part among them" in done.err
    report = Path(told["report"]).read_text()
    assert "The model was then trained again from the beginning" in report
    assert ", of the first training" in report
    assert lm.load(told["model"]).card["refitted"] == told["refitted"]


def test_a_time_limit_ends_the_run(lamina: Command, desk: Path) -> None:
    done = lamina("train", "values.npz", "--arch", "linear", "--epochs", "1000000", "--time", "3s", "--json")
    assert done.code == 0
    assert done.json["epochs"] < 1_000_000


def test_force_replaces_a_run_and_resume_goes_on_with_the_last(lamina: Command, desk: Path) -> None:
    assert lamina("train", "values.npz", *ONE, "--quiet").code == 0
    resumed = lamina("train", "values.npz", *ONE, "--resume", "--json")
    assert (resumed.code, resumed.json["run"], resumed.json["epochs"]) == (0, "runs/values", 1)
    Path("runs/values/old").touch()
    forced = lamina("train", "values.npz", *ONE, "--force", "--out", "runs/values", "--seed", "1", "--json")
    assert (forced.code, forced.json["run"]) == (0, "runs/values")
    assert not Path("runs/values/old").exists()


def test_a_network_comes_from_json_too(lamina: Command, desk: Path) -> None:
    network = lm.Sequential(lm.Dense(4), lm.relu, lm.Dense(1))
    Path("net.json").write_text(json.dumps(to_json(network)))
    done = lamina("train", "values.npz", "--arch", "net.json", "--epochs", "1", "--json")
    assert done.code == 0
    assert done.json["classes"] == []
    assert lm.load(done.json["model"]).network == network
    Path("again.json").write_text(json.dumps({"format": 1, "network": to_json(network)}))
    assert lamina("train", "values.npz", "--arch", "again.json", "--epochs", "1").code == 0


def test_a_network_file_can_import_its_neighbours(lamina: Command, desk: Path) -> None:
    Path("sizes.py").write_text("HIDDEN = 3")
    Path("mine.py").write_text(
        "import lamina as lm\nfrom sizes import HIDDEN\nnetwork = lm.Sequential(lm.Dense(HIDDEN), lm.Dense(1))"
    )
    assert lamina("train", "values.npz", "--arch", "mine.py", "--epochs", "1").code == 0


def test_a_diverging_run_fails_with_one_sentence(lamina: Command, desk: Path) -> None:
    done = lamina("train", "values.npz", "--arch", "net.py", "--optimizer", "sgd", "--lr", "1e30", "--json")
    assert done.code == 1
    assert done.json["error"]["kind"] == "TrainingError"
    assert "diverged in epoch" in done.json["error"]["message"]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("0.5h", 1800)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert options.parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "0s", "5 m", "1d", "5mm", "١٠m"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(lm.errors.ConfigError, match="A time is written like"):
        options.parse_time(text)


def test_sizes_are_height_by_width() -> None:
    assert options.parse_size("96") == 96
    assert options.parse_size("64x96") == (64, 96)


def test_the_same_seed_gives_the_same_file(lamina: Command, desk: Path, home: Home) -> None:
    again = lamina("train", "pictures", "--arch", "net.py", "--epochs", "15", "--lr", "0.03", "--json").json["model"]
    first, second = lm.load(home.model / "model.lamina"), lm.load(again)
    for path in ("1", "5"):
        for name, weight in first.params[path].items():
            np.testing.assert_array_equal(weight, second.params[path][name])
