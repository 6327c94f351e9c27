"""Plain text with the same number of tabs in every line, such as pronunciation lists: columns, not text."""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice, starmap
from typing import TYPE_CHECKING

from hf_seq2seq.data.columns.headers import names_columns, numbered
from hf_seq2seq.data.rows import Row
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)
SAMPLE_ROWS = 100


def tabbed_columns(texts: Sequence[str], numbered_before: bool = False) -> tuple[list[str], bool] | None:
    """The columns of lines, and whether the first line is a header; None if lines differ in their tabs, or have none.

    Blank lines do not count. Where earlier files of such rows had no header, only usual names are one.
    """
    cells = [text.split("\t") for text in texts if text.strip()]
    widths = {len(row) for row in cells}
    if len(widths) != 1 or widths == {1}:
        return None
    named = names_columns(cells[:SAMPLE_ROWS], numbered=numbered_before) and len(set(cells[0])) == len(cells[0])
    return (cells[0] if named else numbered(len(cells[0]))), named


def split_at_tabs(rows: "Dataset", place: str) -> "Dataset":
    """Plain text with tabs as rows of several columns, without blank lines; all other rows unchanged.

    Args:
        rows: rows of plain text have the single column "text".
        place: the file, for the message.
    """
    if rows.column_names != ["text"]:
        return rows
    import pyarrow as pa
    from datasets import Dataset
    from datasets.fingerprint import generate_random_fingerprint

    texts = rows.data.column("text").to_pylist()
    found = tabbed_columns(texts) if isinstance(texts[0], str) and "\t" in texts[0] + "".join(texts[1:2]) else None
    if not found:
        return rows
    columns, named = found
    cells = [text.split("\t") for text in texts if text.strip()][named:]
    if not cells:
        return rows
    _report(place, columns, named)
    table = {
        name: pa.array(column, pa.string()) for name, column in zip(columns, zip(*cells, strict=True), strict=True)
    }
    return Dataset(pa.table(table), fingerprint=generate_random_fingerprint())


def split_stream_at_tabs(
    rows: Iterator[Row], sample: list[Row], place: str, numbered_before: bool = False
) -> tuple[Iterator[Row], list[Row]]:
    """`split_at_tabs` for streamed rows, judged by a sample; blank lines are kept as empty cells.

    Returns:
        The rows and their sample.

    Raises:
        InputError: during iteration, if a row differs from the sample in its number of tabs.
    """
    texts = [row["text"] for row in sample if list(row) == ["text"] and isinstance(row["text"], str)]
    found = tabbed_columns(texts, numbered_before) if len(texts) == len(sample) else None
    if not found:
        return rows, sample
    columns, named = found
    _report(place, columns, named)

    def split(line: int, row: Row) -> Row:
        cells = row["text"].split("\t") if row["text"].strip() else [""] * len(columns)
        if len(cells) != len(columns):
            detail = f"{len(cells)} field{'s' * (len(cells) != 1)}, previous lines have {len(columns)}"
            raise InputError(f"{place}:{line}: found {detail}; a cell may not contain a tab")
        return dict(zip(columns, cells, strict=True))

    counted = enumerate(islice(rows, int(named), None), start=1 + named)
    return starmap(split, counted), [split(line, row) for line, row in enumerate(sample[named:], start=1 + named)]


def _report(place: str, columns: Sequence[str], named: bool) -> None:
    called = "named by the first line" if named else "numbered from 1"
    logger.warning("%s: plain text with tabs is read as columns, %s: %s", place, called, ", ".join(columns))
