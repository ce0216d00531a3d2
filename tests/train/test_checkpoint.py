from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest

import lamina as lm
from lamina import trees
from lamina.data.base import Data
from lamina.errors import BadInputError, ConfigError, TrainingError
from lamina.optim import Adam, CosineDecay
from lamina.run import Run
from lamina.train import Callback

Fit = Callable[..., Run]
NETWORK = lm.Sequential(lm.Conv(4, 3), lm.BatchNorm(), lm.relu, lm.Flatten(), lm.Dropout(0.2), lm.Dense(10))
OPTIONS: dict[str, Any] = {"epochs": 4, "optimizer": Adam(0.003, schedule=CosineDecay()), "seed": 5}


class Killed(BaseException):
    """Ends a run as nothing inside it can."""


class KillAt(Callback):
    def __init__(self, epoch: int, when: str = "epoch") -> None:
        self.epoch, self.when = epoch, when

    def on_chunk(self, training: Any) -> None:
        if self.when == "chunk" and training.epoch == self.epoch:
            raise Killed

    def on_epoch(self, training: Any, row: dict[str, Any]) -> None:
        if self.when == "epoch" and training.epoch == self.epoch:
            raise Killed


def weights(run: Run) -> dict[str, np.ndarray]:
    return trees.flatten((run.model.params, run.model.state))


