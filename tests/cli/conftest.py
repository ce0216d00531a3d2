"""Small data, small networks, and models trained on them by the command line itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image

from lamina.cli import main

NETWORK = """
import lamina as lm

def network(data):
    head = lm.Dense(data.target.units)
    return lm.Sequential(lm.Flatten(), lm.Dense(8), lm.BatchNorm(), lm.relu, lm.Dropout(0.1), head)
"""


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as exactly one JSON object on one line."""
        assert self.out.count("\n") == 1
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


Command = Callable[..., Outcome]


@pytest.fixture(autouse=True, scope="session")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs compiled by one test serve the others, and nobody's own cache is touched."""
    wanted = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("xla")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: jax.config.values[name] for name in wanted}
    for name, value in wanted.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def real_report() -> None:
    """Has the report written: it takes longer than these trainings, and has tests of its own."""


@pytest.fixture(autouse=True)
def no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_report" not in request.fixturenames:
        monkeypatch.setattr("lamina.report.write", lambda *_, **__: None)


@pytest.fixture
def lamina(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command line in this process."""

    def run(*arguments: Any) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


def write_pictures(folder: Path, count: int = 12, classes: tuple[str, ...] = ("dark", "light")) -> Path:
    """Pictures of 6×6 pixels, each class of its own brightness, no two alike."""
    rng = np.random.default_rng(0)
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            low = 200 * place // max(len(classes) - 1, 1)
            Image.fromarray(rng.integers(low, low + 50, (6, 6), np.uint8)).save(folder / name / f"{name}{index}.png")
    return folder


@dataclass(frozen=True)
class Home:
    """A folder with data and models trained on it."""

    root: Path
    pictures: Path
    model: Path
    labels: Path
    values: Path
    x: Path


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Pictures, arrays, and a model of each task: classes, several labels, values. Do not write there."""
    root = tmp_path_factory.mktemp("home")
    pictures = write_pictures(root / "pictures")
    (root / "net.py").write_text(NETWORK)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    np.savez(root / "labels.npz", x=x, y=(x > 0).astype(np.float32))
    np.savez(root / "values.npz", x=x, y=x @ [1.0, 2.0, 3.0])
    np.save(root / "x.npy", x[:5])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lamina.report.write", lambda *_, **__: None)
        for name, source in (("model", pictures), ("labels", root / "labels.npz"), ("values", root / "values.npz")):
            out = ["--out", str(root / "runs" / name), "--arch", str(root / "net.py")]
            assert main(["train", str(source), *out, "--epochs", "15", "--lr", "0.03", "--quiet"]) == 0
    runs = root / "runs"
    return Home(root, pictures, runs / "model", runs / "labels", runs / "values", root / "x.npy")


@pytest.fixture
def desk(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with links to the data."""
    for name in ("pictures", "net.py", "labels.npz", "values.npz", "x.npy"):
        (tmp_path / name).symlink_to(home.root / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
