"""Where measurements go: a section of RESULTS.md and a JSON file of the raw numbers, with what made them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = [
    "add_options", "command", "load", "machine", "provenance", "publish", "replace_section", "table", "versions",
]  # fmt: skip

HERE = Path(__file__).resolve().parent
# The order of the sections; names that start alike stand together.
ORDER = (
    "steps", "installed", "inference", "predict-folder", "time-to-accuracy", "accuracy", "text", "series", "sound",
    "transfer", "rbm", "cold-start", "remat",
)  # fmt: skip
HEAD = """# Results

Written by the benchmarks themselves (see [README.md](README.md)); every section says when, on what and by which command
it was measured. The raw numbers are in `results/`.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all benchmarks share."""
    parser.add_argument("--quick", action="store_true", help="a short try of everything; nothing is published")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="publish there (default: this folder; with --quick: nowhere)"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """Where the data sets lie: a folder, None where nobody says."""
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("LAMINA_TEST_DATA"), metavar="DIR", help="folder of the data sets"
    )


def parse_sets(description: str | None, known: Iterable[str], *, data_needed: bool = False) -> argparse.Namespace:
    """The command line of a benchmark of several data sets: ``sets`` (none for all), ``data`` and what all share."""
    names = list(known)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=[], metavar="SET", help=f"of {', '.join(names)}")
    add_data(parser)
    add_options(parser)
    options = parser.parse_args()
    if unknown := set(options.sets) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(names)}")
    if data_needed and options.data is None:
        parser.error("name the folder of the data sets: --data DIR")
    return options


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"Every row of the table needs {len(header)} cells.")
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def machine() -> dict[str, Any]:
    """What the numbers depend on: CPU, its wide instructions, usable cores, memory, operating system, load."""
    import psutil

    facts = _cpuinfo()
    flags = set(facts.get("flags", "").split())
    wide = {"AVX2": "avx2", "AVX-512": "avx512f", "AVX-512-BF16": "avx512_bf16", "AMX-BF16": "amx_bf16"}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "instructions": [name for name, flag in wide.items() if flag in flags],
        "cores": cores,
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "os": _system(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def command(arguments: Sequence[str] | None = None) -> str:
    """What was typed, with the paths of data and results left out: they differ from machine to machine."""
    shown, hidden = [], ""
    for argument in arguments if arguments is not None else sys.argv[1:]:
        option, equals, _ = argument.partition("=")
        if hidden:
            shown.append(hidden)
            hidden = ""
        elif option in ("--data", "--results"):
            placeholder = option[2:].upper()
            shown.append(f"{option}={placeholder}" if equals else option)
            hidden = "" if equals else placeholder
        else:
            shown.append(argument)
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *shown])


def provenance(packages: Iterable[str]) -> dict[str, Any]:
    """When, on what, with which versions and by which command. Take it before measuring: it notes the load."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "versions": versions(packages),
        "command": command(),
    }


def publish(folder: Path | None, name: str, title: str, body: str, raw: Mapping[str, Any]) -> None:
    """Print a section, and unless ``folder`` is None write it into RESULTS.md and its numbers into ``results/``.

    Args:
        name: of the section and the JSON file, such as "steps-mlp".
        body: Markdown.
        raw: the numbers behind it, with ``raw["provenance"]`` from `provenance`.
    """
    text = f"## {title}\n\n{body.strip()}\n\n{_footer(raw['provenance'])}\n"
    print(f"\n{text}", flush=True)
    if folder is None:
        return
    path = folder / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw, indent=1) + "\n")
    page = folder / "RESULTS.md"
    page.write_text(replace_section(page.read_text() if page.exists() else HEAD, name, text))


def load(folder: Path, name: str) -> dict[str, Any]:
    """The raw numbers of a section that was published there."""
    raw: dict[str, Any] = json.loads((folder / "results" / f"{name}.json").read_text())
    return raw


def replace_section(page: str, name: str, text: str) -> str:
    """The page with the section ``name`` replaced, or put where it belongs; all others are left as they are."""
    pattern = re.compile(r"<!-- begin (?P<name>[\w-]+) -->\n.*?<!-- end (?P=name) -->\n", re.DOTALL)
    found = {match["name"]: match[0] for match in pattern.finditer(page)}
    head = page[: match.start()] if (match := pattern.search(page)) else page
    found[name] = f"<!-- begin {name} -->\n{text.strip()}\n<!-- end {name} -->\n"
    return "\n".join([head.rstrip() + "\n", *(found[key] for key in sorted(found, key=_place))])


def _place(name: str) -> tuple[int, list[Any]]:
    """By the order of the sections, then by their names, in which numbers count as numbers."""
    places = [index for index, known in enumerate(ORDER) if name.startswith(known)]
    return (
        places[0] if places else len(ORDER),
        [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)],
    )


def _footer(made: Mapping[str, Any]) -> str:
    facts = made["machine"]
    wide = f" ({', '.join(facts['instructions'])})" if facts["instructions"] else ""
    load = f", load before {facts['load']:g}" if facts["load"] is not None else ""
    packages = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return (
        f"`{made['command']}`, {made['date']}. {facts['cpu']}{wide}, {facts['cores']} cores,"
        f" {facts['memory_gb']} GB, {facts['os']}{load}. {packages}."
    )


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text().split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _system() -> str:
    release = ".".join(platform.release().split(".")[:2])
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {release}"
    except OSError:
        return f"{platform.system()} {release}"
