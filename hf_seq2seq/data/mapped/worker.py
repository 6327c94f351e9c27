"""Encodes texts in a process of its own, which imports neither torch nor transformers.

It reads its settings, a line of JSON, from standard input, and then jobs: a line of JSON with the path of a shard and a
number of bytes, and so many bytes of an Arrow stream of texts. Each job is answered by a line of JSON. It ends with its
input, and so with whoever started it.
"""

import errno
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

CHUNK = 256
"""Texts per call of a tokenizer."""


@dataclass(frozen=True)
class Coding:
    """How texts become ids: all that these depend on besides the texts.

    Attributes:
        tokenizer: as JSON.
        limit: the most tokens of a row.
        ending: ids behind every text, within the limit.
        wrapped: whether the tokenizer adds its special tokens.
        all_as_text: whether a special token that a text spells is text.
        as_text: otherwise, those that are.
        truncation_side: which end of a text is cut, "left" or "right".
        mode: the languages and the side that the tokenizer is set to; "" if it knows none.
    """

    tokenizer: str
    limit: int
    ending: tuple[int, ...]
    wrapped: bool
    all_as_text: bool
    as_text: tuple[str, ...]
    truncation_side: str
    mode: str = ""

    def to_json(self) -> str:
        """All of it in one line."""
        return json.dumps(asdict(self), sort_keys=True)


class Encoder:
    """A tokenizer with a coding's settings."""

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._tokenizer = Tokenizer.from_str(coding.tokenizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._room = coding.limit - len(coding.ending)

    def __call__(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """The ids of every text, and how many were truncated."""
        coding = self._coding
        spelled = [coding.all_as_text or any(token in text for token in coding.as_text) for text in texts]
        rows: list[list[int]] = [[] for _ in texts]
        for as_text in {*spelled}:
            numbers = [number for number, spells in enumerate(spelled) if spells == as_text]
            self._tokenizer.encode_special_tokens = as_text
            self._fill(rows, numbers, texts)
        long = [number for number, ids in enumerate(rows) if len(ids) > self._room]
        self._tokenizer.enable_truncation(self._room, direction=coding.truncation_side)
        for number in long:
            self._tokenizer.encode_special_tokens = spelled[number]
            self._fill(rows, [number], texts)
        self._tokenizer.no_truncation()
        return [ids + list(coding.ending) for ids in rows], len(long)

    def _fill(self, rows: list[list[int]], numbers: Sequence[int], texts: Sequence[str]) -> None:
        found = self._tokenizer.encode_batch_fast([texts[n] for n in numbers], add_special_tokens=self._coding.wrapped)
        for number, encoding in zip(numbers, found, strict=True):
            rows[number] = encoding.ids


def write_shard(path: Path, rows: Iterable[np.ndarray], lengths: Sequence[int]) -> None:
    """Writes rows of ids as an Arrow file with one batch.

    Args:
        path: the file.
        rows: the ids of all rows, in order, in arrays of any size.
        lengths: tokens of each row.
    """
    offsets = np.cumsum([0, *lengths], dtype=np.int32)
    values = np.concatenate([*rows, np.zeros(0, dtype=np.int32)], dtype=np.int32)
    batch = pa.RecordBatch.from_arrays([pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))], ["ids"])
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, batch.schema) as writer:
        writer.write_batch(batch)


def encode_shard(encoder: Encoder, texts: pa.ChunkedArray, path: Path) -> int:
    """Writes the ids of texts; returns how many were truncated."""
    arrays, lengths, truncated = [], [], 0
    for start in range(0, len(texts), CHUNK):
        rows, cut = encoder(texts.slice(start, CHUNK).to_pylist())
        truncated += cut
        lengths += [len(ids) for ids in rows]
        arrays.append(np.fromiter((number for ids in rows for number in ids), dtype=np.int32))
    write_shard(path, arrays, lengths)
    return truncated


def main() -> None:
    """Answers jobs until there are no more."""
    settings: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    encoder = Encoder(Coding(**settings))
    for line in sys.stdin.buffer:
        job = json.loads(line)
        texts = pa.ipc.open_stream(sys.stdin.buffer.read(job["bytes"])).read_all()["text"]
        try:
            answer = {"truncated": encode_shard(encoder, texts, Path(job["path"]))}
        except OSError as error:
            answer = {"errno": error.errno or errno.EIO}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
