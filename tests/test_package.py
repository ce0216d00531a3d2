"""The package: what importing it costs, what it exports, what the wheel holds."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import pkgutil
import platform
import re
import shutil
import site
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
from lamina.kernels import native

ROOT = Path(__file__).parents[1]
MODULES = sorted(module.name for module in pkgutil.walk_packages(lm.__path__, "lamina."))
PUBLIC_MODULES = [
    name
    for name in MODULES
    # The compiled kernels end like an extension module and are none.
    if not any(part.startswith("_") for part in name.split(".")) and not name.endswith(".liblamina_kernels")
]
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


def test_training_loads_no_library_of_other_kinds_of_data() -> None:
    loaded = modules_loaded_by("import lamina; lamina.fit; import lamina.train.recipes")
    assert "optax" in loaded
    assert loaded.isdisjoint(HEAVY - {"optax"})


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


LIBRARY = "lamina/kernels/liblamina_kernels.so"
COMPILES = sys.platform == "linux" and platform.machine() == "x86_64" and any(map(shutil.which, ("c++", "g++")))


def build_wheel(folder: Path, **environment: str) -> tuple[Path, str]:
    """Build the wheel from a copy of the sources; returns its path and what the build said."""
    sources = folder / "sources"
    kept = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so")
    for name in ("csrc", "src"):
        shutil.copytree(ROOT / name, sources / name, ignore=kept)
    for name in ("CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, sources)
    for stray in (LIBRARY, "lamina/kernels/other.so"):
        (sources / "src" / stray).write_bytes(b"a developer's own build")
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


def check_contents(wheel: Path, version: str, *built: str) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    held = set(names)
    assert len(names) == len(held)
    package = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "lamina").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"
    }
    info = f"lamina-{version}.dist-info/"
    assert {name for name in held if not name.startswith(info)} == package | set(built)
    assert {"lamina/py.typed", "lamina/data/digits.npz", "lamina/data/SOURCES.md"} <= held
    assert {f"{info}entry_points.txt", f"{info}licenses/LICENSE"} <= held


@pytest.mark.slow
def test_the_wheel_without_a_compiler_is_pure(tmp_path: Path) -> None:
    wheel, said = build_wheel(tmp_path, CXX=str(tmp_path / "no-such-compiler"))
    assert not COMPILES or "retrying due to override" in said
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert wheel.name == f"lamina-{version}-py3-none-any.whl"
    check_contents(wheel, version)


LOADS = """
import json, os
assert "LD_LIBRARY_PATH" not in os.environ
import jax, lamina
from lamina.kernels import conv, native
y = conv(jax.numpy.ones((1, 5, 5, 1)), jax.numpy.ones((3, 3, 1, 1)), padding="VALID")
found = native.native()
library = None if found.library is None else found.library._name
print(json.dumps([lamina.__file__, library, found.reason, float(y.sum())]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not COMPILES, reason="no C++ compiler, or not Linux on x86-64")
def test_the_wheel_with_a_compiler_holds_the_kernels_and_finds_them_where_it_is_installed(tmp_path: Path) -> None:
    wheel, said = build_wheel(tmp_path)
    assert "retrying due to override" not in said
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert wheel.name == f"lamina-{version}-py3-none-linux_x86_64.whl"
    check_contents(wheel, version, LIBRARY)
    assert zipfile.ZipFile(wheel).read(LIBRARY)[:4] == b"\x7fELF"

    folder = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    # Without `site`, whose .pth files would put an editable installation first; and nothing on PATH.
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("LAMINA_", "LD_"))}
    passed |= {"PYTHONPATH": os.pathsep.join(map(str, (folder, *site.getsitepackages()))), "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", LOADS], env=passed, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    package, library, reason, total = json.loads(done.stdout)
    assert Path(package) == folder / "lamina" / "__init__.py"
    assert total == 81.0
    if native.native().library is not None:  # else neither here: no oneDNN, or a CPU without AVX2
        assert library == str(folder / LIBRARY), reason


@pytest.mark.parametrize(
    ("packages", "library"),
    [
        ("env/lib/python3.12/site-packages", "env/lib"),
        ("home/.local/lib/python3.12/site-packages", "home/.local/lib"),  # pip --user
        ("usr/local/lib/python3.12/dist-packages", "usr/local/lib"),
        ("prefix/lib64/python3.12/site-packages", "prefix/lib"),  # pip --prefix
        ("target", "target/lib"),  # --target, as uv lays it out
        ("elsewhere", "env/lib"),  # a folder on PYTHONPATH, all else in the environment
        ("elsewhere", "home/.local/lib"),
    ],
)
def test_onednn_is_found_in_every_layout(
    packages: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(distribution: str) -> list[importlib.metadata.PackagePath]:
        raise importlib.metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(importlib.metadata, "files", nothing)
    monkeypatch.setattr(native, "__file__", str(tmp_path / packages / "lamina" / "kernels" / "native.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setattr(site, "getuserbase", lambda: str(tmp_path / "home" / ".local"))
    places = list(native._onednn_places())
    assert tmp_path / library / "libdnnl.so.3" in places
    # Not in folders above, which may be everybody's to write into.
    assert tmp_path.parent / "lib" / "libdnnl.so.3" not in places
    assert tmp_path / "lib" / "libdnnl.so.3" not in places


def test_onednn_is_found_by_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "lib" / "python" / "onednn_cpu_gomp-2023.2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onednn-cpu-gomp\nVersion: 2023.2.0\n")
    (info / "RECORD").write_text("../libdnnl.so,,\n../libdnnl.so.3,,\n../libdnnl.so.3.2,,\n")
    monkeypatch.syspath_prepend(str(info.parent))
    assert next(native._onednn_places()).resolve() == tmp_path / "lib" / "libdnnl.so.3"


def python_blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), flags=re.M | re.S)


def test_the_readmes_network_runs() -> None:
    describe, _, _, _, apply, _ = python_blocks("README.md")
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
