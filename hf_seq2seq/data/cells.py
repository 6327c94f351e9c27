"""Validated cells of a column: anything but text is rejected with its row and a fix."""

import logging
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from hf_seq2seq.data.files.tables import kind
from hf_seq2seq.data.rows import shown
from hf_seq2seq.data.sources import chosen_rows, row_number
from hf_seq2seq.errors import InputError

logger = logging.getLogger(__name__)

SAMPLE_ROWS = 100
HINTS = {
    "null": "fill it in or remove the row",
    "number": "write it as text, in quotation marks",
    "true or false": "write it as text, in quotation marks",
    "list": "join its parts into one text",
    "object": "name the intended part, as in 'column.part'",
}


def row_sample(rows: Dataset) -> list[dict[str, Any]]:
    """The first rows, to inspect their cells."""
    return rows.select(range(min(SAMPLE_ROWS, len(rows)))).with_format("arrow")[:].to_pylist()


def column_cells(rows: Dataset, column: str) -> pa.ChunkedArray:
    """The cells of a column, `(rows,)`; a dotted name reaches into objects."""
    outer = column
    while outer and outer not in rows.column_names:
        outer = outer.rpartition(".")[0]
    # Directly from Arrow: `datasets` reads selected rows one by one, ten times slower.
    cells = rows.data.column(outer)
    if rows._indices is not None:
        cells = cells.take(rows._indices.column(0))
    for key in column[len(outer) + 1 :].split(".") if column != outer else ():
        cells = pc.struct_field(cells, key)
    return cells


def is_text(arrow_type: pa.DataType) -> bool:
    """Whether cells of this type are strings."""
    return pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type)


def texts(rows: Dataset, column: str, place: str, may_be_empty: bool = False) -> list[str]:
    """The texts of a column.

    Args:
        rows: the split.
        column: one of its columns.
        place: the file or data set, for messages.
        may_be_empty: whether a text may be empty or blank.

    Raises:
        InputError: a cell is null, not text, or empty.
    """
    cells = column_cells(rows, column)
    if not is_text(cells.type):
        found = cells.to_pylist()
        # The first cell that is not null is more informative than a null.
        index = next((i for i, value in enumerate(found) if value is not None), 0)
        refuse(rows, index, column, found[index], place)
    if cells.null_count:
        refuse(rows, pc.index(cells.is_null(), True).as_py(), column, None, place)
    if not may_be_empty:
        refuse_empty(rows, column, cells, place)
    return cells.to_pylist()


def refuse_empty(rows: Dataset, column: str, cells: pa.ChunkedArray, place: str) -> None:
    """Rejects empty or blank texts, naming the first and their number.

    Raises:
        InputError: there is one.
    """
    # Chunk by chunk: trimming all cells at once would take twice the column's memory in addition.
    blank = [pc.equal(pc.utf8_trim_whitespace(chunk.cast(pa.large_string())), "") for chunk in cells.chunks]
    empty = pa.chunked_array(blank, pa.bool_())
    count = pc.sum(empty).as_py()
    if count:
        row = row_number(rows, pc.index(empty, True).as_py())
        others = f", the first of {count} such rows" if count > 1 else ""
        raise InputError(f"{place}: row {row}, column {column!r}: empty text{others}; fill it in or remove the row")


def without_empty(rows: Dataset, columns: Sequence[str | None], place: str) -> Dataset:
    """The rows with non-empty cells in all of the given columns; reports how many are dropped.

    Raises:
        InputError: there is none.
    """
    kept = np.ones(len(rows), dtype=bool)
    for column in filter(None, columns):
        cells = column_cells(rows, column)
        kept &= ~np.array([_is_empty(value) for chunk in cells.chunks for value in chunk.to_pylist()], dtype=bool)
    if kept.all():
        return rows
    if not kept.any():
        raise InputError(f"{place}: each of its {len(rows)} rows has an empty cell; none are left (--skip-empty)")
    logger.warning("%s: %d of %d rows have an empty cell and are skipped", place, int((~kept).sum()), len(rows))
    return chosen_rows(rows, np.flatnonzero(kept))


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def refuse(rows: Dataset, index: int, column: str, value: Any, place: str) -> NoReturn:
    """Rejects a cell that is not text.

    Raises:
        InputError: always.
    """
    hint = HINTS.get(kind(value), "convert it to text")
    detail = "null" if value is None else f"{kind(value)} {shown(value)} instead of text"
    raise InputError(f"{place}: row {row_number(rows, index)}, column {column!r}: {detail}; {hint}")
