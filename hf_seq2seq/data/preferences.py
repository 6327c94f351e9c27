"""Pairs of a better and a worse output beside each source, in the columns `chosen` and `rejected`."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datasets import Dataset

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cells import texts
from hf_seq2seq.data.columns.finding import listed, named_column
from hf_seq2seq.data.columns.pairs import find_pair_columns, find_source_column
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

logger = logging.getLogger(__name__)
USUAL = {"chosen_column": "chosen", "rejected_column": "rejected"}


@dataclass(frozen=True)
class Preferences:
    """The better and the worse output of every row.

    Attributes:
        chosen: the better ones.
        rejected: the worse ones.
    """

    chosen: list[str]
    rejected: list[str]


def preference_columns(
    names: Sequence[str], sample: Sequence[Mapping[str, Any]], data: PairData, place: str
) -> tuple[str, str] | None:
    """The columns of the better and the worse output: those of the flags, or of the usual names; None without any.

    Raises:
        InputError: a named column is not there.
    """
    given = {option: getattr(data, option) for option in USUAL}
    if not any(given.values()) and not {*USUAL.values()} <= {*names}:
        return None
    better, worse = (named_column(names, sample, name, given[name] or usual, place) for name, usual in USUAL.items())
    return better, worse


def refuse_one_sided(names: Sequence[str], data: PairData, place: str) -> None:
    """Rejects rows of a loss over preferences that have only one of the two usual columns, unless flags name columns.

    Raises:
        InputError: names the missing column.
    """
    there = {option: usual in names for option, usual in USUAL.items()}
    if any(getattr(data, option) for option in USUAL) or len({*there.values()}) == 1:
        return
    has, lacks = sorted(USUAL, key=there.__getitem__, reverse=True)
    raise InputError(
        f"{place}: column {USUAL[has]!r} without {USUAL[lacks]!r}, which --loss-type preference reads beside it; "
        f"name it by {flag(lacks)}, or rename {USUAL[has]!r} to learn from the model's own outputs; "
        f"its columns are {listed(names)}"
    )


def columns_beside(
    preferred: tuple[str, str], names: Sequence[str], sample: list[dict[str, Any]], data: PairData, place: str
) -> tuple[str, str]:
    """The columns of source and target among the others; the better output is the target where there is none.

    Raises:
        InputError: they cannot be found.
    """
    left = [name for name in names if name not in preferred]
    try:
        return find_pair_columns(left, sample, data, place)
    except InputError:
        if data.target_column or data.target_lang:
            raise
    return find_source_column(left, sample, data, place), preferred[0]


def target_without_preferences(
    source: str, names: Sequence[str], sample: list[dict[str, Any]], data: PairData, place: str
) -> str:
    """The column of the target of a split that has no better outputs, such as validation rows."""
    return find_pair_columns(names, sample, replace(data, source_column=source), place)[1]


def read_preferences(rows: Dataset, columns: tuple[str, str] | None, place: str) -> Preferences | None:
    """The preferences of a split; None if it has none.

    Raises:
        InputError: a cell is null, not text, or empty.
    """
    if columns is None or not {*columns} <= {*rows.column_names}:
        return None
    found = Preferences(*(texts(rows, column, place) for column in columns))
    equal = sum(better == worse for better, worse in zip(found.chosen, found.rejected, strict=True))
    if equal and equal == len(found.chosen):
        raise InputError(f"{place}: {columns[0]!r} equals {columns[1]!r} in every row; there is nothing to prefer")
    if equal:
        logger.warning(
            "%s: in %s of %s rows %r equals %r; they teach nothing",
            *(place, f"{equal:,}", f"{len(found.chosen):,}", *columns),
        )
    return found


def joined(parts: Sequence[Preferences | None]) -> Preferences | None:
    """The preferences of several sets of rows; None unless all have some."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Preferences(
        [text for part in known for text in part.chosen], [text for part in known for text in part.rejected]
    )
