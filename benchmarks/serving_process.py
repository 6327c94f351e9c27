"""A server of the serving benchmark in a process of its own, and requests to it."""

import argparse
import gzip
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TICK = os.sysconf("SC_CLK_TCK")
LARGE = 50_000_000
"""Bytes of a body that is too large."""


class Process:
    """A server in a process of its own.

    Args:
        model: the model's folder.
        kind: one of `serving_servers.py`.
        port: of an earlier one; 0 for any free one.
    """

    def __init__(self, model: str, kind: str = "continuous", port: int = 0) -> None:
        words = [sys.executable, str(Path(__file__).with_name("serving_servers.py")), model, kind, str(port)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.address = f"http://127.0.0.1:{self.port}"
        until = time.monotonic() + 60
        while not is_ready(self.address):
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    @property
    def resident(self) -> float:
        """Its resident memory in MB."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait()


@contextmanager
def served(model: str, kind: str = "continuous") -> Iterator[Process]:
    """A server, ended with the block."""
    process = Process(model, kind)
    try:
        yield process
    finally:
        process.kill()


def is_ready(address: str) -> bool:
    """Whether a server answers."""
    try:
        return httpx.get(f"{address}/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def requests_of(options: argparse.Namespace, beams: int) -> list[dict[str, Any]]:
    """The fields of each request."""
    opened = gzip.open if options.input_file.suffix == ".gz" else open
    with opened(options.input_file, "rt", encoding="utf-8") as stream:
        lines = [line.strip() for line in stream if line.strip()]
    draw = random.Random(1)
    texts = [" ".join(draw.choices(lines, k=3 if number % 8 == 7 else 1)) for number in range(options.requests)]
    return [{"text": text, "num_beams": beams} for text in texts]


def text_of(answer: httpx.Response) -> str:
    """The output in an answer."""
    answer.raise_for_status()
    return str(answer.json()["results"][0]["outputs"][0]["text"])
