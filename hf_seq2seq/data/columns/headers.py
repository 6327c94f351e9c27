"""Whether the first row of a delimited file is a header or data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hf_seq2seq.data.columns.conventions import is_known_name

# Longer names are text.
LONGEST_NAME = 60
MOSTLY = 0.9


@dataclass(frozen=True)
class Header:
    """What is known about the first row in advance.

    Attributes:
        known: whether it is a header; None to detect it.
        names: columns named by flags, or those of other files of the same rows.
        numbered: whether earlier files of such rows had no header, so that only usual or given names are one.
    """

    known: bool | None = None
    names: frozenset[str] = frozenset()
    numbered: bool = False

    @classmethod
    def of(cls, *columns: str | None, numbered: bool = False) -> "Header":
        """From the columns named by flags: there is no header if one is a number, counted from 1."""
        named = frozenset(column for column in columns if column is not None)
        return cls(False if any(column.isdecimal() for column in named) else None, named, numbered)

    def after(self, columns: Sequence[str]) -> "Header":
        """From another file of the same rows, which has these columns."""
        if self.known is not None:
            return self
        if columns and list(columns) == numbered(len(columns)):
            return Header(False, self.names, numbered=True)
        return Header(None, self.names | frozenset(columns), self.numbered)


UNKNOWN = Header()


def numbered(count: int) -> list[str]:
    """The columns of a file without a header."""
    return [str(number) for number in range(1, count + 1)]


def names_columns(rows: Sequence[Sequence[str]], given: frozenset[str] = frozenset(), numbered: bool = False) -> bool:
    """Whether the first of some rows is a header.

    It is if its cells are usual names, or given names. It is not if a cell resembles its column: it occurs again,
    consists of several words that all occur in the column, ends like a sentence, or is a number like all others.
    Otherwise it is if a cell differs from its column: one word above several, a name above numbers or above a few
    repeated values. If still undecided, it is data with one or two columns, and a header with more.

    Args:
        rows: the first rows, all with the same number of cells.
        given: known names of columns.
        numbered: whether earlier files of such rows had no header: then nothing else is one.
    """
    first, body = [cell.strip() for cell in rows[0]], rows[1:]
    known = [is_known_name(cell) or cell in given or not cell for cell in first]
    if any(cell in given for cell in first) or all(known):
        return any(first)
    if numbered:
        return False
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


def is_doubtful(first: Sequence[str], given: frozenset[str] = frozenset()) -> bool:
    """Whether a row that counts as a header has no usual name, nor one that is given: it may be data all the same."""
    return not any(is_known_name(cell.strip()) or cell.strip() in given for cell in first)


def looks_like_data(name: str, cells: Sequence[str]) -> bool:
    """Whether a name is more likely another cell of its column."""
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
