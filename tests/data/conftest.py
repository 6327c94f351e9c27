"""Small files to read."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hf_seq2seq.data.files.compression import compressed

Write = Callable[[str, str | bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file into the test's folder, compressed where its name says so, and returns its path."""

    def written(name: str, content: str | bytes) -> str:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream, compressed(stream, path) as packed:
            packed.write(data)
        return str(path)

    return written


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Write]:
    """Makes a named pipe that some bytes are written into once it is read, and returns its path."""
    writers = []

    def made(name: str, content: bytes) -> str:
        path = tmp_path / name
        os.mkfifo(path)
        writers.append(threading.Thread(target=path.write_bytes, args=(content,), daemon=True))
        writers[-1].start()
        return str(path)

    yield made
    for writer in writers:
        writer.join(5)
