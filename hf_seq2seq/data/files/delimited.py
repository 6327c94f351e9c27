"""Rows of csv and tsv files.

A `.csv` file follows RFC 4180: cells in double quotes may contain separators and line breaks. Its separator is detected
from several rows (`separators.py`), or given by a first line such as `sep=;`. A `.tsv` file is split only at tabs: a
quotation mark is a character like any other.

Whether the first row is a header is detected, too (`columns/headers.py`); columns without names are numbered from 1. A
flag that names a column takes precedence: `--source-column 1` means that there is no header.
"""

import csv
import io
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, dropwhile, islice
from typing import Any, TypeVar

from hf_seq2seq.data.columns.conventions import is_known_name
from hf_seq2seq.data.columns.headers import UNKNOWN, Header, is_doubtful, names_columns, numbered
from hf_seq2seq.data.files.separators import NONE, SEPARATORS, declared_separator, find_separator
from hf_seq2seq.data.files.text_files import Opened, lines
from hf_seq2seq.errors import InputError, shorten

logger = logging.getLogger(__name__)

# A cell may be as large as memory: by default csv stops at 128 KiB.
csv.field_size_limit(sys.maxsize)

LINES_LOOKED_AT = 500
ROWS_LOOKED_AT = 100
Row = tuple[int, list[str]]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Layout:
    """The layout of a delimited file.

    Attributes:
        separator: separator between cells.
        columns: names or numbers of the columns.
        header: whether the first row is a header.
        line: line on which the first row starts.
    """

    separator: str
    columns: list[str]
    header: bool
    line: int

    def __str__(self) -> str:
        names = {"\t": "split at tabs", NONE: "one column"}
        split = names.get(self.separator, f"split at {self.separator!r}")
        return f"{split}; {'the first row names the columns' if self.header else 'no header, columns by number'}"


def delimited_rows(
    file: Opened, form: str, encoding: str, header: Header = UNKNOWN, in_step: bool = False
) -> tuple[Layout, Iterator[Row]]:
    """Reads a csv or tsv file row by row; blank lines are skipped.

    Args:
        file: the file.
        form: "csv" or "tsv".
        encoding: encoding of the file.
        header: what is known about its first row.
        in_step: whether blank lines in a file with no header or one column are rows of empty cells, so that rows
            correspond to lines.

    Returns:
        The layout, and all rows of data: the line on which each starts and its cells, the same number in each.

    Raises:
        InputError: the file is empty, the header is invalid, a row has a different number of cells, or a quotation mark
            is not closed.
    """
    read = file.lines(encoding)
    separator, rows = _csv_rows(file.place, read) if form == "csv" else ("\t", _tsv_rows(read))
    sample, rows = look_ahead(dropwhile(lambda row: not row[1], rows), ROWS_LOOKED_AT)
    if not sample:
        list(rows)  # reports errors in the first row
        raise InputError(f"{file.place}: is empty")
    line, first = sample[0]
    if form == "tsv":
        _check_tabs(file.place, line, first)
    named = header.known
    if named is None:
        named = names_columns([row for _, row in sample if row], header.names, header.numbered)
    columns = _names(file.place, line, first) if named else _numbers(file.place, line, first)
    if header.known is None and not named:
        _report(file.place, first)
    elif header.known is None and is_doubtful(first, header.names):
        logger.warning(
            "%s: the first row (%s) is treated as names of columns; if it is data, name a column by its number",
            *(file.place, " | ".join(map(shorten, first[:4]))),
        )
    elif header.numbered and not named and names_columns([row for _, row in sample if row]):
        names = " | ".join(map(shorten, first[:4]))
        logger.warning(
            "%s: the first row (%s) looks like names of columns, and counts as data because the rows before have no "
            "header; remove it if it is one", *(file.place, names),
        )  # fmt: skip
    layout = Layout(separator, columns, named, line)
    rows = islice(rows, 1, None) if named else rows
    return layout, _even(file.place, rows, layout, in_step and (not named or len(columns) == 1))


def look_ahead(items: Iterable[Item], count: int) -> tuple[list[Item], Iterator[Item]]:
    """The first of some items, and all of them; errors after the first are raised on iteration."""
    iterator, found = iter(items), []
    try:
        for item in islice(iterator, count):
            found.append(item)
    except InputError as error:
        return found, chain(found, _raising(error))
    return found, chain(found, iterator)


