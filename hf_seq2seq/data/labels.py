"""Labelled texts: validated cells, with class names in a stable order."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from datasets import ClassLabel, Dataset

from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.cells import are_codes, column_cells, missing_label, row_sample, texts, without_empty
from hf_seq2seq.data.columns.finding import named_column
from hf_seq2seq.data.columns.labels import find_label_columns
from hf_seq2seq.data.files.tables import kind
from hf_seq2seq.data.label_lists import (
    hot_places,
    hot_width,
    is_hot,
    is_written_list,
    one_spelling,
    plain_label,
    read_written_list,
    separator,
)
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.data.rows import cell_place, shown
from hf_seq2seq.data.sources import chosen_rows, row_number
from hf_seq2seq.data.splits import Splits
from hf_seq2seq.errors import InputError, nearest

logger = logging.getLogger(__name__)

NOT_LABELLED = -1


def read_labelled(
    splits: Splits,
    data: LabelledData,
    problem: str,
    names: tuple[str, ...] = (),
    order: tuple[str, ...] = (),
) -> tuple[dict[str, Labelled], tuple[str, ...]]:
    """Finds the columns, in the training rows if there are any, and reads the labelled texts of every split.

    Args:
        splits: the rows of each split.
        data: the options that name columns, and where the rows come from.
        problem: "single_label", "multi_label" or "regression". Several labels are a list, text with commas, bars or
            semicolons between them, or zeros and ones, one per class.
        names: the classes by id if fixed by a trained model; otherwise they come from the training rows.
        order: classes in an order to keep if those of the rows are the same, ignoring case.

    Returns:
        The labelled texts of each split, and the names of the classes by their ids (none for regression). A
        `ClassLabel` column keeps its names and their order; other labels are sorted, integers numerically. Rows with
        the id -1, which such columns use for "no label", are dropped.

    Raises:
        InputError: columns cannot be found; a text is null, not text, or empty; a label is invalid or not in the
            training rows; there is only one class.
    """
    if not splits:
        return {}, ()
    columns = _find_columns(splits, data)
    if data.skip_empty:
        splits = splits.each(lambda rows, place: without_empty(rows, _texts_of(columns), place, columns["label"]))
    cells = {
        split: cells
        for split, rows in splits.items()
        if len((cells := _LabelCells.read(rows, columns["label"], splits.place(split))).rows)
    }
    first = splits.first
    if first not in cells:
        raise InputError(f"{splits.place(first)}: no row has a label")
    if problem == "regression":
        return {split: _labelled(c, columns, _numbers(c)) for split, c in cells.items()}, ()
    if problem == "multi_label":
        cells, names = _with_lists(cells, cells[first], names, order)
    found = {split: _class_names(c, problem == "multi_label") for split, c in cells.items()}
    names = names or in_order(_ordered_names(cells[first], found[first], problem), order)
    encode = _encode_one if problem == "single_label" else _encode_several
    return {split: _labelled(c, columns, encode(c, found[split], names)) for split, c in cells.items()}, names


@dataclass(frozen=True)
class _LabelCells:
    """The label column of one split."""

    rows: Dataset
    column: str
    place: str
    cells: list[Any]
    declared: tuple[str, ...]

    @classmethod
    def read(cls, rows: Dataset, column: str, place: str) -> "_LabelCells":
        """Reads the column, dropping rows that a `ClassLabel` column marks as unlabelled."""
        feature = rows.features.get(column)
        feature = getattr(feature, "feature", feature)
        declared = tuple(feature.names) if isinstance(feature, ClassLabel) else ()
        cells = column_cells(rows, column).to_pylist()
        if declared and NOT_LABELLED in cells:
            kept = [index for index, cell in enumerate(cells) if cell != NOT_LABELLED]
            logger.warning("%s: rows without a label (-1) are skipped: %d", place, len(cells) - len(kept))
            rows, cells = chosen_rows(rows, np.array(kept, dtype=np.int64)), [cells[index] for index in kept]
        return cls(rows, column, place, cells, declared)

    @cached_property
    def codes(self) -> bool:
        """Whether the labels are codes of languages or the like."""
        return not any(isinstance(cell, list | dict) for cell in self.cells) and are_codes(self.cells)

    def refuse(self, index: int, problem: str) -> NoReturn:
        """Raises an error about a cell, naming its place."""
        raise InputError(f"{cell_place(self.place, row_number(self.rows, index), self.column)}: {problem}")


def _texts_of(columns: Mapping[str, str]) -> list[str]:
    return [column for role, column in columns.items() if role != "label"]


def _with_lists(
    cells: Mapping[str, _LabelCells], first: _LabelCells, names: tuple[str, ...], order: tuple[str, ...]
) -> tuple[dict[str, _LabelCells], tuple[str, ...]]:
    """The cells as lists of labels, and the classes if determined by zeros and ones: a checkpoint's, or numbers."""
    sign = separator(first.cells)
    if sign not in ", ":
        logger.warning("%s: column %r: labels are assumed to be separated by %r", first.place, first.column, sign)
    lists = {split: replace(c, cells=_lists_of(c, sign)) for split, c in cells.items()}
    if not names and all(isinstance(cell, list) and len(cell) < 2 for cell in _lists_of(first, sign)):
        detail = "no row has several labels; separate them by commas, bars or semicolons"
        logger.warning("%s: column %r: %s", first.place, first.column, detail)
    width = 0 if first.declared else hot_width(_lists_of(first, sign))
    if not width or (names and len(names) != width):
        return lists, names
    names = names or (order if len(order) == width else tuple(map(str, range(width))))
    hot = {
        split: replace(c, cells=[_hot_names(c, i, cell, names) for i, cell in enumerate(c.cells)])
        for split, c in lists.items()
    }
    return hot, names


