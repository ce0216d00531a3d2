"""What only a process of its own can show: signals, closed pipes, a full disk, a kill, what --help imports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lamina as lm

from .conftest import Command, Home

PROGRAM = "import sys; from lamina.cli import main; sys.exit(main())"
QUICK = "import lamina.report; lamina.report.write = lambda *_, **__: None;"


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cache = tmp_path_factory.getbasetemp() / "cache"
    return {**os.environ, "XDG_CACHE_HOME": str(cache), "LAMINA_COMPILATION_CACHE": "on"}


def start(desk: Path, environment: dict[str, str], *arguments: str, first: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", first + PROGRAM, *arguments],
        cwd=desk,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_training_with_a_usable_model(desk: Path, environment: dict[str, str], name: str) -> None:
    arguments = ["train", "values.npz", "--arch", "linear", "--epochs", "10000000", "--out", "run", "--json"]
    with start(desk, environment, *arguments, first=QUICK) as process:
        assert process.stderr is not None
        assert any(line.startswith("epoch") for line in process.stderr)
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["status"] == "interrupted"
    assert told["epochs"] >= 1
    assert "interrupted" in err
    assert "Traceback" not in err
    assert lm.load(desk / "run" / "model.lamina").target.task == "regress"


def test_an_interrupt_before_the_first_step_writes_nothing(desk: Path, environment: dict[str, str]) -> None:
    early = "import signal, lamina.data; lamina.data.load = lambda *_, **__: signal.raise_signal(signal.SIGINT);"
    before = sorted(desk.rglob("*"))
    process = start(desk, environment, "train", "pictures", "--json", first=early)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["error"]["kind"] == "Interrupted"
    assert "Traceback" not in err
    assert sorted(desk.rglob("*")) == before


# Saves after every epoch, and dies in the middle of the fourth.
KILLED = """
import os, signal
from lamina.train import checkpoint
checkpoint.Checkpoints.__init__.__defaults__ = (0.0,)
checkpoint.Checkpoints.on_chunk = lambda self, training: training.epoch == 4 and os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    lamina: Command, desk: Path, environment: dict[str, str]
) -> None:
    arguments = ["train", "pictures", "--arch", "net.py", "--epochs", "6", "--batch-size", "4", "--quiet", "--out"]
    process = start(desk, environment, *arguments, "killed", first=KILLED)
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    assert len((desk / "killed" / "metrics.jsonl").read_text().splitlines()) == 3
    early = lamina("predict", "killed", "pictures")
    assert early.code == 2
    assert "--resume" in early.err
    assert lamina(*arguments, "killed", "--resume").code == 0
    assert lamina(*arguments, "whole").code == 0
    weights = []
    for run in ("killed", "whole"):
        with zipfile.ZipFile(desk / run / "model.lamina") as archive:
            weights.append(archive.read("weights.safetensors"))
    assert weights[0] == weights[1]
    first, second = (
        [{k: v for k, v in json.loads(line).items() if "second" not in k} for line in path.read_text().splitlines()]
        for path in (desk / "killed" / "metrics.jsonl", desk / "whole" / "metrics.jsonl")
    )
    assert first == second
    assert len(first) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX's")
@pytest.mark.slow
def test_a_full_disk_fails_the_run_with_a_sentence(desk: Path, environment: dict[str, str]) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000));"
    arguments = ["train", "pictures", "--arch", "convnet", "--epochs", "1", "--out", "run", "--json"]
    process = start(desk, {**environment, "LAMINA_COMPILATION_CACHE": "off"}, *arguments, first=full)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert re.search("last.safetensors cannot be written", json.loads(out)["error"]["message"])
    assert "Traceback" not in err
    assert not (desk / "run" / "model.lamina").exists()


def test_a_reader_that_leaves_is_no_error(home: Home, environment: dict[str, str]) -> None:
    with start(home.root, environment, "predict", str(home.model), str(home.pictures)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


def test_json_is_alone_on_stdout(home: Home, environment: dict[str, str]) -> None:
    process = start(home.root, environment, "predict", str(home.model), str(home.pictures), "nowhere.png", "--json")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert set(json.loads(out)) == {"error"}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["predict", "-h"], ["--version"]])
def test_help_waits_for_nothing(arguments: list[str]) -> None:
    program = (
        f"import sys; from lamina.cli import main; code = main({arguments!r});"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules})); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert loaded.isdisjoint({"PIL", "jax", "matplotlib", "numpy", "optax", "polars", "sklearn"})
    assert "lamina" in done.stdout
