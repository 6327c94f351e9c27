"""Rows passed from Python code instead of a file: lists of dicts, pandas frames, Arrow tables, `datasets` objects.

Options are file names. So the rows are stored here during a call, and the option has a name that refers to them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hf_seq2seq.errors import InputError

PREFIX = "memory:"
_ROWS: ContextVar[Mapping[str, Any]] = ContextVar("given_rows")


@contextmanager
def given(rows: Mapping[str, Any]) -> Iterator[None]:
    """Context manager that stores rows under the names created by `name_of_given`."""
    token = _ROWS.set({**_ROWS.get({}), **rows})
    try:
        yield
    finally:
        _ROWS.reset(token)


def name_of_given(option: str) -> str:
    """The value of an option, such as `train_file`, that refers to rows."""
    return PREFIX + option


def is_given(value: Any) -> bool:
    """Whether the value of an option refers to rows."""
    return isinstance(value, str) and PREFIX in value


def find_given(value: str) -> Any:
    """The rows that a value refers to; None if it names a file.

    Raises:
        InputError: they were given to a call that has ended.
    """
    if not value.startswith(PREFIX):
        return None
    try:
        return _ROWS.get({})[value]
    except KeyError:
        name = value.removeprefix(PREFIX)
        raise InputError(f"{value}: the rows were given by a Python program as {name}; give them again") from None


def describe_given(value: str) -> str:
    """The number of rows that a value refers to, and their columns."""
    found = []
    for part in value.split(","):
        rows: Any = _ROWS.get({}).get(part.rpartition("=")[2])
        names = [str(name) for name in columns_of(rows)]
        count = f"{len(rows):,} rows" if hasattr(rows, "__len__") else "rows"
        found.append(f"{count} with the columns {', '.join(names)}" if names else f"{count} given from Python")
    return "; ".join(found)


def columns_of(rows: Any) -> list[Any]:
    """The names of the columns, as far as known without reading."""
    if isinstance(rows, list | tuple):
        return list(dict.fromkeys(name for row in rows[:100] if isinstance(row, Mapping) for name in row))
    if isinstance(rows, Mapping):  # a DatasetDict
        return columns_of(next(iter(rows.values()), None))
    names = getattr(rows, "column_names", None)
    return list(getattr(rows, "columns", ()) if names is None else names)


def is_rows(value: Any) -> bool:
    """Whether an object contains rows rather than naming files."""
    if isinstance(value, list | tuple):
        # Tuples in place of dicts are refused as rows, as is an empty list.
        return all(isinstance(row, Mapping | list | tuple) for row in value)
    names = any(hasattr(value, name) for name in ("column_names", "iloc"))
    return names and not isinstance(value, str)
