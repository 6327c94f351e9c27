"""CPU seconds until help is on the screen: fresh processes, medians.

python benchmarks/startup.py
"""

import os
import resource
import statistics
import subprocess
import sys

from machine import describe, table

RUNS = 11
COMMANDS = (["--help"], ["train", "--help"], ["train", "rnn", "--help"], ["generate", "--help"])


def cpu_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "hf_seq2seq", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"COLUMNS": "100"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    rows = []
    for arguments in COMMANDS:
        seconds = [cpu_seconds(arguments) for _ in range(RUNS + 1)][1:]
        spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
        rows.append([f"`hf-seq2seq {' '.join(arguments)}`", f"{statistics.median(seconds):.2f}", spread])
    print(describe())
    print(table(["command", "CPU s", "range"], rows))


if __name__ == "__main__":
    main()
