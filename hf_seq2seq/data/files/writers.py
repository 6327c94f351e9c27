"""Writers of rows for local files of all formats that `readers` reads, one row at a time."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hf_seq2seq import strict_json
from hf_seq2seq.data.files.compression import compressed, named_compression
from hf_seq2seq.data.files.forms import named_form
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError, shorten

Row = dict[str, Any]
Write = Callable[[Row], Any]
BLOCK = 10_000
"""Rows of an Arrow batch."""


@dataclass(frozen=True)
class Shape:
    """How rows are written.

    Attributes:
        names: the columns.
        header: whether the first line of a delimited file names them.
        separator: of the cells of a csv file.
        schema: of an Arrow or parquet file; None to find it from the rows.
    """

    names: Sequence[str]
    header: bool = True
    separator: str = ","
    schema: Any = None


@contextmanager
def open_rows(paths: Sequence[Path], shape: Shape, form: str = "jsonl") -> Iterator[Write]:
    """Opens a file, or parallel files of one column each; they appear once all rows are written.

    Args:
        paths: the files; the suffix sets the format.
        shape: how rows are written.
        form: the format of a file whose suffix names none.

    Raises:
        InputError: there are not as many files as columns, a row does not fit the format, or a file cannot be written.
    """
    if len(paths) > 1 and len(paths) != len(shape.names):
        detail = f"{len(paths)} files, but rows of {len(shape.names)} columns: {', '.join(shape.names)}"
        raise InputError(f"{','.join(map(str, paths))}: {detail}")
    columns = [[name] for name in shape.names] if len(paths) > 1 else [list(shape.names)]
    with ExitStack() as stack:
        try:
            writers = [
                stack.enter_context(_opened(path, Shape(names, shape.header, shape.separator, shape.schema), form))
                for path, names in zip(paths, columns, strict=True)
            ]
        except OSError as error:
            raise InputError(f"{error.filename or paths[0]}: cannot be written: {error.strerror}") from None

        def write(row: Row) -> None:
            if len(writers) == 1:
                writers[0](row)
                return
            for each, (name,) in zip(writers, columns, strict=True):
                each({name: row[name]})

        yield write


@contextmanager
def _opened(path: Path, shape: Shape, form: str) -> Iterator[Write]:
    form = named_form(path) or form
    form = "tsv" if form == "txt" and len(shape.names) > 1 else form
    with open_draft(path) as draft:
        if form in ("parquet", "arrow"):
            with _arrow_writer(draft.buffer, path, form, shape) as write:
                yield write
            return
        if named_compression(path) is None:
            yield from _text_writer(draft, path, form, shape)
            return
        with compressed(draft.buffer, path) as packed:
            text = io.TextIOWrapper(packed, "utf-8", newline="\n")
            yield from _text_writer(text, path, form, shape)
            text.flush()
            text.detach()


def _text_writer(stream: TextIO, path: Path, form: str, shape: Shape) -> Iterator[Write]:
    if form == "csv":
        usual, quoted = (
            csv.writer(stream, delimiter=shape.separator, lineterminator="\n", quoting=quoting)
            for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
        )

        def write(cells: Sequence[Any]) -> None:
            # The writer takes a carriage return for text, and readers for the end of a row.
            (quoted if any(isinstance(cell, str) and "\r" in cell for cell in cells) else usual).writerow(cells)

        if shape.header:
            write(shape.names)
        yield lambda row: write(_cells(row, shape.names, path))
    elif form == "jsonl":
        yield lambda row: stream.write(_as_json(row) + "\n")
    elif form == "json":
        yield from _json_writer(stream)
    else:
        if shape.header and form == "tsv":
            stream.write("\t".join(shape.names) + "\n")
        yield lambda row: _write_line(stream, row, shape.names, path)


def _json_writer(stream: TextIO) -> Iterator[Write]:
    """A list of objects, one per line."""
    before = "[\n"

    def write(row: Row) -> None:
        nonlocal before
        stream.write(before + _as_json(row))
        before = ",\n"

    yield write
    stream.write("\n]\n" if before == ",\n" else "[]\n")


def _as_json(row: Row) -> str:
    line = strict_json.dumps(row, ensure_ascii=False, default=str)
    try:
        line.encode()
    except UnicodeEncodeError:  # half a character, which JSON can spell
        return strict_json.dumps(row, default=str)
    return line


def _write_line(stream: TextIO, row: Row, names: Sequence[str], path: Path) -> None:
    cells = _cells(row, names, path)
    forbidden = "\t\n\r" if len(names) > 1 else "\n\r"
    for cell in cells:
        if any(mark in cell for mark in forbidden):
            kind = "a tab" if "\t" in cell and len(names) > 1 else "a line break"
            raise InputError(f"{path}: the cell {shorten(repr(cell))} contains {kind}; write .jsonl or .csv")
    stream.write("\t".join(cells) + "\n")


def _cells(row: Row, names: Sequence[str], path: Path) -> list[str]:
    """The cells of a row as text; lists and objects as JSON."""
    more = [name for name in row if name not in names]
    if more:
        raise InputError(f"{path}: column {more[0]!r} is not in the first rows; write .jsonl")
    values = [row.get(name) for name in names]
    return [
        value if isinstance(value, str) else "" if value is None else strict_json.dumps(value, ensure_ascii=False)
        for value in values
    ]


@contextmanager
def _arrow_writer(stream: Any, path: Path, form: str, shape: Shape) -> Iterator[Write]:
    import pyarrow as pa

    rows: list[Row] = []
    writer: Any = None

    def flush() -> None:
        nonlocal writer
        names = writer.schema.names if writer else shape.schema.names if shape.schema else shape.names
        columns = {name: [row.get(name) for row in rows] for name in names}
        try:
            table = pa.table(columns, schema=writer.schema if writer else shape.schema)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
            raise InputError(f"{path}: rows do not fit a {form} file: {str(error).splitlines()[0]}") from None
        writer = writer or _ArrowFile(stream, path, form, table.schema)
        writer.write(table)
        rows.clear()

    def write(row: Row) -> None:
        rows.append(row)
        if len(rows) == BLOCK:
            flush()

    yield write
    if rows or writer is None:
        flush()
    writer.close()


class _ArrowFile:
    """A parquet file, an Arrow file (`.feather`), or an Arrow stream, which `datasets` reads."""

    def __init__(self, stream: Any, path: Path, form: str, schema: Any) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.schema = schema
        ipc = pa.ipc.new_file if path.suffix.lower() == ".feather" else pa.ipc.new_stream
        self._writer = (pq.ParquetWriter if form == "parquet" else ipc)(stream, schema)

    def write(self, table: Any) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


def arrow_schema(path: Path, form: str) -> Any:
    """The schema of an Arrow or parquet file; None for another format, and for a pipe, which can be read only once."""
    if form not in ("parquet", "arrow") or not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    if form == "parquet":
        return pq.read_schema(path)
    with path.open("rb") as stream:
        whole = stream.read(6) == b"ARROW1"
    with pa.OSFile(str(path)) as file:
        return (pa.ipc.open_file if whole else pa.ipc.open_stream)(file).schema