def _raising(error: InputError) -> Iterator[Item]:
    raise error
    yield


def _tsv_rows(stream: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines(stream), 1):
        yield number, line.split("\t") if line else []


def _csv_rows(place: str, stream: Iterable[str]) -> tuple[str, Iterator[Row]]:
    """The separator, and the rows; that of a blank line has no cells."""
    sample, read = look_ahead((part for line in stream for part in _parts(line)), LINES_LOOKED_AT)
    declared = declared_separator(sample[0]) if sample else None
    if declared:
        read = chain(["\n"], islice(read, 1, None))
    separator = declared or find_separator(sample, whole=len(sample) < LINES_LOOKED_AT)
    return separator, _parsed(place, csv.reader(read, delimiter=separator, strict=True))


def _parsed(place: str, reader: Any) -> Iterator[Row]:
    start = 1
    try:
        for cells in reader:
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        open_ended = "end of data" in str(error)
        problem = "a quotation mark is opened and never closed" if open_ended else f"broken csv: {error}"
        hint = "inside a quoted cell, write each quotation mark twice"
        raise InputError(f"{place}:{start}: {problem}; {hint}") from error


def _parts(line: str) -> Iterable[str]:
    """A line split at carriage returns, which also end rows."""
    return io.StringIO(line, newline="") if "\r" in line[:-2] else (line,)


def _check_tabs(place: str, line: int, first: list[str]) -> None:
    """Rejects a header with a separator other than the tab."""
    for separator in SEPARATORS:
        names = first[0].split(separator)
        if len(first) == 1 and len(names) > 1 and all(is_known_name(name) for name in names):
            detail = f"{place}:{line}: the columns {first[0]!r} are separated by {separator!r}, not by tabs"
            raise InputError(f"{detail}; call the file .csv")


def _names(place: str, line: int, first: list[str]) -> list[str]:
    """The names of the columns, from the first row."""
    # A table saved with row numbers has a first column without a name.
    names = [cell.strip() or f"Unnamed: {index}" for index, cell in enumerate(first)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        hint = "if the file has no header, give its columns as numbers, counted from 1"
        raise InputError(f"{place}:{line}: the header names column {repeated[0]!r} twice; {hint}")
    return names


def _numbers(place: str, line: int, first: list[str]) -> list[str]:
    """The numbers of the columns if the first row is not a header."""
    if all(is_known_name(cell) for cell in first):
        raise InputError(f"{place}:{line}: this is a header ({', '.join(first)}); name columns by it, not by number")
    return numbered(len(first))


def _report(place: str, first: list[str]) -> None:
    """Notes that the first row was taken for data, unless that was given."""
    cells = " | ".join(cell if len(cell) <= 30 else f"{cell[:29]}…" for cell in first[:4])
    called = "the column is called 1" if len(first) == 1 else f"columns are called {', '.join(numbered(len(first)))}"
    hint = "if it is a header, name a column by a flag"
    logger.warning("%s: the first row (%s) is treated as data, so %s; %s", place, cells, called, hint)


def _even(place: str, rows: Iterable[Row], layout: Layout, in_step: bool) -> Iterator[Row]:
    """The rows, all with the same number of cells; blank lines at the end are never rows."""
    width = len(layout.columns)
    blank: list[int] = []
    skipped, first = 0, 0
    for number, cells in rows:
        if len(cells) == width and cells:
            if in_step:
                yield from ((line, [""] * width) for line in blank)
            elif blank:
                skipped, first = skipped + len(blank), first or blank[0]
            blank.clear()
            yield number, cells
        elif not "".join(cells).strip():
            blank.append(number)
        else:
            raise InputError(_ragged(place, number, len(cells), layout))
    if skipped:
        logger.warning("%s:%s: skipped a blank line%s", place, first, f" and {skipped - 1:,} more" * (skipped > 1))


def _ragged(place: str, line: int, found: int, layout: Layout) -> str:
    owner, expected = "the header" if layout.header else "the first row", len(layout.columns)
    hint = f"put cells that contain the separator, {layout.separator!r}, in double quotes"
    if layout.separator == "\t":
        hint = "a cell may not contain a tab"
    if found < expected:
        hint = f"{expected - found} more {'is' if expected - found == 1 else 'are'} needed, empty or not"
    return f"{place}:{line}: found {found} field{'s' * (found != 1)}, {owner} has {expected}; {hint}"
