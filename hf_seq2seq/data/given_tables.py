"""Rows passed from Python code, as a table; `given_rows` stores them."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from datasets import Dataset, IterableDataset

from hf_seq2seq.data.files.tables import Table, object_table
from hf_seq2seq.errors import InputError, shorten


def table_of(rows: Any, place: str) -> Table | Dataset:
    """The rows as a table, or as the given data set.

    Args:
        rows: dicts, a pandas frame, an Arrow table, or a data set of the `datasets` library.
        place: their name in messages.

    Raises:
        InputError: an item is not a dict, the name of a column is not text, or cells cannot be stored.
    """
    if isinstance(rows, Dataset):
        return rows
    if isinstance(rows, IterableDataset):
        return Dataset.from_list(list(rows), features=rows.features)
    if isinstance(rows, pa.Table):
        return Table(rows)
    if hasattr(rows, "iloc"):
        return _of_frame(rows, place)
    return object_table(((number, _checked(row, number, place)) for number, row in enumerate(rows, start=1)), "item")


def _of_frame(frame: Any, place: str) -> Table:
    strange = next((name for name in frame.columns if not isinstance(name, str)), None)
    if strange is not None:
        raise InputError(f"{place}: the name of column {strange!r} is not text")
    try:
        return Table(pa.Table.from_pandas(frame, preserve_index=False))
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{place}: {str(error).splitlines()[0]}") from None


def _checked(row: Any, number: int, place: str) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        hint = "such as {'source': 'a text', 'target': 'another'}"
        raise InputError(f"{place}: item {number}: {shorten(repr(row))} is not a dict of columns, {hint}")
    strange = next((name for name in row if not isinstance(name, str)), None)
    if strange is not None:
        raise InputError(f"{place}: item {number}: the name of column {strange!r} is not text")
    return dict(row)
