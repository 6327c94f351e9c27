"""Tables of large files: read once into the cache, and from then on mapped from there."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from hf_seq2seq.data.columns.headers import Header
from hf_seq2seq.data.files.tables import ROWS_AT_A_TIME, batched, object_table
from hf_seq2seq.data.mapped.cache import made_once
from hf_seq2seq.data.mapped.files import read_batches

logger = logging.getLogger(__name__)
LARGE = 16 << 20
"""Bytes of a file from which on its table is kept."""
FORMAT = 1
"""Part of every key: increase when the same file is read differently."""
FILE = "rows.arrow"
Read = Callable[[], Iterator[pa.RecordBatch]]


class NotUniformError(Exception):
    """Rows have other columns, or cells of other types, than those before, so that they are read into memory."""


def kept_table(paths: Sequence[Path], encoding: str, header: Header, read: Read) -> pa.Table | None:
    """The table of large files, mapped from the cache; None if they are small or cannot be kept.

    Args:
        paths: one file, or several parallel ones.
        encoding: of text files.
        header: what is known of the first row of delimited files.
        read: reads them, if they are not in the cache yet.

    Raises:
        InputError: the files cannot be read.
    """
    if not all(path.is_file() for path in paths) or (size := sum(path.stat().st_size for path in paths)) < LARGE:
        return None
    place = f"{', '.join(map(str, paths))}: {size / 2**20:,.0f} MiB"
    told: list[str] = []
    known = [header.known, sorted(header.names), header.numbered]
    settings = [FORMAT, encoding, known, *(part for path in paths for part in (str(path), _digest(path)))]
    try:
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        kept = made_once("tables", key, partial(_write, read, place, told))
    except (NotUniformError, pa.ArrowException):
        return None
    if kept is None:
        return None
    for message in kept.facts["warnings"] if not told else ():
        logger.warning("%s", message)
    return pa.Table.from_batches(read_batches(kept.folder / FILE))


def uniform_batches(rows: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[pa.RecordBatch]:
    """Numbered objects, with few of them in memory.

    Raises:
        NotUniformError: they do not all have the same keys, with values of the same types.
    """
    schema = None
    for block in batched(rows):
        table = object_table(block, "")
        if table.misfits or table.arrow.schema != (schema or table.arrow.schema):
            raise NotUniformError
        schema = table.arrow.schema
        yield from table.arrow.to_batches()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(read: Read, place: str, told: list[str], folder: Path) -> dict[str, Any]:
    logger.warning("%s, read once into the cache; later runs start at once", place)
    with _listening(told), pa.OSFile(str(folder / FILE), "wb") as stream:
        batches = read()
        if (first := next(batches, None)) is None:
            raise NotUniformError
        with pa.ipc.new_file(stream, first.schema) as writer:
            for batch in chain([first], batches):
                for start in range(0, len(batch), ROWS_AT_A_TIME):
                    writer.write_batch(batch.slice(start, ROWS_AT_A_TIME))
    return {"warnings": told}


@contextmanager
def _listening(told: list[str]) -> Iterator[None]:
    """Collects what is logged meanwhile, so that runs that read no file say it, too."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    package, listener = logging.getLogger("hf_seq2seq"), Listener(logging.WARNING)
    package.addHandler(listener)
    try:
        yield
    finally:
        package.removeHandler(listener)
