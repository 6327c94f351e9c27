"""What every benchmark says about where it ran, and how it prints a table."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "transformers", "accelerate", "hf-seq2seq")


def describe() -> str:
    """The processor, its cores, the date and the versions, in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{processor()}, {os.cpu_count()} cores; {date.today()}; Python {platform.python_version()}, {versions}"


def processor() -> str:
    """The processor's name; on Linux with family and model, for cloud machines hide the rest."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    pairs = (line.partition(":") for line in path.read_text().split("\n\n")[0].splitlines())
    found = {name.strip(): value.strip() for name, _, value in pairs}
    name = found.get("model name", platform.machine())
    return f"{name} (family {found['cpu family']}, model {found['model']})" if "cpu family" in found else name


def run(words: Sequence[str], output: Path | None = None) -> tuple[float, int]:
    """Runs a command on one thread, and ends the program if it fails.

    Args:
        words: the command.
        output: a file for its standard output.

    Returns:
        Its CPU seconds and its peak memory in bytes.
    """
    print(shlex.join(words), flush=True)
    with output.open("w", encoding="utf-8") if output else nullcontext() as stream:
        process = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=stream)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {shlex.join(words)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is aligned to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
