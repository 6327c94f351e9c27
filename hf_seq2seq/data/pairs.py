"""Validated pairs of source and target text."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cells import column_cells, kept_texts, refuse, row_sample, texts, without_empty
from hf_seq2seq.data.columns.finding import cell, named_column, reference_columns, text_columns
from hf_seq2seq.data.columns.pairs import find_pair_columns, find_source_column
from hf_seq2seq.data.columns.templates import about, fill, template_columns, usual_template
from hf_seq2seq.data.evaluation_sets import kind_of
from hf_seq2seq.data.frames import Matrix
from hf_seq2seq.data.mapped.texts import OneReference, first_references
from hf_seq2seq.data.preferences import (
    Preferences,
    columns_beside,
    preference_columns,
    read_preferences,
    target_without_preferences,
)
from hf_seq2seq.data.row_languages import in_languages, language_columns, other_columns, read_languages
from hf_seq2seq.data.rows import cell_place
from hf_seq2seq.data.source_columns import features_of, frames_of, read_frames, with_features_of
from hf_seq2seq.data.sources import chosen_rows, row_number
from hf_seq2seq.data.splits import Splits
from hf_seq2seq.data.text_kinds import Side, look_at
from hf_seq2seq.data.tokenizers.unicode_text import is_blank
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairs:
    """The pairs of one split.

    Attributes:
        sources: one text per row, without a prefix.
        references: the acceptable targets of every row, at least one; empty if no targets were requested.
        columns: the columns of source and target; a source composed of two columns is named by both.
        table: the rows with all their columns; None for rows of several tables.
        preferences: the better and the worse output of every row; None if the rows have none.
    """

    sources: Sequence[str]
    references: Sequence[list[str]]
    columns: tuple[str, str]
    table: Dataset | None = field(default=None, compare=False, repr=False)
    preferences: Preferences | None = None

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def targets(self) -> Sequence[str]:
        """The first reference of every row, used for training."""
        return first_references(self.references)

    @cached_property
    def sides(self) -> tuple[Side, Side]:
        """What sources and targets look like; feature matrices count as what they are read as."""
        read = self.targets if self.sources and isinstance(self.sources[0], Matrix) else self.sources
        return look_at(read), look_at(self.targets)


def read_pairs(splits: Splits, data: PairData, need_target: bool = True) -> dict[str, Pairs]:
    """Finds the columns, in the training rows if there are any, and reads the pairs of every split.

    Args:
        splits: the rows of each split.
        data: the options that name columns, and where the rows come from.
        need_target: False reads only sources.

    Returns:
        The pairs of each split. A target cell may be a list of texts, several references, or an object with such a list
        as its `text`, like SQuAD's answers.

    Raises:
        InputError: columns cannot be found, or a cell is null, not text, or empty where not allowed: an empty target is
            allowed only in test rows.
    """
    if not splits:
        return {}
    first, place = splits.first, splits.place(splits.first)
    names = other_columns(splits[first].column_names, data)
    names = [name for name in names if name not in features_of(data)]
    if frames := frames_of(data):
        data = replace(data, source_column=frames)
    sample = row_sample(splits[first])
    template, source, target = find_sides(names, sample, data, place, need_target)
    preferred = preference_columns(names, sample, data, place)
    context, usual_target = data.context_column, target
    pairs: dict[str, Pairs] = {}
    for split, rows in splits.items():
        place, target = splits.place(split), usual_target
        sample = row_sample(rows)
        if preferred and target == preferred[0] and target not in rows.column_names:
            target = target_without_preferences(source, rows.column_names, sample, data, place)
        needed: list[tuple[str, str | None]] = [("source_column", source), ("context_column", context)]
        if template:
            needed = [("source_template", column) for column in template_columns(template)]
        for option, column in [*needed, ("target_column", target)]:
            if column:
                with _saying_whose_columns(place, splits.place(splits.first)):
                    named_column(rows.column_names, sample, option, column, place)
        if data.skip_empty:
            spoken = language_columns(rows.column_names, data).values()
            blank = _unfilled(rows, template) if template else None
            rows = without_empty(rows, (None if template else source, target, context, *spoken), place, blank=blank)
        preferences = read_preferences(rows, preferred, place) if need_target else None
        references = _all_references(rows, target, place, kind_of(split), preferences)
        if frames:
            sources: Sequence[str] = [*read_frames(rows, source, place, _width_of(pairs))]
        else:
            sources = _filled(rows, template, place) if template else _texts(rows, source, place, kind_of(split))
        if context:
            sources = [about(*row) for row in zip(sources, texts(rows, context, place), strict=True)]
        columns = f"{source}, {context}" if context else source, target
        sources = with_features_of(rows, features_of(data), sources, place)
        if languages := read_languages(rows, data, place):
            sources, references = in_languages(sources, references, languages)
        pairs[split] = Pairs(sources, references, columns, rows, preferences)
    return pairs


def _width_of(pairs: Mapping[str, Pairs]) -> int | None:
    """Numbers per frame of the matrices read so far; None if there are none."""
    first = next((source for rows in pairs.values() for source in rows.sources), None)
    return int(first.frames.shape[1]) if isinstance(first, Matrix) else None


def find_sides(
    names: Sequence[str], sample: list[dict[str, Any]], data: PairData, place: str, need_target: bool = True
) -> tuple[str | None, str, str]:
    """What the sources and targets of rows are read from.

    Args:
        names: the columns, in the file's order.
        sample: a few rows.
        data: the options that name columns.
        place: the file or data set, for messages.
        need_target: False finds only the sources.

    Returns:
        The template of the source, if there is one; the column of the source, or the template again; the column of the
        target, "" if none is needed, with ".text" appended for objects with such a list.

    Raises:
        InputError: columns cannot be found.
    """
    template = _template(names, data)
    if template:
        source, target = template, _target_beside(template, names, sample, data, place, need_target)
    elif need_target and (preferred := preference_columns(names, sample, data, place)):
        source, target = columns_beside(preferred, names, sample, data, place)
    elif need_target:
        source, target = find_pair_columns(names, sample, data, place)
    else:
        source, target = find_source_column(names, sample, data, place), ""
    return template, source, target + ".text" * has_texts(sample, target)


def lacks_targets(splits: Splits, data: PairData) -> bool:
    """Whether the first split has nothing but sources: no target is found, and no second column of text is left."""
    names, sample, place = (
        other_columns(splits[splits.first].column_names, data),
        row_sample(splits[splits.first]),
        splits.place(splits.first),
    )
    try:
        find_sides(names, sample, data, place)
    except InputError:
        template = _template(names, data)
        columns = {*text_columns(names, sample), *reference_columns(names, sample)} - {data.context_column}
        left = columns - set(template_columns(template)) if template else columns
        return data.target_column is None and len(left) <= (0 if template else 1)
    return False


def _template(names: Sequence[str], data: PairData) -> str | None:
    """How a source is composed of several columns, if it is."""
    if not data.source_template:
        named = data.source_column or data.context_column or data.source_lang
        return None if named else usual_template(names)
    for option in ("source_column", "context_column"):
        if getattr(data, option):
            raise InputError(f"--source-template and {flag(option)}: give only one of them")
    return data.source_template


def _target_beside(
    template: str, names: Sequence[str], sample: list[dict[str, Any]], data: PairData, place: str, needed: bool
) -> str:
    """The column of the target, given that the template's columns form the source."""
    columns = template_columns(template)
    for column in columns:
        named_column(names, sample, "source_template", column, place)
    if not needed:
        return ""
    left = [name for name in names if name == columns[0] or name not in columns]
    return find_pair_columns(left, sample, replace(data, source_column=columns[0]), place)[1]


