"""Validated cells of a column: anything but text is rejected with its row and a fix."""

import logging
import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from hf_seq2seq.data.files.tables import kind
from hf_seq2seq.data.mapped.texts import LARGE, ArrowTexts
from hf_seq2seq.data.rows import cell_place, shown
from hf_seq2seq.data.sources import chosen_rows, row_number
from hf_seq2seq.data.tokenizers.unicode_text import BLANKS, is_blank
from hf_seq2seq.errors import InputError

logger = logging.getLogger(__name__)

SAMPLE_ROWS = 100
SAMPLE_CELLS = 100_000
"""Cells of a sample: of wide rows it has fewer."""
NANS = ("nan", "NaN")
SEVERAL_WORDS = r"\S\s+\S"
"""Found in a text of more than one word."""
HINTS = {
    "null": "fill it in, or give --skip-empty",
    "number": "write it as text, in quotation marks",
    "true or false": "write it as text, in quotation marks",
    "list": "join its parts into one text",
    "object": "name the intended part, as in 'column.part'",
}


def row_sample(rows: Dataset) -> list[dict[str, Any]]:
    """The first rows, to inspect their cells."""
    count = min(SAMPLE_ROWS, max(1, SAMPLE_CELLS // max(1, len(rows.column_names))))
    # Directly from Arrow: `datasets` copies its description of every column for a selection.
    first = rows.data.slice(0, count)
    if rows._indices is not None:
        chosen = rows._indices.column(0).slice(0, count)
        # Rows are taken from few, because Arrow first joins all chunks that it takes them from.
        first = rows.data.table.slice(0, (pc.max(chosen).as_py() or 0) + 1).take(chosen)
    return first.to_pylist()


def column_cells(rows: Dataset, column: str) -> pa.ChunkedArray:
    """The cells of a column, `(rows,)`, NaN as null; a dotted name reaches into objects."""
    outer, keys = _nested(rows, column)
    # Directly from Arrow: `datasets` reads selected rows one by one, ten times slower.
    cells = rows.data.column(outer)
    if rows._indices is not None:
        cells = cells.take(rows._indices.column(0))
    for key in keys:
        cells = pc.struct_field(cells, key)
    # A missing number is NaN in the files of some libraries.
    return pc.if_else(pc.is_nan(cells), None, cells) if pa.types.is_floating(cells.type) else cells


def _nested(rows: Dataset, column: str) -> tuple[str, list[str]]:
    """The column that a dotted name begins with, and the keys of the objects in it."""
    outer = column
    while outer and outer not in rows.column_names:
        outer = outer.rpartition(".")[0]
    return outer, column[len(outer) + 1 :].split(".") if column != outer else []


def is_text(arrow_type: pa.DataType) -> bool:
    """Whether cells of this type are strings."""
    return pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type)


def _are_lists(arrow_type: pa.DataType) -> bool:
    """Whether cells of this type are lists of strings."""
    return (pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type)) and is_text(arrow_type.value_type)


def texts(rows: Dataset, column: str, place: str, may_be_empty: bool = False, may_be_lists: bool = False) -> list[str]:
    """The texts of a column.

    Args:
        rows: the split.
        column: one of its columns.
        place: the file or data set, for messages.
        may_be_empty: whether a text may be empty or blank.
        may_be_lists: whether cells may be lists of texts, such as sentences; they are joined by spaces, which is told.

    Raises:
        InputError: a cell is null, not text, or empty.
    """
    cells = column_cells(rows, column)
    if may_be_lists and _are_lists(cells.type):
        logger.warning("%s: column %r: lists of texts are joined by spaces", place, column)
        cells = pc.binary_join(cells, " ")
    if not is_text(cells.type):
        values = cells.to_pylist()
        # The first cell that is not null is more informative than a null.
        index = next((i for i, value in enumerate(values) if value is not None), 0)
        refuse(rows, index, column, values[index], place)
    if cells.null_count:
        refuse(rows, pc.index(cells.is_null(), True).as_py(), column, None, place)
    if not may_be_empty:
        refuse_empty(rows, column, cells, place)
    found: list[str] = cells.to_pylist()
    missing = written_nans(cells, column, place)
    if missing.any() and not may_be_empty:
        row, count = row_number(rows, int(missing.argmax())), int(missing.sum())
        others = f", the first of {count} such rows" if count > 1 else ""
        raise InputError(
            f"{cell_place(place, row, column)}: 'nan' stands for a missing text{others}; fill it in or remove the row "
            "(--skip-empty)"
        )
    return ["" if gone else text for text, gone in zip(found, missing, strict=True)] if missing.any() else found


def kept_texts(rows: Dataset, column: str) -> ArrowTexts | None:
    """The texts of a column without Python strings.

    None if rows are few, or a cell is null, not text, blank or `nan`, of which `texts` says more.
    """
    if len(rows) < LARGE:
        return None
    outer, keys = _nested(rows, column)
    chunks = rows.data.column(outer).chunks
    for key in keys:
        chunks = [pc.struct_field(chunk, key) for chunk in chunks]
    found = ArrowTexts(chunks, _chosen(rows))
    unwanted = pa.array(["", *NANS], pa.string())
    trimmed = partial(pc.utf8_trim, characters=BLANKS)
    for part in found.parts() if all(is_text(chunk.type) for chunk in chunks) else [pa.nulls(1)]:
        if part.null_count or pc.any(pc.is_in(trimmed(part.cast(pa.string())), unwanted)).as_py():
            return None
    return found


