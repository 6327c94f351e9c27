"""Ids of many texts in memory-mapped shards, encoded once by several processes."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tokenizers

from hf_seq2seq.data.mapped.cache import made_once
from hf_seq2seq.data.mapped.files import read_batches
from hf_seq2seq.data.mapped.texts import PART, ArrowTexts
from hf_seq2seq.data.mapped.worker import Coding, Encoder, write_shard
from hf_seq2seq.python_modules import module_command
from hf_seq2seq.ragged import Ragged

FORMAT = 1
"""Part of every key: increase when the same texts and coding give other ids."""
SHARD = 10 * PART
"""Rows per file."""
PROBED = 256
"""Texts of which the ids are compared with those of the tokenizer itself."""
MOST_PROCESSES = 16
Tokenize = Callable[[list[str]], tuple[Ragged, int]]


class MappedRagged(Ragged):
    """Rows of unequal length in several files, as many in each but the last.

    Args:
        shards: the rows of each file.
        skipped: ids at the start of every row that are not part of it.
    """

    def __init__(self, shards: Sequence[Ragged], skipped: int = 0) -> None:
        object.__setattr__(self, "shards", tuple(shards))
        object.__setattr__(self, "skipped", skipped)

    shards: tuple[Ragged, ...]
    skipped: int

    @property
    def values(self) -> np.ndarray:
        """All ids in memory, `(tokens,)` int32; `parts` has them bit by bit."""
        return np.concatenate(list(self.parts()))

    @property
    def offsets(self) -> np.ndarray:
        """Where each row starts, and the end, `(rows + 1,)` int64."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, `(rows,)` int32."""
        return np.concatenate([np.diff(shard.offsets) for shard in self.shards]) - np.int32(self.skipped)

    def parts(self) -> Iterator[np.ndarray]:
        """The ids of all rows, in arrays of a size that fits in memory."""
        for shard in self.shards:
            if self.skipped:
                shard = Ragged.of(shard[row][self.skipped :] for row in range(len(shard)))
            yield from shard.parts()

    def without_first(self) -> "MappedRagged":
        """The rows without the first id of each."""
        return MappedRagged(self.shards, self.skipped + 1)

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def __getitem__(self, row: int) -> np.ndarray:
        shard, place = divmod(range(len(self))[row], len(self.shards[0]))
        return self.shards[shard][place][self.skipped :]


def encoded_once(texts: ArrowTexts, coding: Coding, tokenize: Tokenize) -> tuple[MappedRagged, int] | None:
    """The ids of texts out of the cache, encoded if they are not there yet; None if the cache has no room.

    Args:
        texts: all of them.
        coding: how they are encoded.
        tokenize: encodes a few texts as the tokenizer itself does, to check that processes with `coding` do the same;
            if they do not, it encodes all of them.

    Returns:
        The ids, and how many rows were truncated.
    """
    make = partial(_encode_all, texts, coding, tokenize)
    settings = json.dumps([FORMAT, tokenizers.__version__, texts.digest, coding.to_json()])
    kept = made_once("rows", hashlib.sha256(settings.encode()).hexdigest(), make)
    if kept is None:
        return None
    paths = sorted(kept.folder.glob("*.arrow"))
    return MappedRagged([_read_shard(path) for path in paths]), kept.facts["truncated"]


def _read_shard(path: Path) -> Ragged:
    (batch,) = read_batches(path)
    ids = batch.column(0)
    return Ragged(ids.values.to_numpy(), ids.offsets.to_numpy())


def _encode_all(texts: ArrowTexts, coding: Coding, tokenize: Tokenize, folder: Path) -> dict[str, Any]:
    probe = texts[:PROBED]
    wanted, cut = tokenize(probe)
    rows, found = Encoder(coding)(probe)
    shards = _shards(texts, folder)
    if found == cut and all(np.array_equal(ids, wanted[row]) for row, ids in enumerate(rows)):
        return {"truncated": _in_processes(shards, coding, -(-len(texts) // SHARD))}
    truncated = 0
    for path, table in shards:
        ids, cut = tokenize(table["text"].to_pylist())
        write_shard(path, [ids.values], ids.lengths.tolist())
        truncated += cut
    return {"truncated": truncated}


def _shards(texts: ArrowTexts, folder: Path) -> Iterator[tuple[Path, pa.Table]]:
    """The file of each shard, and its texts."""
    parts: list[pa.RecordBatch] = []
    number = 0
    for part in texts.parts():
        parts.append(pa.RecordBatch.from_arrays([part.cast(pa.large_string())], ["text"]))
        if len(parts) * PART == SHARD:
            yield folder / f"{number:06}.arrow", pa.Table.from_batches(parts)
            number, parts = number + 1, []
    if parts:
        yield folder / f"{number:06}.arrow", pa.Table.from_batches(parts)


def _in_processes(shards: Iterator[tuple[Path, pa.Table]], coding: Coding, count: int) -> int:
    """Writes all shards; returns how many rows were truncated."""
    truncated = 0
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(coding)) for _ in range(min(count, _cores(), MOST_PROCESSES))]
        for number, (path, table) in enumerate(shards):
            worker = workers[number % len(workers)]
            truncated += worker.answer()
            worker.ask(path, table)
        return truncated + sum(worker.answer() for worker in workers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A process that encodes one shard at a time."""

    def __init__(self, coding: Coding) -> None:
        environment = os.environ | {
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        command = module_command("hf_seq2seq.data.mapped.worker")
        pipe = subprocess.PIPE
        # In a session of its own Ctrl-C does not reach it: it ends with its input.
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, start_new_session=True)
        self._is_asked = False
        self._send(coding.to_json().encode() + b"\n")

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, path: Path, table: pa.Table) -> None:
        """Begins to encode a table's texts into a shard."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        stream = sink.getvalue().to_pybytes()
        self._send(json.dumps({"path": str(path), "bytes": len(stream)}).encode() + b"\n" + stream)
        self._is_asked = True

    def answer(self) -> int:
        """Waits for the shard that was asked for last; its truncated rows, 0 if none was."""
        if not self._is_asked:
            return 0
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"errno": errno.ECHILD}
        if "errno" in answer:
            dead = "a process that encodes texts has ended early"
            raise OSError(answer["errno"], os.strerror(answer["errno"]) if line else dead)
        self._is_asked = False
        return int(answer["truncated"])

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(message)
        self._process.stdin.flush()
