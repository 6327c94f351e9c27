"""CPU seconds until the command's help is on the screen.

    python benchmarks/startup.py     # a few seconds

Needs the command `hf-seq2seq` beside this Python. Every measurement is of a fresh process, in turn, after one that
warms the disk's cache; the table holds medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from machine import describe, table

COMMANDS = ("hf-seq2seq --help", "hf-seq2seq train --help", "hf-seq2seq train rnn --help")


def main() -> None:
    """Measures each command several times and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="times that each command is measured")
    options = parser.parse_args()
    found: dict[str, list[float]] = {command: [] for command in COMMANDS}
    for number in range(options.rounds + 1):
        for command in COMMANDS:
            seconds = cpu_seconds(command)
            if number:
                found[command].append(seconds)
    rows = [[f"`{c}`", f"{statistics.median(s):.3f}", f"{min(s):.3f}–{max(s):.3f}"] for c, s in found.items()]
    print(describe(), f"{options.rounds} rounds", sep="\n", end="\n\n")
    print(table(["", "CPU s", "range"], rows))


def cpu_seconds(command: str) -> float:
    """Runs a command; gives the user's and the system's CPU time that it took."""
    before = os.times()
    program, *arguments = command.split()
    subprocess.run([Path(sys.executable).with_name(program), *arguments], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


if __name__ == "__main__":
    main()
