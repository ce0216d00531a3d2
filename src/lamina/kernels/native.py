"""The compiled kernels: found, checked and loaded when they are first needed, or the reason why they are not."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
import site
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

__all__ = ["TYPES", "Native", "Plan", "call", "fast_bfloat16", "native", "packed_bytes", "plan", "threads"]

# The types that there are kernels for, by the library's numbers.
TYPES = {"float32": 0, "bfloat16": 1}

_LIBRARY = "liblamina_kernels.so"
_ONEDNN = "libdnnl.so.3"
_TARGETS = (
    "lamina_conv_forward",
    "lamina_conv_data",
    "lamina_conv_weights",
    "lamina_conv_with_bias",
    "lamina_conv_pack",
    "lamina_recurrent_forward",
    "lamina_recurrent_backward",
    "lamina_batch_norm_forward",
    "lamina_batch_norm_backward",
)
_AVX2, _AVX512_BF16 = 0x7, 0xE7  # of oneDNN's numbers for instruction sets, masks


@dataclass(frozen=True)
class Native:
    """The loaded library, or None.

    Attributes:
        reason: a sentence: what runs, or why nothing of ours does.
    """

    library: ctypes.CDLL | None
    reason: str


@dataclass(frozen=True)
class Plan:
    """How a compiled kernel would compute one operation.

    Attributes:
        scratch: bytes of memory that it needs beside its operands and result; -1 where there is no kernel.
        kernel: its name, or why there is none.
    """

    scratch: int
    kernel: str


class _UnavailableError(Exception):
    """Why the library cannot be used."""


@functools.cache
def native() -> Native:
    """Load the library and register its kernels with XLA, once."""
    try:
        library, version = _load()
    except _UnavailableError as error:
        return Native(None, f"XLA's own kernels: {error}.")
    return Native(library, f"Lamina's kernels over oneDNN {version}, {_isa(library)}.")


def threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fast_bfloat16() -> bool:
    """Whether the kernels run on this CPU and multiply bfloat16 faster than float32, by instructions made for it."""
    library = native().library if jax.default_backend() == "cpu" else None
    return library is not None and library.lamina_isa() & _AVX512_BF16 == _AVX512_BF16


@functools.lru_cache(4096)
def plan(operation: str, direction: int, values: tuple[int, ...]) -> Plan:
    """Ask the library for a kernel."""
    library = native().library
    if library is None:
        return Plan(-1, native().reason)
    name = ctypes.create_string_buffer(200)
    array = np.asarray(values, np.int64)
    pointer = array.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
    ask = getattr(library, f"lamina_{operation}_plan")
    scratch = ask(ctypes.c_int64(direction), pointer, ctypes.c_int64(len(array)), name, ctypes.c_int64(len(name)))
    return Plan(scratch, name.value.decode(errors="replace"))


def packed_bytes(direction: int, values: tuple[int, ...]) -> int:
    """Bytes of a convolution's weights in its kernel's own layout; 0 where it takes them as they are."""
    library = native().library
    if library is None:
        return 0
    array = (ctypes.c_int64 * len(values))(*values)
    return int(library.lamina_conv_packed_bytes(ctypes.c_int64(direction), array, ctypes.c_int64(len(values))))


def call(target: str, results: Sequence[Any], operands: Sequence[jax.Array], scratch: int, **attributes: Any) -> Any:
    """A call of a kernel inside a traced function: its results as a tuple.

    Scratch memory is one more result, so that XLA owns it: it is bounded, freed, and never shared between threads.
    """
    memory = jax.ShapeDtypeStruct((max(scratch, 1),), np.uint8)
    kernel = jax.ffi.ffi_call(target, (*results, memory), vmap_method="sequential")
    return kernel(*operands, **attributes)[:-1]


def _load() -> tuple[ctypes.CDLL, str]:
    if os.environ.get("LAMINA_KERNELS", "").lower() in {"off", "0", "no"}:
        raise _UnavailableError("LAMINA_KERNELS is off")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise _UnavailableError(f"ours are for Linux on x86-64, this is {sys.platform} on {platform.machine()}")
    path = Path(__file__).with_name(_LIBRARY)
    path = next((found for found in (path, *_redirected()) if found.is_file()), path)
    if not path.is_file():
        raise _UnavailableError("Lamina was installed without a C++ compiler; install it again where there is one")
    onednn = next((place for place in _onednn_places() if place.is_file()), None)
    if onednn is None:
        raise _UnavailableError("oneDNN is not installed (pip install onednn-cpu-gomp==2023.2.0, without --target)")
    try:
        dnnl = ctypes.CDLL(str(onednn))  # the library below finds it by its name, already loaded
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise _UnavailableError(f"the library does not load ({error})") from error
    if library.lamina_isa() & _AVX2 != _AVX2:
        raise _UnavailableError("ours need a CPU with AVX2")
    for ask in (
        library.lamina_conv_plan,
        library.lamina_conv_packed_bytes,
        library.lamina_recurrent_plan,
        library.lamina_batch_norm_plan,
    ):
        ask.restype = ctypes.c_int64
    for target in _TARGETS:
        try:
            handler = jax.ffi.pycapsule(getattr(library, target))
        except AttributeError as error:
            raise _UnavailableError(f"{path} is older than this Lamina; install it again") from error
        try:
            jax.ffi.register_ffi_target(target, handler, platform="cpu")
        except Exception as error:  # of jaxlib's own making: its FFI is older than the one ours were built with
            raise _UnavailableError(
                f"jaxlib {importlib.metadata.version('jaxlib')} does not take them "
                f"(built for FFI {library.lamina_ffi_major()}.{library.lamina_ffi_minor()}): {error}"
            ) from error
    version = dnnl.dnnl_version
    version.restype = ctypes.POINTER(ctypes.c_int * 3)
    return library, ".".join(map(str, version().contents))


def _redirected() -> Iterator[Path]:
    """Where an editable installation keeps the library: among the distribution's own files."""
    for file in _files("lamina"):
        if file.name == _LIBRARY:
            yield Path(str(file.locate()))


def _onednn_places() -> Iterator[Path]:
    """Where installers put a package's data: by its record, for environments, --user, --prefix and --target."""
    for file in _files("onednn-cpu-gomp"):
        if file.name == _ONEDNN:
            yield Path(str(file.locate()))
    packages = Path(__file__).parents[2]
    roots = [Path(sys.prefix), Path(site.getuserbase()), packages]
    if packages.parent.parent.name in {"lib", "lib64"}:  # prefix/lib/python3.x/site-packages; nowhere else above it
        roots.append(packages.parents[2])
    for root in roots:
        yield root / "lib" / _ONEDNN


def _files(distribution: str) -> list[importlib.metadata.PackagePath]:
    try:
        return importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _isa(library: ctypes.CDLL) -> str:
    names = ((0xFEF, "AMX-BF16"), (_AVX512_BF16, "AVX-512-BF16"), (0x27, "AVX-512"), (_AVX2, "AVX2"))
    found = library.lamina_isa()
    return next(name for mask, name in names if found & mask == mask)
