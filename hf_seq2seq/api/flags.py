"""Flags given from Python: rows may replace files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_seq2seq.data.given_rows import is_rows, name_of_given
from hf_seq2seq.sections import canonical_names


def divided(flags: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows by the names that refer to them, and the flags with these names instead of the rows."""
    rows: dict[str, Any] = {}

    def named(value: Any, name: str) -> Any:
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


def canonical_values(config_class: type, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Flags by the names of their options, for which they may have others."""
    names = canonical_names(config_class)
    return {names.get(name, name): value for name, value in flags.items()}
