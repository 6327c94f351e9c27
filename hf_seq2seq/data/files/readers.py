"""Readers for local files of all formats, as a table or as a stream of rows.

The format is determined by the suffix, with or without `.gz`, `.xz` or `.zst` after it: csv, tsv, json, jsonl, parquet,
arrow, txt. For any other file, such as a pipe, by its start: parquet, arrow, JSON lines if its first line is an object,
tsv if that line contains a tab or the columns are numbered, csv if it is a header with a usual name, and otherwise
plain lines.
Arrow, which takes longer to import than to read a short file, is imported only where needed.
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hf_seq2seq.data.columns.conventions import PAIRS, TEXTS
from hf_seq2seq.data.columns.headers import UNKNOWN, Header
from hf_seq2seq.data.files.compression import SUFFIXES
from hf_seq2seq.data.files.delimited import Layout, delimited_rows
from hf_seq2seq.data.files.forms import FORMS, named_form
from hf_seq2seq.data.files.json import json_document_rows, json_line_rows, parse_lines
from hf_seq2seq.data.files.lines import column_names, line_rows
from hf_seq2seq.data.files.patterns import check_same_columns, shards
from hf_seq2seq.data.files.text_files import Opened, lines, opened
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from hf_seq2seq.data.files.tables import Table

MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow"}
"""Magic numbers of binary files."""


def read_table(paths: tuple[Path, ...], encoding: str = "utf-8", header: Header = UNKNOWN) -> "Table":
    """Reads a whole file, or parallel files.

    Args:
        paths: one file of any format, or several parallel text files.
        encoding: of text files.
        header: what is known of the first row of delimited files; the columns of one without names are "1", "2", …

    Raises:
        InputError: the file cannot be read or has no rows; the message names the place.
    """
    from hf_seq2seq.data.files.kept_tables import kept_table
    from hf_seq2seq.data.files.tables import Table, text_table

    if (kept := kept_table(paths, encoding, header, partial(_batches, paths, encoding, header))) is not None:
        return Table(kept)
    if len(paths) > 1:
        table = Table(text_table(column_names(paths), line_rows(paths, encoding)))
    else:
        with opened(paths[0]) as file:
            table = _table(file, paths[0], encoding, header)
    if not len(table.arrow) and not table.misfits:
        # Only a header, `[]`, or nothing at all.
        raise InputError(f"{', '.join(map(str, paths))}: has no rows")
    return table


def _table(file: Opened, path: Path, encoding: str, header: Header) -> "Table":
    import pyarrow as pa

    from hf_seq2seq.data.files.tables import Table, object_table, text_table

    form = file_form(file, path, encoding, header)
    if form in ("csv", "tsv"):
        layout, rows = delimited_rows(file, form, encoding, header)
        return Table(text_table(layout.columns, (cells for _, cells in rows)))
    if form in ("json", "jsonl"):
        return object_table(_json_rows(file, form, encoding), "line" if form == "jsonl" else "item")
    if form == "txt":
        return Table(text_table(column_names((path,)), ((line,) for line in lines(file.lines(encoding)))))
    batches = list(_arrow_batches(file, path, form))
    return Table(pa.Table.from_batches(batches) if batches else pa.table({}))


def _batches(paths: tuple[Path, ...], encoding: str, header: Header) -> "Iterator[pa.RecordBatch]":
    """The rows of `read_table`, with few of them in memory.

    Raises:
        NotUniformError: objects do not all have the same keys, with values of the same types.
    """
    from hf_seq2seq.data.files.kept_tables import uniform_batches
    from hf_seq2seq.data.files.tables import text_batches

    if len(paths) > 1:
        yield from text_batches(column_names(paths), line_rows(paths, encoding))
        return
    with opened(paths[0]) as file:
        form = file_form(file, paths[0], encoding, header)
        if form in ("csv", "tsv"):
            layout, rows = delimited_rows(file, form, encoding, header)
            yield from text_batches(layout.columns, (cells for _, cells in rows))
        elif form in ("json", "jsonl"):
            yield from uniform_batches(_json_rows(file, form, encoding))
        elif form == "txt":
            yield from text_batches(column_names(paths), ((line,) for line in lines(file.lines(encoding))))
        else:
            yield from _arrow_batches(file, paths[0], form)


def layout_of(path: Path, encoding: str, columns: Sequence[str]) -> Layout | None:
    """The layout of a csv or tsv file; None for other files, and for a pipe, which can be read only once.

    Args:
        path: the file.
        encoding: its encoding.
        columns: the columns found when it was read.
    """
    if not path.is_file():
        return None
    with opened(path) as file:
        form = file_form(file, path, encoding, header := Header.of(*columns))
        return delimited_rows(file, form, encoding, header)[0] if form in ("csv", "tsv") else None


def iterate_rows(
    source: str | Path | TextIO,
    encoding: str = "utf-8",
    header: Header = UNKNOWN,
    form: str = "txt",
    languages: tuple[str | None, ...] = (),
) -> Iterator[dict[str, Any]]:
    """Streams rows in order, with little more than one in memory (a .json document is read whole).

    Args:
        source: files as of `patterns.shards`, whose rows follow each other, or an open stream such as `sys.stdin`.
        encoding: of text files and of a stream that has bytes below.
        header: what is known of the first row of delimited files; the columns of one without names are "1", "2", …
        form: the format of a stream: "txt" lines or "jsonl" objects. A file's format is determined by its name.
        languages: suffixes of parallel files that are named by their stem.

    Yields:
        Each row by column name; a line of plain text is `{"text": line}`.

    Raises:
        InputError: the source cannot be read further; the message names the place.
    """
    if not isinstance(source, str | Path):
        yield from _stream_rows(source, encoding, form)
        return
    yield from (row for *_, row in _file_rows(str(source), encoding, header, languages))


class PlacedRow(dict[str, Any]):
    """A row by column name that knows where it is.

    Attributes:
        file: its file, or several parallel ones; empty where rows are from only one.
        number: of the row in its file, counted from 1.
        unit: what else the file numbers: "line" or "item"; "row" for nothing else.
        line: the number of that.
    """

    file, number, unit, line = "", 0, "row", 0


def iterate_placed(
    value: str, encoding: str, header: Header, languages: tuple[str | None, ...] = ()
) -> Iterator[PlacedRow]:
    """As `iterate_rows` of files, with the place of every row; blank lines of tables are no rows, as in `load_rows`."""
    several = len(shards(value, languages)) > 1
    number, last = 0, ""
    for name, unit, line, cells in _file_rows(value, encoding, header, languages, in_step=False):
        number, last = number * (name == last) + 1, name
        row = PlacedRow(cells)
        row.file, row.number, row.unit, row.line = name * several, number, unit, line
        yield row


NumberedRow = tuple[str, int, dict[str, Any]]
"""A row after what its file numbers, and that number."""


def _file_rows(
    value: str, encoding: str, header: Header, languages: tuple[str | None, ...], in_step: bool = True
) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """The rows of `iterate_rows`, each after its file, what that numbers, and the number; see `delimited_rows`."""
    first: list[str] | None = None
    for paths in shards(value, languages):
        name, rows = ",".join(map(str, paths)), _shard_rows(paths, encoding, header, in_step)
        for unit, number, row in islice(rows, 1):
            first = first or list(row)
            header = header.after(list(row))
            check_same_columns(paths, list(row), first)
            yield name, unit, number, row
        yield from ((name, *row) for row in rows)


def _shard_rows(paths: tuple[Path, ...], encoding: str, header: Header, in_step: bool) -> Iterator[NumberedRow]:
    if len(paths) > 1:
        names = column_names(paths)
        for number, cells in enumerate(line_rows(paths, encoding), 1):
            yield "line", number, dict(zip(names, cells, strict=True))
        return
    with opened(paths[0]) as file:
        yield from _rows(file, paths[0], encoding, header, in_step)


def _rows(file: Opened, path: Path, encoding: str, header: Header, in_step: bool) -> Iterator[NumberedRow]:
    form = file_form(file, path, encoding, header)
    if form in ("json", "jsonl"):
        unit = "line" if form == "jsonl" else "item"
        yield from ((unit, *row) for row in _json_rows(file, form, encoding))
    elif form in ("csv", "tsv"):
        layout, rows = delimited_rows(file, form, encoding, header, in_step)
        named = (dict(zip(layout.columns, cells, strict=True)) for _, cells in rows)
        yield from (("row", *row) for row in enumerate(named, 1))
    elif form == "txt":
        yield from (("line", number, {"text": line}) for number, line in enumerate(lines(file.lines(encoding)), 1))
    else:
        found = (row for batch in _arrow_batches(file, path, form) for row in batch.to_pylist())
        yield from (("row", *row) for row in enumerate(found, 1))


def file_form(file: Opened, path: Path, encoding: str = "utf-8", header: Header = UNKNOWN) -> str:
    """The format of a file: one of the values of `FORMS`.

    Raises:
        InputError: the file is binary and of an unsupported format.
    """
    form = named_form(path) or _form_by_start(file, encoding)
    return "tsv" if form == "txt" and header.known is False else form


def _form_by_start(file: Opened, encoding: str) -> str:
    start = file.start
    if magic := next((form for magic, form in MAGIC.items() if start.startswith(magic)), None):
        return magic
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff")) or "\n".encode(encoding) != b"\n"
    if b"\0" in start and not wide:
        raise InputError(
            f"{file.place}: unknown format; supported are {', '.join(FORMS)}, and {SUFFIXES} of text formats"
        )
    if start.startswith(b"{") and _is_object(start):
        return "jsonl"
    if b"\t" in start:
        return "tsv"
    return "csv" if _is_header(start) else "txt"


def _is_header(line: bytes) -> bool:
    """Whether a line is of names alone, separated by commas or semicolons, and one of them is a usual column's."""
    names = re.split("[,;]", line.decode("utf-8-sig", "ignore").strip().replace('"', ""))
    usual = {name for pair in PAIRS for name in pair} | set(TEXTS)
    return len(names) > 1 and all(map(str.isidentifier, names)) and any(name.lower() in usual for name in names)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _json_rows(file: Opened, form: str, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    return (json_line_rows if form == "jsonl" else json_document_rows)(file, encoding)


def _stream_rows(stream: TextIO, encoding: str, form: str) -> Iterator[dict[str, Any]]:
    place = "standard input"
    read = Opened(stream.buffer, place).lines(encoding) if hasattr(stream, "buffer") else stream
    if form == "jsonl":
        yield from (row for _, row in parse_lines(place, read))
    else:
        yield from ({"text": line} for line in lines(read))


def _arrow_batches(file: Opened, path: Path, form: str) -> Iterator["pa.RecordBatch"]:
    """The batches of a parquet or Arrow file; `datasets` writes Arrow streams, other tools Arrow files.

    A pipe, which is not seekable, is read whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from hf_seq2seq.data.files.tables import ROWS_AT_A_TIME

    try:
        regular = path.is_file() and not file.compressed
        source = pa.OSFile(str(path)) if regular else pa.BufferReader(file.raw().read())
        if form == "parquet":
            table = pq.ParquetFile(source)
            _check_names(table.schema_arrow, path)
            yield from table.iter_batches(batch_size=ROWS_AT_A_TIME)
            return
        if source.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(source)
            _check_names(reader.schema, path)
            yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            source.seek(0)
            stream = pa.ipc.open_stream(source)
            _check_names(stream.schema, path)
            yield from stream
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable {form} file: {str(error).splitlines()[0]}") from error


def _check_names(schema: "pa.Schema", path: Path) -> None:
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: has several columns named {twice!r}; rename all but one")
