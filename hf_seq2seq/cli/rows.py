"""Rows in and out of `generate` and `classify`: arguments, a file or standard input to text or JSON lines."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from hf_seq2seq.errors import InputError, nearest

Row = dict[str, Any]
STDIN = "standard input"


def read_rows(texts: Sequence[str] | None, file: str | None, encoding: str) -> Iterator[Row]:
    """Rows, read one at a time: arguments and lines of standard input are rows with the column "text".

    Raises:
        InputError: both texts and a file, no such file, or a line that does not decode.
    """
    if texts and file:
        raise InputError(f"texts are given both as arguments and by --input-file {file}; give one of them")
    if texts:
        return ({"text": text} for text in texts)
    if file is None:
        return _read_stdin(encoding)
    from hf_seq2seq.data.sources import iterate_rows

    rows = iterate_rows(Path(file), encoding)
    first = next(rows, None)  # what is wrong with the file shows before a model is loaded
    if first is None:
        raise InputError(f"{file}: has no rows")
    return chain([first], rows)


def _read_stdin(encoding: str) -> Iterator[Row]:
    if sys.stdin.isatty():
        print("reading a text a line; Ctrl-D ends", file=sys.stderr)
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield {"text": line.rstrip(b"\r\n").decode(encoding).removeprefix("\ufeff")}
        except LookupError:
            raise InputError(f"--encoding: unknown encoding {encoding!r}") from None
        except UnicodeDecodeError as error:
            place = f"{STDIN}: line {number}, byte {error.start + 1}"
            raise InputError(f"{place}: not {encoding}; name another with --encoding") from None


def choose_column(row: Row, wanted: str | None, usual: Sequence[str], place: str, flag: str) -> str:
    """The column to read: the one asked for, or a usual one, or the only one.

    Args:
        row: the first row.
        wanted: what a flag says.
        usual: names to look for, the likeliest first; capitals do not matter.
        place: the file, for the error.
        flag: the flag that names the column.

    Raises:
        InputError: no such column, or several to choose from.
    """
    if wanted is not None:
        if wanted not in row:
            raise InputError(f"{place}: {flag}: no column {wanted!r}{nearest(wanted, row)}")
        return wanted
    names = {name.strip().lower(): name for name in row}
    found = [names[name] for name in usual if name in names]
    if not found and len(row) > 1:
        raise InputError(f"{place}: several columns ({', '.join(row)}); choose one with {flag}")
    return found[0] if found else next(iter(row))


def cell(row: Row, column: str, number: int, place: str) -> str:
    """The text in a row's column; `number` counts rows from 1.

    Raises:
        InputError: the cell holds no text.
    """
    value = row.get(column)
    if not isinstance(value, str):
        raise InputError(f"{place}: row {number}, column {column!r}: {value!r} is not text")
    return value


@contextmanager
def open_output(file: str | None, inputs: Sequence[str | None] = ()) -> Iterator[TextIO]:
    """Standard output, or a file that appears under its name when all is written; until then it ends in `.partial`.

    Raises:
        InputError: the file cannot be written, or is one of the inputs.
    """
    if file is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    path, draft = Path(file), Path(file + ".partial")
    if any(name and Path(name).exists() and path.exists() and path.samefile(name) for name in inputs):
        raise InputError(f"--output-file {file}: is the input file")
    if path.is_dir():
        raise InputError(f"--output-file {file}: is a folder")
    try:
        stream = draft.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"--output-file {file}: cannot be written: {error.strerror}") from None
    try:
        with stream:
            yield stream
        os.replace(draft, path)
    finally:
        if draft.exists() and not draft.stat().st_size:
            draft.unlink()


def write_json(stream: TextIO, row: Row) -> None:
    """Writes a row as a line of JSON; a cell that JSON has no form for, such as a date, as its text."""
    stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def write_text(stream: TextIO, *cells: str) -> None:
    """Writes a line of text, cells divided by tabs; line ends inside a cell become spaces, so that lines are rows."""
    stream.write("\t".join(" ".join(text.splitlines()) for text in cells) + "\n")
