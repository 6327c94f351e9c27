"""The languages of rows: from columns that name them, or the same for all."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.annotated_text import AnnotatedText, annotated, check_code
from hf_seq2seq.data.columns.finding import named_column
from hf_seq2seq.data.frames import Matrix
from hf_seq2seq.data.rows import cell_place
from hf_seq2seq.data.tokenizers.languages import are_alike
from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.sections import flag

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)
USUAL = {"source": "source_lang", "target": "target_lang"}
"""Columns that name the language of each side of a row."""


def language_columns(names: Sequence[str], data: PairData) -> dict[str, str]:
    """The columns with the languages of rows, by side; empty if rows do not name any.

    A column of the usual name counts, unless a flag gives one language for all rows.
    """
    found = {}
    for side, usual in USUAL.items():
        if named := getattr(data, f"{side}_lang_column"):
            found[side] = named
        elif getattr(data, f"{side}_lang") is None and usual in names:
            found[side] = usual
    return found


def other_columns(names: Sequence[str], data: PairData) -> list[str]:
    """The columns that do not name languages."""
    taken = language_columns(names, data).values()
    return [name for name in names if name not in taken]


def read_languages(rows: "Dataset", data: PairData, place: str) -> dict[str, list[str | None]] | None:
    """The languages of source and target of every row, by side; None if no column names them.

    Raises:
        InputError: a named column is not there, a cell is not a code of a language, or a flag contradicts a column.
    """
    columns = language_columns(rows.column_names, data)
    for side, usual in USUAL.items():
        if side not in columns and usual in rows.column_names:
            _check_agrees(rows, side, str(getattr(data, f"{side}_lang")), place)
    if not columns:
        return None
    found: dict[str, list[str | None]] = {}
    for side in USUAL:
        if side in columns:
            found[side] = list(_codes(rows, side, columns[side], place))
        else:
            found[side] = [getattr(data, f"{side}_lang")] * len(rows)
    return found


def _check_agrees(rows: "Dataset", side: str, given: str, place: str) -> None:
    """Refuses one language for all rows that is not the one which they name themselves."""
    from hf_seq2seq.data.cells import column_cells

    counts = Counter(column_cells(rows, USUAL[side]).to_pylist())
    others = {code: count for code, count in counts.items() if isinstance(code, str) and code.strip()}
    others = {code: count for code, count in others.items() if not are_alike(code, given)}
    if others:
        name, most = flag(f"{side}_lang"), max(others, key=lambda code: others[code])
        raise InputError(
            f"{place}: {sum(others.values()):,} of {len(rows):,} rows have another {USUAL[side]} than {name} {given}, "
            f"such as {shorten(repr(most))}; leave out {name}, or give {name}-column {USUAL[side]}"
        )


def _codes(rows: "Dataset", side: str, column: str, place: str) -> list[str]:
    from hf_seq2seq.data.cells import row_sample, texts
    from hf_seq2seq.data.sources import row_number

    named_column(rows.column_names, row_sample(rows), f"{side}_lang_column", column, place)
    codes = texts(rows, column, place)
    first = {code: index for index, code in reversed(list(enumerate(codes)))}
    for code, index in first.items():
        check_code(code, cell_place(place, row_number(rows, index), column))
    _tell_alike(codes, f"{place}: column {column!r}")
    return codes


def _tell_alike(codes: Sequence[str], place: str) -> None:
    """Says that two codes, which a model learns as two languages, seem to name the same one."""
    counts = Counter(codes)
    common = [code for code, _ in counts.most_common()]
    for number, code in enumerate(common):
        if (same := next((each for each in common[:number] if are_alike(each, code)), None)) is not None:
            logger.warning(
                "%s has %r (%s) beside %r (%s); they count as two languages",
                *(place, code, f"{counts[code]:,}", same, f"{counts[same]:,}"),
            )


def in_languages(
    sources: Sequence[str], references: Sequence[Sequence[str]], languages: Mapping[str, Sequence[str | None]]
) -> tuple[list[str], list[list[str]]]:
    """Sources and references of rows that know their languages."""
    if any(isinstance(text, Matrix) for text in sources):
        raise InputError(
            "--frames-column: feature matrices cannot be marked with a language; leave out the language columns"
        )
    known: list[str] = [
        annotated(text).in_language(lang, into)
        for text, lang, into in zip(sources, languages["source"], languages["target"], strict=True)
    ]
    targets: list[list[Any]] = [
        [AnnotatedText(text, code) for text in row] for row, code in zip(references, languages["target"], strict=True)
    ]
    return known, targets
