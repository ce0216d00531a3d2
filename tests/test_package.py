"""The package: what importing it costs, what it exports, what the wheel holds."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import types
import zipfile
from importlib.resources import files
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

import lamina as lm
import lamina.layers
from lamina import config

ROOT = Path(__file__).parents[1]
MODULES = sorted(module.name for module in pkgutil.walk_packages(lm.__path__, "lamina."))
PUBLIC_MODULES = [name for name in MODULES if not any(part.startswith("_") for part in name.split("."))]
HEAVY = {"PIL", "matplotlib", "optax", "polars", "rich", "sklearn", "typer"}


def modules_loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh Python holds after running ``code``."""
    program = f"import sys\n{code}\nprint('MODULES', *{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_importing_lamina_loads_no_library() -> None:
    assert modules_loaded_by("import lamina").isdisjoint(HEAVY | {"jax", "numpy"})


def test_a_network_needs_jax_and_nothing_heavier() -> None:
    loaded = modules_loaded_by("import lamina; lamina.Sequential(lamina.Dense(1))")
    assert "jax" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_help_does_not_wait_for_jax() -> None:
    loaded = modules_loaded_by(
        "import lamina.cli\nsys.argv = ['lamina', '--help']\ntry:\n    lamina.cli.main()\nexcept SystemExit:\n    pass"
    )
    assert "typer" in loaded
    assert loaded.isdisjoint({"jax", "matplotlib", "optax", "polars", "sklearn"})


@pytest.mark.parametrize("name", lm.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    assert getattr(lm, name) is not None
    assert name in dir(lm)


def test_every_layer_is_exported() -> None:
    assert set(lamina.layers.__all__) <= set(lm.__all__)


@pytest.mark.parametrize("name", sorted(set(lm.__all__) - lm._MODULES))
def test_no_module_hides_an_exported_name(name: str) -> None:
    # Importing lamina.x sets the attribute x of the package, whatever it was before.
    assert importlib.util.find_spec(f"lamina.{name}") is None


def test_an_unknown_name_is_an_attribute_error_that_offers_the_nearest() -> None:
    program = "import lamina\nlamina.Sequentail"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "AttributeError: module 'lamina' has no attribute 'Sequentail'. Did you mean: 'Sequential'?" in done.stderr


def test_the_version_is_the_distributions() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        importlib.metadata.version("lamina")
    except importlib.metadata.PackageNotFoundError:
        assert lm.__version__ == "0+source"
    else:
        assert lm.__version__ == declared


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_public_module_lists_its_names(name: str) -> None:
    module = importlib.import_module(name)
    assert isinstance(module.__all__, list)
    for exported in module.__all__:
        assert hasattr(module, exported)


def test_the_bundled_digits_are_the_uci_test_part() -> None:
    reference = load_digits()
    with files("lamina").joinpath("data", "digits.npz").open("rb") as file, np.load(file) as digits:
        np.testing.assert_array_equal(digits["images"], reference.images)
        np.testing.assert_array_equal(digits["labels"], reference.target)
        assert digits["images"].dtype == digits["labels"].dtype == np.uint8


def build_wheel(folder: Path, **environment: str) -> tuple[Path, str]:
    """Build the wheel from a copy of the sources; returns its path and what the build said."""
    sources = folder / "sources"
    kept = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "src", sources / "src", ignore=kept)
    for name in ("CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, sources)
    command = [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(sources)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["working", "missing"])
def test_the_wheel_is_whole_with_and_without_a_compiler(compiler: str, tmp_path: Path) -> None:
    if compiler == "missing":
        wheel, said = build_wheel(tmp_path, CXX=str(tmp_path / "no-such-compiler"))
        assert "retrying due to override" in said
    else:
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            pytest.skip("this machine has no C++ compiler")
        wheel, said = build_wheel(tmp_path)
        assert "retrying due to override" not in said
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert wheel.name == f"lamina-{version}-py3-none-any.whl"
    held = set(zipfile.ZipFile(wheel).namelist())
    package = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "lamina").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = f"lamina-{version}.dist-info/"
    assert {name for name in held if not name.startswith(info)} == package
    assert {"lamina/py.typed", "lamina/data/digits.npz", "lamina/data/SOURCES.md"} <= held
    assert {f"{info}entry_points.txt", f"{info}licenses/LICENSE"} <= held


def python_blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), flags=re.M | re.S)


def test_the_readmes_network_runs() -> None:
    describe, _, apply = python_blocks("README.md")
    names = {"x": jax.numpy.ones((2, 32, 32, 3))}
    exec(describe + apply, names)
    assert names["logits"].shape == (2, 10)


def test_the_layer_in_contributing_is_a_whole_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = python_blocks("CONTRIBUTING.md")
    monkeypatch.setattr(config, "_registry", dict(config._registry))
    module = types.ModuleType("scale")
    monkeypatch.setitem(sys.modules, "scale", module)  # a dataclass looks its module up
    exec(block, module.__dict__)
    layer = module.Scale()
    params, state = layer.init(jax.random.key(0), (4,))
    y, _ = layer.apply({"scale": 3 * params["scale"]}, state, jax.numpy.ones((2, 4)))
    np.testing.assert_array_equal(y, np.full((2, 4), 3.0))
    assert config.from_json(config.to_json(layer)) == layer
    with pytest.raises(lm.errors.ShapeError, match="expects a channel axis"):
        layer.init(jax.random.key(0), ())