def _chosen(rows: Dataset) -> np.ndarray | None:
    """The numbers of the rows of a selection, the same array for every column; None for all."""
    if rows._indices is None:
        return None
    if not hasattr(rows, "_chosen"):
        numbers = np.concatenate([chunk.to_numpy() for chunk in rows._indices.column(0).chunks])
        rows._chosen = numbers.astype(np.int32 if len(rows.data) < 2**31 else np.int64)
    return rows._chosen


def written_nans(cells: pa.ChunkedArray, column: str, place: str) -> np.ndarray:
    """Texts that are nothing but `nan`, which is how pandas writes a missing cell, `(rows,)` bool.

    Among single words it may be one, so that there it is kept as text and told.
    """
    nans = pa.array(NANS, pa.large_string())
    written = [pc.is_in(pc.utf8_trim_whitespace(chunk.cast(nans.type)), nans) for chunk in cells.chunks]
    found: np.ndarray = pa.chunked_array(written, pa.bool_()).to_numpy()
    if not found.any():
        return found
    spaced = pc.sum(pc.match_substring_regex(cells.cast(nans.type), SEVERAL_WORDS)).as_py() or 0
    if 2 * spaced >= len(cells) - found.sum():
        return found
    logger.warning(
        "%s: column %r: %d cells are 'nan', which is taken as a word; empty them if they stand for missing texts",
        *(place, column, found.sum()),
    )
    return np.zeros(len(cells), dtype=bool)


def missing_label(value: Any, codes: bool = False) -> bool:
    """Whether a label is missing: null, blank, or `nan` unless the labels are codes, where it is Min Nan Chinese."""
    return value is None or (isinstance(value, str) and (is_blank(value) or (value.strip() in NANS and not codes)))


def are_codes(labels: Iterable[Any]) -> bool:
    """Whether all labels are at most three lowercase letters, as the codes of languages are."""
    return all(isinstance(label, str) and re.fullmatch("[a-z]{2,3}", label.strip()) for label in set(labels) - {None})


def refuse_empty(rows: Dataset, column: str, cells: pa.ChunkedArray, place: str) -> None:
    """Rejects empty or blank texts, naming the first and their number.

    Raises:
        InputError: there is one.
    """
    # Chunk by chunk: trimming all cells at once would take twice the column's memory in addition.
    blank = [pc.equal(pc.utf8_trim(chunk.cast(pa.large_string()), BLANKS), "") for chunk in cells.chunks]
    empty = pa.chunked_array(blank, pa.bool_())
    count = pc.sum(empty).as_py()
    if count:
        row = row_number(rows, pc.index(empty, True).as_py())
        others = f", the first of {count} such rows" if count > 1 else ""
        raise InputError(f"{cell_place(place, row, column)}: empty text{others}; fill it in, or give --skip-empty")


def without_empty(
    rows: Dataset,
    columns: Sequence[str | None],
    place: str,
    label: str | None = None,
    blank: np.ndarray | None = None,
) -> Dataset:
    """The rows with non-empty cells in all of the given columns, and in that of labels; reports how many are dropped.

    Args:
        rows: the rows.
        columns: their names; None is ignored.
        place: of the rows, in messages.
        label: the column of labels, if there is one.
        blank: rows that are empty for another reason, `(rows,)`.

    Raises:
        InputError: there is none.
    """
    kept = np.ones(len(rows), dtype=bool) if blank is None else ~blank
    for column in filter(None, columns):
        cells = column_cells(rows, column)
        kept &= ~np.array([_is_empty(value) for chunk in cells.chunks for value in chunk.to_pylist()], dtype=bool)
        if is_text(cells.type) and cells.null_count < len(cells):
            kept &= ~written_nans(pc.fill_null(cells, ""), str(column), place)
    if label is not None:
        found = column_cells(rows, label).to_pylist()
        codes = not any(isinstance(value, list) for value in found) and are_codes(found)
        kept &= ~np.array([_is_empty(value) or missing_label(value, codes) for value in found], dtype=bool)
    if kept.all():
        return rows
    if not kept.any():
        raise InputError(f"{place}: each of its {len(rows)} rows has an empty cell; none are left (--skip-empty)")
    logger.warning("%s: %d of %d rows have an empty cell and are skipped", place, int((~kept).sum()), len(rows))
    return chosen_rows(rows, np.flatnonzero(kept))


def _is_empty(value: Any) -> bool:
    """Whether a cell, or a part of a list, has no text."""
    if isinstance(value, list):
        return not value or any(map(_is_empty, value))
    return value is None or (isinstance(value, str) and is_blank(value))


def refuse(rows: Dataset, index: int, column: str, value: Any, place: str) -> NoReturn:
    """Rejects a cell that is not text.

    Raises:
        InputError: always.
    """
    hint = HINTS.get(kind(value), "convert it to text")
    detail = "null" if value is None else f"{kind(value)} {shown(value)} instead of text"
    raise InputError(f"{cell_place(place, row_number(rows, index), column)}: {detail}; {hint}")