def _lists_of(cells: _LabelCells, sign: str) -> list[Any]:
    return [_as_list(cells, index, cell, sign) for index, cell in enumerate(cells.cells)]


def _as_list(cells: _LabelCells, index: int, cell: Any, sign: str) -> Any:
    if not isinstance(cell, str):
        return cell
    if not is_written_list(cell):
        return [part.strip() for part in cell.split(sign) if part.strip()]
    items = read_written_list(cell)
    return cells.refuse(index, f"{shown(cell)} is not a list of labels") if items is None else items


def _hot_names(cells: _LabelCells, index: int, cell: Any, names: tuple[str, ...]) -> list[str]:
    if not is_hot(cell) or len(cell) != len(names):
        cells.refuse(index, f"{shown(cell)} instead of {len(names)} zeros and ones, as in the first rows")
    return [names[place] for place in hot_places(cell)]


def _find_columns(splits: Splits, data: LabelledData) -> dict[str, str]:
    """The columns by role, after checking that every split has them."""
    first = splits.first
    sample = row_sample(splits[first])
    found = find_label_columns(splits[first].column_names, sample, data, splits.place(first))
    columns = {role: name for role, name in zip(("text", "text_pair", "label"), found, strict=True) if name}
    for split, rows in splits.items():
        sample = row_sample(rows)
        for role, name in columns.items():
            named_column(rows.column_names, sample, f"{role}_column", name, splits.place(split))
    return columns


def _labelled(cells: _LabelCells, columns: dict[str, str], labels: np.ndarray) -> Labelled:
    second = columns.get("text_pair")
    pairs = texts(cells.rows, second, cells.place) if second else None
    return Labelled(texts(cells.rows, columns["text"], cells.place), pairs, labels, columns, cells.rows)


def _numbers(cells: _LabelCells) -> np.ndarray:
    """The labels of a regression, `(rows,)` float32."""
    numbers = np.empty(len(cells.cells), dtype=np.float32)
    for index, value in enumerate(cells.cells):
        try:
            numbers[index] = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            numbers[index] = math.nan
        if not math.isfinite(numbers[index]):
            detail = "no number" if missing_label(value) else f"{kind(value)} {shown(value)} is not a number"
            cells.refuse(index, f"{detail}; regression needs one in every row")
    return numbers


