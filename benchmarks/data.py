"""CPU time and memory of runs on large corpora: Multi30k, repeated and perturbed, up to millions of pairs.

    python benchmarks/data.py ../shared/data/multi30k --pairs 290000 3000000     # about ten minutes of CPU time

Each size is run twice with an empty cache at first: the first run reads, learns tokenizers and encodes; the second one
finds the rows encoded. Both stop after a few optimizer steps. Memory is told in two numbers: the most that a process
held, and the most of it that was its own, without the pages of mapped files, which the system takes back at will.
"""

import argparse
import gzip
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from machine import describe, table

LANGUAGES = ("de", "en")
STEPS = 3
OPTIONS = (
    *("train", "transformer", "--max-steps", str(STEPS), "--d-model", "64", "--encoder-layers", "1"),
    *("--decoder-layers", "1", "--max-eval-samples", "16", "--use-cpu", "--overwrite-output-dir"),
)


def main() -> None:
    """Makes the corpora, runs each twice and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Multi30k: train.de.gz and train.en.gz")
    parser.add_argument("--pairs", type=int, nargs="+", default=[290_000, 3_000_000])
    options = parser.parse_args()
    rows = []
    for count in options.pairs:
        with tempfile.TemporaryDirectory() as place:
            file = write_pairs(options.folder, count, Path(place) / "pairs.tsv")
            for run in ("first", "second"):
                found = measured(file, Path(place))
                seconds, sizes = (found[:2], found[2:])
                rows.append([f"{count:,}", run, *(f"{s:.1f}" for s in seconds), *(f"{b / 1e6:,.0f}" for b in sizes)])
                print(*rows[-1], flush=True)
    print(describe(), end="\n\n")
    print(table(["pairs", "run", f"CPU s until {STEPS} steps are done", "in all", "peak MB", "of its own"], rows))


def write_pairs(folder: Path, count: int, path: Path) -> Path:
    """Writes so many pairs, one per line: those of Multi30k again and again, each time with other words exchanged."""
    with path.open("w", encoding="utf-8") as stream:
        for number, (source, target) in enumerate(_repeated(folder)):
            if number == count:
                break
            stream.write(f"{source}\t{target}\n")
    return path


def _repeated(folder: Path) -> Iterator[tuple[str, str]]:
    """The pairs without end; from the second time on, a word of each side is taken from another sentence."""
    lines = (gzip.decompress((folder / f"train.{name}.gz").read_bytes()).decode().split("\n") for name in LANGUAGES)
    sides = [[" ".join(line.split()) for line in side if line] for side in lines]
    pairs, random_numbers = list(zip(*sides, strict=True)), random.Random(0)
    yield from pairs
    while True:
        for pair in pairs:
            other = random_numbers.choice(pairs)
            first, second = (_exchanged(*texts, random_numbers) for texts in zip(pair, other, strict=True))
            yield first, second


def _exchanged(text: str, other: str, random_numbers: random.Random) -> str:
    words, spare = text.split(), other.split()
    words[random_numbers.randrange(len(words))] = random_numbers.choice(spare)
    return " ".join(words)


def measured(file: Path, place: Path) -> tuple[float, float, float, float]:
    """What a run takes with its processes.

    Returns:
        CPU seconds until its steps are done, and in all; the most bytes that it held, and the most that were its own.
    """
    words = [sys.executable, "-m", "hf_seq2seq", *OPTIONS, "--train-file", str(file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": str(place / "cache")}
    log = place / "run" / "train_log.jsonl"
    log.unlink(missing_ok=True)
    process = subprocess.Popen([*words, "--output-dir", str(place / "run")], env=environment)
    trained = held = own = 0.0
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        found = _memory(process.pid)
        held, own = max(held, found["VmHWM"]), max(own, found["RssAnon"])
        if not trained and log.exists() and log.stat().st_size:
            trained = _seconds(process.pid)
        time.sleep(0.05)
    if status:
        raise SystemExit(f"failed: {' '.join(words)}")
    return trained, usage.ru_utime + usage.ru_stime, held, own


def _memory(process: int) -> dict[str, int]:
    """Bytes: the most in memory so far, and those now that no file backs; 0 once the process has ended."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    return {name: int(found[name][0]) * 1024 if name in found else 0 for name in ("VmHWM", "RssAnon")}


def _seconds(process: int) -> float:
    """CPU seconds of a process so far, and of those that it has waited for."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
