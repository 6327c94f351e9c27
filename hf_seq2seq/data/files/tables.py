"""Conversion of rows to Arrow tables, column by column, without keeping Python objects.

Each Arrow column has one type, so a column with both texts and numbers cannot be stored: it is dropped and recorded as
a `Misfit`, and the caller decides whether the column was needed.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa

# Arrow's own pools keep freed memory; a table of millions of texts should be released once the texts are read.
pa.set_memory_pool(pa.system_memory_pool())

T = TypeVar("T")
ROWS_AT_A_TIME = 10_000
# Raised by `pa.array` for values of several kinds, for integers beyond 64 bits and for lone surrogates.
UNSTORABLE = (pa.ArrowException, OverflowError, UnicodeEncodeError)


@dataclass(frozen=True)
class Misfit:
    """Why a column was dropped.

    Attributes:
        row: number of the line or item whose cell does not fit.
        value: the value of that cell.
        among: the kind of the previous cells, such as "text".
    """

    row: int
    value: Any
    among: str


@dataclass(frozen=True)
class Table:
    """An Arrow table and the columns that could not be stored.

    Attributes:
        arrow: the rows.
        misfits: by column name.
        unit: what a misfit's row number counts: "line" or "item".
    """

    arrow: pa.Table
    misfits: dict[str, Misfit] = field(default_factory=dict)
    unit: str = "line"


def kind(value: Any) -> str:
    """The kind of a cell in JSON's terms: text, number, true or false, list, object or null."""
    names = {bool: "true or false", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def batched(rows: Iterable[T], size: int = ROWS_AT_A_TIME) -> Iterator[list[T]]:
    """Splits rows into lists of a size that fits in memory; the last one may be shorter."""
    iterator = iter(rows)
    while block := list(islice(iterator, size)):
        yield block


def text_table(names: list[str], rows: Iterable[Iterable[str]]) -> pa.Table:
    """A table of text cells; every row has a cell for every name."""
    return pa.Table.from_batches(list(text_batches(names, rows)), schema=_text_schema(names))


def text_batches(names: list[str], rows: Iterable[Iterable[str]]) -> Iterator[pa.RecordBatch]:
    """The batches of such a table, one at a time."""
    for block in batched(rows):
        columns = [pa.array(cells, pa.string()) for cells in zip(*block, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=_text_schema(names))


def _text_schema(names: list[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


class _Column:
    """One column while being read: its chunks so far and their common type."""

    def __init__(self, rows_before: int) -> None:
        self.chunks = [pa.nulls(rows_before)]
        self.type = pa.null()
        self.misfit: Misfit | None = None

    def append(self, numbers: list[int], cells: list[Any]) -> None:
        """Stores a block of cells, or records which one does not fit the previous ones; NaN is a missing cell."""
        if self.misfit:
            return
        cells = [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]
        try:
            chunk = pa.array(cells)
            self.type = _common_type(self.type, chunk.type)
            self.chunks.append(chunk)
        except UNSTORABLE:
            self.misfit = self._find_misfit([(n, c) for n, c in zip(numbers, cells, strict=True) if c is not None])

    def _find_misfit(self, cells: list[tuple[int, Any]]) -> Misfit:
        fitting, failing = 0, len(cells)
        while failing - fitting > 1:
            middle = (fitting + failing) // 2
            try:
                _common_type(self.type, pa.array([cell for _, cell in cells[:middle]]).type)
                fitting = middle
            except UNSTORABLE:
                failing = middle
        return Misfit(*cells[fitting], among=kind(cells[0][1]) if fitting else _kind_of_type(self.type))

    def joined(self) -> pa.ChunkedArray:
        """All chunks, in one type."""
        tables = [pa.table({"cell": chunk}) for chunk in self.chunks]
        return pa.concat_tables(tables, promote_options="permissive").column("cell")


def object_table(rows: Iterable[tuple[int, dict[str, Any]]], unit: str) -> Table:
    """A table of numbered objects: the columns are all keys, in order of first occurrence; missing keys are null."""
    columns: dict[str, _Column] = {}
    total = 0
    for block in batched(rows):
        numbers = [number for number, _ in block]
        for name in dict.fromkeys(name for _, row in block for name in row):
            columns.setdefault(name, _Column(total))
        for name, column in columns.items():
            column.append(numbers, [row.get(name) for _, row in block])
        total += len(block)
    stored = {name: column.joined() for name, column in columns.items() if not column.misfit}
    misfits = {name: column.misfit for name, column in columns.items() if column.misfit}
    return Table(pa.table(stored), misfits, unit)


def _common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """The common type of both: null yields, integers become floats, objects merge their keys."""
    schemas = [pa.schema([("cell", first)]), pa.schema([("cell", second)])]
    return pa.unify_schemas(schemas, promote_options="permissive").field("cell").type


def _kind_of_type(arrow_type: pa.DataType) -> str:
    if pa.types.is_boolean(arrow_type):
        return "true or false"
    if pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type):
        return "number"
    names = {pa.lib.Type_STRING: "text", pa.lib.Type_LIST: "list", pa.lib.Type_STRUCT: "object"}
    return names.get(arrow_type.id, "null")