def _class_names(cells: _LabelCells, several: bool) -> list[list[str]]:
    """The names of the labels of every row."""
    known: dict[Any, list[str]] = {}
    names = []
    for index, value in enumerate(cells.cells):
        key = (type(value), repr(value) if isinstance(value, list | dict) else value)
        if key not in known:
            known[key] = _names_of_cell(cells, index, value, several)
        names.append(known[key])
    return names


def _names_of_cell(cells: _LabelCells, index: int, value: Any, several: bool) -> list[str]:
    if several and isinstance(value, list):
        return [_name(cells, index, part) for part in value]
    return [_name(cells, index, value)]


def _name(cells: _LabelCells, index: int, value: Any) -> str:
    """The name of one label; floats that are integers, which result from missing cells, become integers again."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool):
        return str(value).lower()
    if cells.declared and isinstance(value, int) and not 0 <= value < len(cells.declared):
        cells.refuse(index, f"label {value} is none of the {len(cells.declared)} classes of the column")
    if cells.declared and isinstance(value, int):
        return cells.declared[value]
    is_list = isinstance(value, list) or (isinstance(value, str) and is_written_list(value, quoted=True))
    missing = isinstance(value, str) and missing_label(value, cells.codes)
    if isinstance(value, str | int) and not missing and not is_list:
        return str(value).strip()
    told_kind = "list" if is_list else kind(value)
    hints = {"number": "; numbers need --problem-type regression", "list": "; lists need --problem-type multi_label"}
    detail = "no label" if missing_label(value) else f"{told_kind} {shown(value)} is not a label"
    return cells.refuse(index, detail + hints.get(told_kind, "; fill it in, or give --skip-empty"))


def _ordered_names(cells: _LabelCells, rows: Sequence[list[str]], problem: str) -> tuple[str, ...]:
    """The classes by their ids."""
    seen = {name for names in rows for name in names}
    if len(seen) < (2 if problem == "single_label" else 1):
        only = f"all labels are {next(iter(seen))!r}" if seen else "there is no label"
        raise InputError(f"{cells.place}: column {cells.column!r}: {only}; a classifier needs at least two classes")
    if cells.declared:
        return cells.declared
    seen = set(one_spelling(seen).values())
    numbers = all(re.fullmatch(r"[+-]?\d+", name) for name in seen)
    return tuple(sorted(seen, key=lambda name: (int(name) if numbers else 0, name)))


def _ids(names: tuple[str, ...]) -> dict[str, int]:
    """The ids of the classes, by name and by other spellings."""
    return {plain_label(name): index for index, name in enumerate(names)} | {name: i for i, name in enumerate(names)}


def in_order(names: tuple[str, ...], order: Sequence[str]) -> tuple[str, ...]:
    """The names in the order of the same other names, ignoring case; unchanged if names differ."""
    places = {name.casefold(): place for place, name in enumerate(order)}
    if len(names) != len(order) or {name.casefold() for name in names} != set(places):
        return names
    return tuple(sorted(names, key=lambda name: places[name.casefold()]))


def _encode_one(cells: _LabelCells, rows: Sequence[list[str]], names: tuple[str, ...]) -> np.ndarray:
    """Class ids, `(rows,)` int64."""
    ids = _ids(names)
    return np.array([_class_id(cells, row, name, ids) for row, (name,) in enumerate(rows)], dtype=np.int64)


def _encode_several(cells: _LabelCells, rows: Sequence[list[str]], names: tuple[str, ...]) -> np.ndarray:
    """Zeros and ones, `(rows, classes)` float32."""
    ids = _ids(names)
    labels = np.zeros((len(rows), len(names)), dtype=np.float32)
    for row, labels_of_row in enumerate(rows):
        labels[row, [_class_id(cells, row, name, ids) for name in labels_of_row]] = 1
    return labels


def _class_id(cells: _LabelCells, row: int, name: str, ids: Mapping[str, int]) -> int:
    found = ids.get(name, ids.get(plain_label(name)))
    if found is not None:
        return found
    hint = nearest(name, ids)
    choices = hint if len(hint) < 100 else ""
    return cells.refuse(row, f"label {name!r} was not seen in training{choices}")
