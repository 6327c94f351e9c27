"""Rows of texts given one by one: arguments, a file or standard input.

The readers, which import pyarrow and datasets, are imported lazily, because commands import this module for `--help`.
"""

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from hf_seq2seq import strict_json
from hf_seq2seq.data.arriving import Arriving
from hf_seq2seq.errors import InputError

Row = dict[str, Any]
SAMPLE_ROWS = 100
_TABLE = re.compile(r"\.[ct]sv(\.\w+)?$", re.IGNORECASE)


def read_rows(
    texts: Sequence[str] | None,
    file: str | None,
    encoding: str,
    names: Sequence[str | None] = (),
    numbered: bool = False,
    languages: tuple[str | None, ...] = (),
) -> tuple[Iterator[Row], list[Row]]:
    """Rows, read lazily; arguments and lines of standard input are rows with the single column "text".

    Args:
        texts: arguments.
        file: used if there are none.
        encoding: of the file or standard input.
        names: known columns of the file, or their numbers.
        numbered: whether the model's training rows had no header.
        languages: suffixes of parallel files that are named by their stem.

    Returns:
        All rows, and for a file its first ones, to detect columns.

    Raises:
        InputError: both texts and a file are given, or the file cannot be read or has no rows.
    """
    from hf_seq2seq.data.columns.headers import Header
    from hf_seq2seq.data.files.readers import iterate_rows

    if texts and file:
        raise InputError(f"texts are given both as arguments and by --input-file {file}; give only one of them")
    if texts:
        return iter([{"text": text} for text in texts]), []
    if file is None:
        if sys.stdin.isatty():
            print("reading one text per line; Ctrl-D ends", file=sys.stderr)
        return iterate_rows(_own_reader() if is_live(texts, file) else sys.stdin, encoding), []
    rows = iterate_rows(file, encoding, Header.of(*names, numbered=numbered), languages=languages)
    if is_live(texts, file):
        arriving = Arriving(rows)
        rows, sample = iter(arriving), arriving.take(SAMPLE_ROWS)
    else:
        sample = list(islice(rows, SAMPLE_ROWS))  # so that errors in the file appear before a model is loaded
    if not any(sample):
        raise InputError(f"{file}: has no rows")
    return chain(sample, rows), sample


def read_document(texts: Sequence[str] | None, file: str | None, encoding: str) -> Iterator[Row]:
    """A whole text file, or standard input, as one row with the column "text".

    Raises:
        InputError: texts are given as arguments, or the file cannot be read as text.
    """
    if texts:
        raise InputError("--one-document: texts are given as arguments; it reads --input-file or standard input")
    from hf_seq2seq.data.files.text_files import Opened, opened

    if file is None:
        content = Opened(sys.stdin.buffer, "standard input").text(encoding)
    else:
        with opened(Path(file).expanduser()) as text:
            content = text.text(encoding)
    return iter([{"text": content.replace("\r\n", "\n").replace("\r", "\n")}])


def is_live(texts: Sequence[str] | None, file: str | None) -> bool:
    """Whether rows come from a terminal or a pipe, whose producer may be slower than the model."""
    if texts:
        return False
    if file is not None:
        return Path(file).exists() and not Path(file).is_file() and not Path(file).is_dir()
    try:
        return not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    except (OSError, ValueError):  # not backed by a file
        return False


def _own_reader() -> TextIO:
    """Standard input with a separate buffer: Python's must not be in use by another thread when the process ends."""
    return open(sys.stdin.fileno(), closefd=False)


def names_of(sample: Sequence[Row]) -> list[str]:
    """The columns of rows, not all of which need to be in every row."""
    return list(dict.fromkeys(name for row in sample for name in row))


def text_cell(row: Row, column: str, number: int, place: str) -> str:
    """The text in a row's column; `number` counts rows from 1.

    Raises:
        InputError: the cell is not text.
    """
    from hf_seq2seq.data.columns.finding import cell

    value = cell(row, column)
    if isinstance(value, str) and is_unicode(value):
        return value
    wrong = "contains half a character" if isinstance(value, str) else "is not text"
    raise InputError(f"{cell_place(place, number, column)}: {shown(value)} {wrong}")


def cell_place(place: str, number: int | str, column: str) -> str:
    """Where a cell is, for messages: in a table with a header, rows are not the lines that an editor numbers.

    Args:
        place: the file or data set.
        number: of the row, from 1; its file may follow.
        column: its name, or its number in a file without a header.
    """
    header = " after the header" if _TABLE.search(place) and not column.isdecimal() else ""
    return f"{place}: row {number}{header}, column {column!r}"


def source_cell(row: Row, column: str, number: int, place: str) -> str:
    """As `text_cell`; a list of texts, such as sentences, is joined by spaces, as in training.

    Raises:
        InputError: the cell is neither text nor a list of texts.
    """
    from hf_seq2seq.data.columns.finding import cell

    value = cell(row, column)
    if isinstance(value, list) and value and all(isinstance(part, str) and is_unicode(part) for part in value):
        return " ".join(value)
    return text_cell(row, column, number, place)


def is_unicode(text: str) -> bool:
    """Whether a text is valid: no lone surrogates, which JSON's escapes can contain, and no undecodable bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_line(row: Row) -> str:
    """A row as JSON in one line; a cell that JSON cannot represent, such as a date, is written as text.

    Lone surrogates, which UTF-8 cannot represent, are written as JSON escapes.
    """
    line = strict_json.dumps(row, ensure_ascii=False, default=str)
    return line if is_unicode(line) else strict_json.dumps(row, default=str)


def shown(value: Any, width: int = 60) -> str:
    """A cell as shown in a message, truncated to a width in characters."""
    written = repr(value)
    return written if len(written) <= width else f"{written[: width - 1]}…"
