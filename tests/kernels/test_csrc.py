"""The C++ kernels without XLA, under sanitizers: csrc/tests against the library's sources."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
# All but XLA's side.
SOURCES = [path for path in sorted(CSRC.glob("*.cc")) if path.stem != "version" and not path.stem.endswith("_ffi")]
PROGRAMS = {
    "address,undefined": (
        *("test_parallel", "test_conv", "test_recurrent", "test_batch_norm"),
        *("test_concurrent", "test_exit"),
    ),
    "thread": ("test_parallel", "test_concurrent"),
}


def found(package: str, ending: str) -> Path:
    """The folder that holds a file of a package, as in CMakeLists.txt."""
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    (path,) = (Path(str(file.locate())).resolve() for file in listed if str(file).endswith(ending))
    return Path(str(path).removesuffix(ending))


def run(*command: str | Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    passed = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"} | environment
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=400, env=passed)
    assert done.returncode == 0 or not check, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", PROGRAMS)
def test_the_kernels_keep_to_their_memory_and_compute_what_loops_compute(sanitizer: str, tmp_path: Path) -> None:
    compiler = next(filter(None, map(shutil.which, ("c++", "g++"))), None)
    if compiler is None:
        pytest.skip("this machine has no C++ compiler")
    (tmp_path / "empty.cc").write_text("int main() {}\n")
    flags = (
        *("-std=c++17", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fopenmp"),
        *("-fno-omit-frame-pointer", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"),
    )
    empty = run(compiler, *flags, tmp_path / "empty.cc", "-o", tmp_path / "empty", check=False)
    if empty.returncode or run(tmp_path / "empty", check=False).returncode:
        pytest.skip(f"this machine cannot run -fsanitize={sanitizer}")
    headers = found("onednn-devel-cpu-gomp", "/oneapi/dnnl/dnnl.hpp")
    onednn = found("onednn-cpu-gomp", "/libdnnl.so.3")
    programs = PROGRAMS[sanitizer]

    def compiled(source: Path) -> None:
        run(compiler, *flags, "-isystem", headers, "-c", source, "-o", tmp_path / f"{source.stem}.o")

    sources = [*SOURCES, *(CSRC / "tests" / f"{name}.cc" for name in programs)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compiled, sources))
    # oneDNN is not instrumented: how it guards its own cache is not seen, and looks like a race.
    (tmp_path / "suppressions").write_text("race:libdnnl.so\n")
    objects = [tmp_path / f"{source.stem}.o" for source in SOURCES]
    for name in programs:
        linked = (*objects, onednn / "libdnnl.so.3", f"-Wl,-rpath,{onednn}", "-o", tmp_path / name)
        run(compiler, *flags, tmp_path / f"{name}.o", *linked)
        run(tmp_path / name, TSAN_OPTIONS=f"suppressions={tmp_path / 'suppressions'}")
