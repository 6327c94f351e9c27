"""Which columns a task reads: those named by flags, else those with usual names, else the only ones left.

A cell inside an object is named with a dot: `translation.de` is the cell `de` of the column `translation`.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hf_seq2seq.data.columns.conventions import BOOKKEEPING, is_known_name
from hf_seq2seq.data.columns.headers import LONGEST_NAME, looks_like_data
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

MOST_NAMES = 15
"""Columns that a message lists."""

Row = Mapping[str, Any]


def cell(row: Row, column: str) -> Any:
    """The cell of a row, with dotted names for values in objects; None if there is none."""
    if column in row or "." not in column:
        return row.get(column)
    outer, inner = column.rsplit(".", 1)
    holder = cell(row, outer)
    return holder.get(inner) if isinstance(holder, Mapping) else None


def named_column(names: Sequence[str], sample: Sequence[Row], option: str, column: str, place: str) -> str:
    """The column named by a flag, after checking that it exists.

    Args:
        names: the existing columns.
        sample: a few rows.
        option: the flag's field, such as "source_column".
        column: the value of the flag.
        place: the file or data set, for the message.

    Raises:
        InputError: there is no such column.
    """
    if column in names or any(cell(row, column) is not None for row in sample):
        return column
    close = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise InputError(f"{place}: no column {column!r} ({flag(option)}); its columns are {listed(names)}{hint}")


def text_columns(names: Sequence[str], sample: Sequence[Row]) -> list[str]:
    """The columns of text, in the file's order: strings in every row of the sample that is not null."""
    return _columns_of(names, sample, lambda value: isinstance(value, str))


def reference_columns(names: Sequence[str], sample: Sequence[Row]) -> list[str]:
    """The columns with several texts per row, such as references."""
    return _columns_of(names, sample, lambda v: isinstance(v, list) and bool(v) and all(isinstance(t, str) for t in v))


def candidates(names: Sequence[str]) -> list[str]:
    """The columns to consider: all but row numbers and ids."""
    return [name for name in names if name.lower() not in BOOKKEEPING]


def without_numbers(names: Sequence[str], sample: Sequence[Row]) -> list[str]:
    """The columns of text that are not entirely numbers: in a csv file every cell is text."""
    return [n for n in names if not all(_is_number(row.get(n)) for row in sample if row.get(n) is not None)]


def by_lower_case(names: Sequence[str]) -> dict[str, str]:
    """The columns by their names in lower case, because conventions ignore case."""
    return {name.lower(): name for name in reversed(names)}


def check_header(columns: Sequence[str], sample: Sequence[Row], place: str, flags: tuple[str, str]) -> None:
    """Rejects detected column names that look like the first row of a file without a header.

    Args:
        columns: the detected names.
        sample: a few rows.
        place: the file or data set, for the message.
        flags: the flags that name columns, for the message.

    Raises:
        InputError: a name looks like data; says how to read such a file.
    """
    for column in columns:
        cells = [str(row.get(column)) for row in sample]
        if not column.isdecimal() and looks_like_data(column, cells):
            numbers = f"{flags[0]} 1 {flags[1]} 2"
            raise InputError(
                f"{place}: the first row names a column {column[:LONGEST_NAME]!r}, which looks like data; if there is "
                f"no header, give the columns by number, as in {numbers}; if there is one, by name"
            )


def columns_told(names: Sequence[str], flags: Sequence[str]) -> str:
    """What to write where columns cannot be told apart, and what there is.

    Args:
        names: the columns.
        flags: the flags that are missing.
    """
    told = f"name the columns by {' and '.join(flags)}; its columns are {listed(names)}"
    if len(flags) == 1 or any(is_known_name(name) or name.isdecimal() for name in names):
        return told
    numbers = " ".join(f"{each} {number}" for number, each in enumerate(flags, start=1))
    return f"{told} (if that is a row of data, give them by number, as in {numbers})"


def listed(names: Sequence[str]) -> str:
    """The names of columns for a message: the first ones, none of them very long."""
    return ", ".join(map(_short, names[:MOST_NAMES])) + " …" * (len(names) > MOST_NAMES)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _columns_of(names: Sequence[str], sample: Sequence[Row], fits: Callable[[Any], bool]) -> list[str]:
    found = []
    for name in candidates(names):
        cells = [row.get(name) for row in sample if row.get(name) is not None]
        if cells and all(map(fits, cells)):
            found.append(name)
    return found


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
