"""Detection of the separator of a csv file from several of its rows, taking quotation marks into account."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from hf_seq2seq.data.columns.conventions import is_known_name

SEPARATORS = (",", ";", "\t", "|")
NONE = "\x1f"
"""A separator that never occurs in text."""
_DECLARED = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


def declared_separator(line: str) -> str | None:
    """The separator given by a first line such as `sep=;`, as written by Excel."""
    found = _DECLARED.fullmatch(line)
    return found[1] if found else None


def find_separator(lines: Sequence[str], whole: bool) -> str:
    """The separator for which the first row has usual names, or else for which the number of cells is most uniform.

    Ties go to the separator that is least like punctuation of text: `Ja, gut;yes good`.

    Args:
        lines: the first lines, with their line breaks.
        whole: whether these are all lines; if not, the last row may be incomplete.

    Returns:
        One of `SEPARATORS`, or `NONE` for a file of one column.
    """
    split = {separator: _rows(lines, separator, whole) for separator in SEPARATORS}
    there = {separator: rows for separator, rows in split.items() if rows and len(rows[0]) > 1}
    if there:
        return max(there, key=lambda separator: _likelihood(there[separator], separator))
    # A first row of one cell: a name above one column of text, or a title above a table, which will be rejected.
    widths = {separator: {len(row) for row in rows[1:]} for separator, rows in split.items()}
    return next((separator for separator, found in widths.items() if len(found) == 1 and found != {1}), NONE)


def _rows(lines: Sequence[str], separator: str, whole: bool) -> list[list[str]]:
    rows = [row for row in csv.reader(lines, delimiter=separator) if row]
    return rows if whole or len(rows) < 2 else rows[:-1]


def _likelihood(rows: list[list[str]], separator: str) -> tuple[bool, float, float]:
    """A score of a split into cells: usual names, uniformity, dissimilarity to text."""
    counts = Counter(len(row) for row in rows)
    known = all(is_known_name(cell) for cell in rows[0])
    even = counts[len(rows[0])] / len(rows)
    pairs = [pair for row in rows for pair in pairwise(row)]
    prose = sum(_is_punctuation(separator, *pair) for pair in pairs)
    return known, even, -prose / max(1, len(pairs))


def _is_punctuation(separator: str, before: str, after: str) -> bool:
    """Whether the separator between two cells is more likely punctuation, or a decimal mark."""
    decimals = separator == "," and before[-1:].isdigit() and after[:1].isdigit()
    return decimals or (separator != "\t" and after.startswith(" "))