def rows(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what the clock says."""
    timed = ("seconds", "examples_per_second")
    return [{name: value for name, value in row.items() if name not in timed} for row in history]


def broken_off(fit: Fit, data: Data, out: Path, *callbacks: Callback, **options: Any) -> None:
    with pytest.raises(Killed):
        fit(NETWORK, data, out=out, callbacks=callbacks, **OPTIONS | options)


@pytest.fixture(scope="module")
def uninterrupted(digits: Data) -> Run:
    return lm.fit(NETWORK, digits, progress=False, **OPTIONS)


@pytest.mark.parametrize("callback", [KillAt(2), KillAt(3, "chunk")], ids=["after an epoch", "within an epoch"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    callback: Callback, fit: Fit, digits: Data, uninterrupted: Run, tmp_path: Path
) -> None:
    broken_off(fit, digits, tmp_path / "run", callback)
    assert not (tmp_path / "run" / "model.lamina").exists()
    run = fit(NETWORK, digits, out=tmp_path / "run", resume=True, **OPTIONS)
    assert rows(run.history) == rows(uninterrupted.history)
    ours, theirs = weights(run), weights(uninterrupted)
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)
    assert run.best_epoch == uninterrupted.best_epoch
    assert run.test == uninterrupted.test
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert rows([json.loads(line) for line in lines]) == rows(uninterrupted.history)
    assert run.seconds > run.history[1]["seconds"]


def test_several_rates_and_an_optax_state_resume_too(fit: Fit, blobs: Data, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 4, "optimizer": optax.adamw(1.0), "learning_rates": (0.01, 0.001)}
    network = lm.Dense(3)
    whole = fit(network, blobs, **options)
    with pytest.raises(Killed):
        fit(network, blobs, out=tmp_path / "run", callbacks=[KillAt(2)], **options)
    run = fit(network, blobs, out=tmp_path / "run", resume=True, **options)
    assert rows(run.history) == rows(whole.history)
    np.testing.assert_array_equal(run.model.params["kernel"], whole.model.params["kernel"])


def test_a_finished_run_resumes_to_itself(fit: Fit, blobs: Data, tmp_path: Path) -> None:
    first = fit(lm.Dense(3), blobs, epochs=2, out=tmp_path / "run")
    again = fit(lm.Dense(3), blobs, epochs=2, out=tmp_path / "run", resume=True)
    assert again.history == first.history
    np.testing.assert_array_equal(again.model.params["kernel"], first.model.params["kernel"])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("seed", {"seed": 6}),
        ("optimizer", {"optimizer": Adam(0.004)}),
        ("batch_size", {"batch_size": 64}),
        ("epochs", {"epochs": 5}),
        ("precision", {"precision": "bf16"}),
    ],
)
def test_another_configuration_is_refused_and_named(
    name: str, options: dict[str, Any], fit: Fit, blobs: Data, tmp_path: Path
) -> None:
    fit(lm.Dense(3), blobs, epochs=2, out=tmp_path / "run")
    kept = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(BadInputError, match=f"made with another {name}: .*, now .*--force"):
        fit(lm.Dense(3), blobs, **{"epochs": 2} | options, out=tmp_path / "run", resume=True)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == kept


def test_other_data_and_networks_are_refused(fit: Fit, blobs: Data, two_blobs: Data, tmp_path: Path) -> None:
    fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "run")
    with pytest.raises(BadInputError, match="another network"):
        fit(lm.Sequential(lm.Dense(3)), blobs, epochs=1, out=tmp_path / "run", resume=True)
    with pytest.raises(BadInputError, match=r"another (network|preprocessing|data)"):
        fit(lm.Dense(2), two_blobs, epochs=1, out=tmp_path / "run", resume=True)


def test_a_checkpoint_that_is_missing_or_damaged_is_refused(fit: Fit, blobs: Data, tmp_path: Path) -> None:
    fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last.safetensors"
    whole = path.read_bytes()
    for sixteenths in range(0, 16, 3):
        path.write_bytes(whole[: len(whole) * sixteenths // 16])
        with pytest.raises(BadInputError, match=r"cannot be read.*--force"):
            fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "run", resume=True)
    path.unlink()
    with pytest.raises(BadInputError, match="no checkpoint to resume from"):
        fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "run", resume=True)


def test_there_is_a_checkpoint_from_the_first_epoch_on(
    fit: Fit, blobs: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed outright runs no cleanup; what it has written by then must do."""
    copies: list[Path] = []

    class Copy(Callback):
        def on_chunk(self, training: Any) -> None:
            if training.epoch == 2 and not copies:
                copies.append(Path(shutil.copytree(tmp_path / "run", tmp_path / "copy")))

    whole = fit(lm.Dense(3), blobs, epochs=3, out=tmp_path / "run", callbacks=[Copy()])
    run = fit(lm.Dense(3), blobs, epochs=3, out=copies[0], resume=True)
    assert rows(run.history) == rows(whole.history)
    np.testing.assert_array_equal(run.model.params["kernel"], whole.model.params["kernel"])


def test_a_full_disk_fails_the_run_and_leaves_the_last_checkpoint(
    fit: Fit, blobs: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.safetensors"
    kept: list[bytes] = []

    class Fill(Callback):
        def on_chunk(self, training: Any) -> None:
            if training.epoch == 2 and not kept:
                kept.append(path.read_bytes())

                def full(*_: Any) -> None:
                    raise OSError(28, "No space left on device")

                monkeypatch.setattr("os.fsync", full)

    with pytest.raises(TrainingError, match=r"No space left on device.*last checkpoint is intact"):
        fit(lm.Dense(3), blobs, epochs=3, out=tmp_path / "run", callbacks=[Fill()])
    assert path.read_bytes() == kept[0]
    assert [file.name for file in path.parent.iterdir()] == ["last.safetensors"]


class TestFolder:
    def test_it_holds_the_record(self, fit: Fit, blobs: Data, tmp_path: Path) -> None:
        run = fit(lm.Dense(3), blobs, epochs=2, out=tmp_path / "a" / "run", command="lamina train …")
        folder = tmp_path / "a" / "run"
        assert run.folder == folder
        assert {"config.json", "metrics.jsonl", "model.lamina"} <= {path.name for path in folder.iterdir()}
        config = json.loads((folder / "config.json").read_text())
        assert config == json.loads(json.dumps(run.config))
        assert config["command"] == "lamina train …"
        assert config["network"] == {"type": "Dense", "units": 3, **config["network"]}
        metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert metrics == run.history
        np.testing.assert_array_equal(lm.load(folder / "model.lamina").params["kernel"], run.model.params["kernel"])

    def test_an_earlier_run_is_kept_unless_forced(self, fit: Fit, blobs: Data, tmp_path: Path) -> None:
        fit(lm.Dense(3), blobs, epochs=2, out=tmp_path / "run")
        with pytest.raises(BadInputError, match=r"exists already.*--force"):
            fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "run")
        assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
        fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "run", force=True)
        assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1

    def test_what_is_no_run_is_never_replaced(self, fit: Fit, blobs: Data, tmp_path: Path) -> None:
        (tmp_path / "letters").mkdir()
        (tmp_path / "letters" / "dear.txt").write_text("…")
        with pytest.raises(BadInputError, match="does not hold a run"):
            fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "letters", force=True)
        with pytest.raises(BadInputError, match="no run to resume"):
            fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "letters", resume=True)
        (tmp_path / "file").write_text("")
        with pytest.raises(BadInputError, match="is a file"):
            fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "file", force=True)
        assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear.txt"]

    def test_bad_options_leave_a_forced_run_untouched(self, fit: Fit, blobs: Data, tmp_path: Path) -> None:
        fit(lm.Dense(3), blobs, epochs=1, out=tmp_path / "run")
        before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
        with pytest.raises(ConfigError, match="optimiser"):
            fit(lm.Dense(3), blobs, optimizer="adan", out=tmp_path / "run", force=True)
        assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before
