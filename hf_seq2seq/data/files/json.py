"""Rows of JSON files: one object per line (`.jsonl`), or one document (`.json`)."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from hf_seq2seq.data.files.text_files import Opened, lines
from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.strict_json import repeated_key

Row = tuple[int, dict[str, Any]]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose keys must differ."""
    if (repeated := repeated_key(pairs)) is not None:
        raise ValueError(f"{shorten(json.dumps(repeated, ensure_ascii=False))} is twice in one object")
    return dict(pairs)


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def json_line_rows(file: Opened, encoding: str) -> Iterator[Row]:
    """Reads JSON lines one by one; blank lines are skipped.

    Returns:
        The number of each line and its object.

    Raises:
        InputError: a line is invalid JSON or not an object.
    """
    return parse_lines(file.place, file.lines(encoding))


def parse_lines(place: str, stream: Iterable[str]) -> Iterator[Row]:
    """Reads JSON lines from an open stream; `place` names it in errors."""
    for number, line in enumerate(lines(stream), 1):
        if not line or line.isspace():
            continue
        try:
            row = _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise InputError(_broken(f"{place}:{number}:{{column}}", error)) from error
        if not isinstance(row, dict):
            hint = "; a list of objects needs a name that ends in .json" if isinstance(row, list) else ""
            raise InputError(f"{place}:{number}: {json.dumps(row)[:60]} is not a JSON object with columns{hint}")
        yield number, row


def json_document_rows(file: Opened, encoding: str) -> Iterator[Row]:
    """Reads a JSON file: a list of objects, `{"data": [objects]}`, columns as lists, one object, or JSON lines.

    Yields:
        The number of the item, counted from 1 (for JSON lines, of the line), and its object.

    Raises:
        InputError: the JSON is invalid, or an item is not an object.
    """
    path, text = file.place, file.text(encoding)
    if not text.strip():
        return
    try:
        document, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip()))
        rest = text[end:].lstrip()
    except (ValueError, RecursionError) as error:
        raise InputError(_broken(f"{path}:{{line}}:{{column}}", error)) from error
    if rest and isinstance(document, dict):
        yield from parse_lines(path, text.split("\n"))
        return
    if rest:
        line, column = _position(text, len(text) - len(rest))
        raise InputError(f"{path}:{line}:{column}: broken JSON: text after the end of the document")
    for number, item in enumerate(_items(document, path), 1):
        if not isinstance(item, dict):
            raise InputError(f"{path}: item {number}, {json.dumps(item)[:60]}, is not a JSON object with columns")
        yield number, item


def _items(document: Any, place: str) -> list[Any]:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return [document]
    if isinstance(document.get("data"), list):
        return document["data"]
    columns = list(document.values())
    if columns and all(isinstance(c, list) and len(c) == len(columns[0]) for c in columns):
        return [dict(zip(document, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if columns and all(isinstance(column, list) for column in columns):
        lengths = ", ".join(f"{name!r} {len(column)}" for name, column in document.items())
        raise InputError(f"{place}: columns of different lengths: {lengths}")
    return [document]


def _position(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _broken(place: str, error: Exception) -> str:
    """The message for text that does not parse; `place` has the placeholders `{line}` and `{column}`."""
    if isinstance(error, json.JSONDecodeError):
        return (
            place.replace("{line}", str(error.lineno)).replace("{column}", str(error.colno))
            + f": broken JSON: {error.msg}"
        )
    return place.replace(":{line}", "").replace(":{column}", "") + f": broken JSON: {error}"
