"""Flags given from Python: rows may replace files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_seq2seq.data.given_rows import is_rows, name_of_given
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import canonical_names, flag


def divided(flags: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows by the names that refer to them, and the flags with these names instead of the rows."""
    rows: dict[str, Any] = {}

    def named(value: Any, name: str) -> Any:
        if name.endswith("_file") and _are_columns(value):
            value = _rows_of(value, name)
        if is_rows(value) and (not isinstance(value, list | tuple) or value or name.endswith("_file")):
            rows[name_of_given(name)] = value
            return name_of_given(name)
        if isinstance(value, Mapping):
            return {key: named(item, f"{name}.{key}") for key, item in value.items()}
        return str(value) if isinstance(value, Path) else value

    values = {}
    for name, value in flags.items():
        if name == "dataset_name" and isinstance(value, Mapping):
            rows[name_of_given(name)] = value
            value = name_of_given(name)
        values[name] = named(value, name)
    return rows, values


def _are_columns(value: Any) -> bool:
    """Whether a dict has lists of cells, as `{"source": ["a"], "target": ["b"]}`, and not sets of rows."""
    return isinstance(value, Mapping) and len(value) > 0 and all(map(_are_cells, value.values()))


def _are_cells(column: Any) -> bool:
    return isinstance(column, list) and len(column) > 0 and not is_rows(column)


def _rows_of(columns: Mapping[str, list[Any]], name: str) -> list[dict[str, Any]]:
    counts = {column: len(cells) for column, cells in columns.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{column!r} has {count:,}" for column, count in counts.items())
        raise InputError(f"{flag(name)}: columns need as many cells as each other: {told}")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def canonical_values(config_class: type, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Flags by the names of their options, for which they may have others."""
    names = canonical_names(config_class)
    return {names.get(name, name): value for name, value in flags.items()}
