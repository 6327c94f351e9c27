"""Whether the first row of a delimited file names its columns, or is a row like the others."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hf_seq2seq.data.columns.conventions import is_known_name

# Longer names than this are text.
LONGEST_NAME = 60
MOSTLY = 0.9


@dataclass(frozen=True)
class Header:
    """What is known of the first row before it is looked at.

    Attributes:
        told: whether it names the columns; None finds out.
        names: columns that flags name, or that other files of the same rows have.
    """

    told: bool | None = None
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *columns: str | None) -> "Header":
        """By the columns that flags name: there is no header if one is a number, counted from 1."""
        named = frozenset(column for column in columns if column is not None)
        return cls(False if any(column.isdecimal() for column in named) else None, named)

    def after(self, columns: Sequence[str]) -> "Header":
        """What is known after another file of the same rows, which has these columns."""
        if self.told is not None:
            return self
        if columns and list(columns) == numbered(len(columns)):
            return Header(False, self.names)
        return Header(None, self.names | frozenset(columns))


UNKNOWN = Header()


def numbered(count: int) -> list[str]:
    """The columns of a file without a header."""
    return [str(number) for number in range(1, count + 1)]


def names_columns(rows: Sequence[Sequence[str]], given: frozenset[str] = frozenset()) -> bool:
    """Whether the first of some rows names the columns.

    It does if its cells are usual names, or names that are given. It does not if a cell of it is like its column: it
    comes again, is several words that are all in the column, ends as a sentence does, or is a number as all others.
    Where neither is so, it does if a cell is unlike its column: one word above several, a name above numbers or above a
    few values that come again and again. What still is open is a row of data in one or two columns, and names in more.

    Args:
        rows: the first rows, all of the same number of cells.
        given: names that columns are known to have.
    """
    first, body = [cell.strip() for cell in rows[0]], rows[1:]
    known = [is_known_name(cell) or cell in given or not cell for cell in first]
    if any(cell in given for cell in first) or all(known):
        return any(first)
    columns = [[row[index] for row in body if index < len(row)] for index in range(len(first))]
    if len(set(first)) < len(first):
        return False
    if any(looks_like_data(cell, column) for cell, column in zip(first, columns, strict=True)):
        return False
    if any(known) or any(re.search("[A-Za-z]_[A-Za-z]", cell) for cell in first):
        return True
    if len(first) > 1 and any(_stands_out(cell, column) for cell, column in zip(first, columns, strict=True)):
        return True
    return len(first) > 2


def looks_like_data(name: str, cells: Sequence[str]) -> bool:
    """Whether a name is rather one more cell of its column."""
    if is_known_name(name):
        return False
    words = name.split()
    seen = {word for text in cells for word in text.split()} if len(words) > 1 else set()
    repeats = name in cells or (len(words) > 1 and seen.issuperset(words))
    number = _is_number(name) and bool(cells) and all(map(_is_number, cells))
    return repeats or number or len(name) > LONGEST_NAME or bool(re.search(r"[.!?。！？]$", name))


def _stands_out(name: str, cells: Sequence[str]) -> bool:
    """Whether a cell is unlike those below it."""
    if not cells:
        return False
    several = sum(len(cell.split()) > 1 for cell in cells) >= MOSTLY * len(cells)
    few = len(set(cells)) <= len(cells) / 4 and name not in cells
    numbers = all(map(_is_number, cells)) and not _is_number(name)
    return (several and len(name.split()) == 1) or few or numbers


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
