"""Columns of sources that are more than text: feature matrices, and features beside a text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_seq2seq.configs import PairData, PairsOrDialogue
from hf_seq2seq.data.annotated_text import Features
from hf_seq2seq.data.cells import column_cells, row_sample
from hf_seq2seq.data.columns.finding import named_column
from hf_seq2seq.data.features import featured, split_features
from hf_seq2seq.data.frames import Matrix, matrix_row
from hf_seq2seq.data.sources import row_number
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag


def read_frames(rows: Dataset, column: str, place: str, width: int | None = None) -> list[Matrix]:
    """The matrices of a column: lists of numbers, or the names of files that hold them.

    Args:
        rows: the split.
        column: one of its columns.
        place: the file or data set, for messages, and the folder in which files lie.
        width: numbers per frame of the training rows; None takes those of the first row.

    Raises:
        InputError: a cell or a file is not a matrix of finite numbers, or has another width; names the row.
    """
    found: list[Matrix] = []
    for index, cell in enumerate(_cells(rows, column)):
        where = f"{place}: row {row_number(rows, index)}, column {column!r}"
        matrix = matrix_row(cell, where, Path(place).parent)
        own = matrix.frames.shape[1]
        first = width if width is not None else found[0].frames.shape[1] if found else own
        if own != first:
            other = "training rows have" if width is not None else f"row {row_number(rows, 0)} has"
            raise InputError(f"{where}: {own} numbers per frame, but {other} {first}")
        found.append(matrix)
    return found


def _cells(rows: Dataset, column: str) -> Iterator[Any]:
    for chunk in column_cells(rows, column).chunks:
        for cell in chunk:
            yield cell.as_py()


def frames_of(data: PairData) -> str | None:
    """The column of feature matrices, if sources are such.

    Raises:
        InputError: an option makes texts of sources, too.
    """
    if not isinstance(data, PairsOrDialogue) or data.frames_column is None:
        return None
    texts = ("source_column", "context_column", "source_template", "feature_columns", "source_prefix")
    if given := [name for name in texts if getattr(data, name)]:
        raise InputError(f"--frames-column and {flag(given[0])}: a feature matrix has no text; leave one of them out")
    return data.frames_column


def features_of(data: PairData) -> tuple[str, ...]:
    """The columns of features beside texts."""
    return data.feature_columns if isinstance(data, PairsOrDialogue) else ()


def with_features_of(rows: Dataset, columns: Sequence[str], sources: Sequence[str], place: str) -> Sequence[str]:
    """Sources that know their features.

    Raises:
        InputError: there is no such column, or a cell has no features.
    """
    if not columns:
        return sources
    found: list[Features] = [{} for _ in sources]
    sample = row_sample(rows)
    for column in columns:
        named_column(rows.column_names, sample, "feature_columns", column, place)
        for index, cell in enumerate(_cells(rows, column)):
            where = f"{place}: row {row_number(rows, index)}, column {column!r}"
            found[index][column] = split_features(cell, where)
    return featured(sources, found)