def _filled(rows: Dataset, template: str, place: str) -> list[str]:
    """The sources composed by a template, none of them empty."""
    found = []
    for index, cells in enumerate(_cells_of(rows, template)):
        where = f"{place}: row {row_number(rows, index)}"
        found.append(fill(template, cells, where))
        if not found[-1]:
            raise InputError(f"{where}: empty text; fill in {' or '.join(cells)}, or remove the row")
    return found


def _unfilled(rows: Dataset, template: str) -> np.ndarray:
    """Whether each row has a null where the template needs a text, or no text to put there at all, `(rows,)`."""
    cells = _cells_of(rows, template)
    return np.array([None in row.values() or not fill(template, row, "") for row in cells], dtype=bool)


def _cells_of(rows: Dataset, template: str) -> Iterator[dict[str, Any]]:
    """The cells of every row that a template is filled with, by column."""
    columns = {name: column_cells(rows, name).to_pylist() for name in template_columns(template)}
    return (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))


@contextmanager
def _saying_whose_columns(place: str, first: str) -> Iterator[None]:
    """Adds to an error about the columns of rows that they are found in the first ones."""
    try:
        yield
    except InputError as error:
        more = f"\nall files need the columns of {first}" if place != first and "did you mean" not in str(error) else ""
        raise InputError(f"{error}{more}") from None


def has_texts(sample: list[dict[str, Any]], column: str) -> bool:
    """Whether the cells of a column are objects with a list of texts, `{"text": [...], ...}`."""
    cells = [cell(row, column) for row in sample]
    return any(isinstance(value, Mapping) and isinstance(value.get("text"), list) for value in cells)


def _texts(rows: Dataset, column: str, place: str, kind: str) -> Sequence[str]:
    """The texts of a column; those of many training rows stay outside of memory."""
    return (kept_texts(rows, column) if kind == "train" else None) or texts(rows, column, place, may_be_lists=True)


def _all_references(
    rows: Dataset, column: str, place: str, kind: str, preferences: Preferences | None
) -> Sequence[list[str]]:
    """The references of every row; of a row that has none but a better output, that output."""
    if not column:
        return [[] for _ in range(len(rows))]
    may_be_empty = kind == "test"
    if kind == "train" and preferences is None and (outside := kept_texts(rows, column)):
        return OneReference(outside)
    absent = column_cells(rows, column).is_null().to_numpy()
    if preferences is None or not absent.any():
        return _references(rows, column, place, may_be_empty)
    kept = np.flatnonzero(~absent)
    found = iter(_references(chosen_rows(rows, kept), column, place, may_be_empty) if len(kept) else [])
    return [[better] if gone else next(found) for gone, better in zip(absent, preferences.chosen, strict=True)]


def _references(rows: Dataset, column: str, place: str, may_be_empty: bool) -> list[list[str]]:
    """The references of every row: one text, or a list of them."""
    cells = column_cells(rows, column)
    if not (pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type)):
        targets = texts(rows, column, place, may_be_empty)
        if empty := sum(map(is_blank, targets)):
            logger.warning(
                "%s: %s of %s targets are empty, and are scored as such", place, f"{empty:,}", f"{len(targets):,}"
            )
        return [[text] for text in targets]
    found = cells.to_pylist()
    for index, references in enumerate(found):
        if references is None:
            refuse(rows, index, column, None, place)
        wrong = next((r for r in references if not isinstance(r, str)), "")
        if not isinstance(wrong, str):
            refuse(rows, index, column, references, place)
        if not references or (not may_be_empty and any(map(is_blank, references))):
            where = cell_place(place, row_number(rows, index), column)
            problem = "an empty text among the references" if references else "no reference"
            raise InputError(f"{where}: {problem}; fill it in, or give --skip-empty")
    return found
