"""Rows of csv and tsv files.

A `.csv` file follows RFC 4180: cells in double quotes may hold commas and line ends. Its separator is the first of
comma, semicolon and tab that the first line holds. A `.tsv` file is split at tabs and nothing else: a quotation mark
is a character like any other.

The first row names the columns. A file without such a row is read by giving its columns as numbers, counted from 1
(`--source-column 1 --target-column 2`).
"""

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from hf_seq2seq.data.columns.conventions import is_known_name
from hf_seq2seq.data.files.text_files import Opened, lines
from hf_seq2seq.errors import InputError

# A cell may be as large as memory: csv would stop at 128 KiB.
csv.field_size_limit(sys.maxsize)

Row = tuple[int, list[str]]


def delimited_rows(file: Opened, form: str, encoding: str, header: bool = True) -> Iterator[Row]:
    """Reads a csv or tsv file row by row; blank lines are skipped.

    Args:
        file: the file.
        form: "csv" or "tsv".
        encoding: of the file.
        header: whether the first row names the columns; if not, they are called "1", "2", …

    Yields:
        The line on which a row starts and its cells, all of the same number; the column names come first.

    Raises:
        InputError: an empty file, a bad header, a row with another number of cells, an unclosed quotation mark.
    """
    path, stream = file.place, file.lines(encoding)
    rows = _csv_rows(path, stream) if form == "csv" else _tsv_rows(stream)
    line, first = next(rows, (0, []))
    if not first:
        raise InputError(f"{path}: is empty")
    yield line, _names(path, line, first, header)
    for number, cells in rows if header else chain([(line, first)], rows):
        if len(cells) != len(first):
            raise InputError(_ragged(path, form, number, len(cells), len(first), header))
        yield number, cells


def _tsv_rows(stream: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines(stream), 1):
        if line:
            yield number, line.split("\t")


def _csv_rows(path: str, stream: Iterable[str]) -> Iterator[Row]:
    stream = (part for line in stream for part in _parts(line))
    first = next(stream, "")
    separator = next((s for s in ",;\t" if s in first), ",")
    reader = csv.reader(chain([first], stream), delimiter=separator, strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        problem = (
            "a quotation mark is opened and never closed" if "end of data" in str(error) else f"broken csv: {error}"
        )
        raise InputError(f"{path}:{start}: {problem}; inside a quoted cell, write each quotation mark twice") from error


def _parts(line: str) -> Iterable[str]:
    """A line cut at the carriage returns in it, which end rows, too."""
    return io.StringIO(line, newline="") if "\r" in line[:-2] else (line,)


def _names(path: str, line: int, first: list[str], header: bool) -> list[str]:
    """The names of the columns, from the first row or, where there is no header, from 1 on."""
    if not header:
        if all(is_known_name(cell) for cell in first):
            raise InputError(f"{path}:{line}: this is a header ({', '.join(first)}); name columns by it, not by number")
        return [str(number) for number in range(1, len(first) + 1)]
    # A table written with its row numbers has a first column without a name.
    names = [cell.strip() or f"Unnamed: {index}" for index, cell in enumerate(first)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        hint = "if the file has no header, give its columns as numbers, counted from 1"
        raise InputError(f"{path}:{line}: the header names column {repeated[0]!r} twice; {hint}")
    return names


def _ragged(path: str, form: str, line: int, found: int, expected: int, header: bool) -> str:
    owner = "the header" if header else "the first row"
    hint = "put cells that hold the separator in double quotes" if form == "csv" else "a cell may not hold a tab"
    return f"{path}:{line}: found {found} field{'s' * (found != 1)}, {owner} has {expected}; {hint}"
