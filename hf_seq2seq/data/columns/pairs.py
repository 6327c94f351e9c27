"""Detection of the columns of source and target."""

import logging
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.columns.conventions import PAIRS, TRANSLATION, is_target_name, messages_column
from hf_seq2seq.data.columns.finding import (
    by_lower_case,
    candidates,
    check_header,
    columns_told,
    named_column,
    reference_columns,
    text_columns,
    without_numbers,
)
from hf_seq2seq.data.columns.headers import numbered
from hf_seq2seq.errors import InputError

logger = logging.getLogger(__name__)

Rows = Sequence[Mapping[str, Any]]
_NUMBERED = re.compile(r"(\d+) ")
_FEWEST_NUMBERED = 4


def find_pair_columns(names: Sequence[str], sample: Rows, data: PairData, place: str = "the data") -> tuple[str, str]:
    """Finds the columns of source and target.

    In this order: the flags that name columns; the languages, as keys of an object or as columns; usual names; the
    only columns of text left, in the file's order.

    Args:
        names: the columns there are, in the file's order.
        sample: a few rows.
        data: the options.
        place: the file or data set, for messages.

    Returns:
        Source and target; a dotted name such as "translation.de" refers to a value in an object.

    Raises:
        InputError: a named column is not there, or more than one choice remains.
    """
    source, target = given_columns(names, sample, data, place)
    if source and target:
        return source, target
    usual = _usual(names, source, target)
    if len(usual) == 1:
        return usual[0]
    if not usual:
        guess = _looked(names, sample, source, target)
        if guess:
            check_header(guess, sample, place, ("--source-column", "--target-column"))
            if not source:
                _check_no_dialogue(guess[0], sample, place)
            return guess
    missing = [f"--{role}-column" for role, column in (("source", source), ("target", target)) if not column]
    raise InputError(_unclear(names, sample, missing, place))


def find_source_column(names: Sequence[str], sample: Rows, data: PairData, place: str = "the data") -> str:
    """Finds the column of the source, possibly without a target; otherwise as `find_pair_columns`.

    A usual name takes precedence regardless of its cells. A column with the usual name of a target is the source only
    if the file has no other.

    Raises:
        InputError: a named column is not there, or more than one choice remains.
    """
    source, _ = given_columns(names, sample, data, place, need_target=False)
    if source:
        return source
    lower = by_lower_case(names)
    usual = dict.fromkeys(lower[s] for s, _ in PAIRS if s in lower)
    if len(usual) > 1:
        usual = dict.fromkeys(pair[0] for pair in _usual(names, None, None))
    if len(usual) == 1:
        return next(iter(usual))
    others = candidates(names)
    text = [name for name in text_columns(names, sample) if len(others) == 1 or not is_target_name(name)]
    if list(names) == numbered(2):  # two columns without a header are source and target
        return names[0]
    if len(text) == 1:
        return text[0]
    raise InputError(_unclear(names, sample, ["--source-column"], place))


def source_as_trained(
    names: Sequence[str], sample: Rows, data: PairData, place: str = "the data", target: str | None = None
) -> str:
    """The column of the source in rows like those of training: as `find_source_column`, or else the first of a pair.

    Args:
        names: the columns there are, in the file's order.
        sample: a few rows.
        data: the options.
        place: the file or data set, for messages.
        target: the column of the target, if it is known.

    Raises:
        InputError: more than one choice remains.
    """
    try:
        return find_source_column(names, sample, data, place)
    except InputError:
        if target in names:
            return find_source_column([name for name in names if name != target], sample, data, place)
        if (found := _looked(names, sample, None, None)) is None:
            raise
    logger.warning("%s: sources are read from column %r, as in training, and %r is their target", place, *found)
    return found[0]


def given_columns(
    names: Sequence[str], sample: Rows, data: PairData, place: str, need_target: bool = True
) -> tuple[str | None, str | None]:
    """The columns named by the flags, directly or by their language; None for a side of which nothing is said.

    Raises:
        InputError: a named column is not there.
    """
    found: list[str | None] = []
    sides = [("source_column", data.source_column, data.source_lang)]
    if need_target:
        sides.append(("target_column", data.target_column, data.target_lang))
    for option, column, language in sides:
        if column is not None:
            found.append(named_column(names, sample, option, column, place))
        else:
            found.append(_language_column(names, sample, language, place) if language else None)
    return found[0], found[1] if need_target else None


def _language_column(names: Sequence[str], sample: Rows, language: str, place: str) -> str | None:
    """The column of a language: one of that name, or a key in an object. "en_XX" also finds "en"."""
    objects = {name: row[name] for row in reversed(sample) for name in names if isinstance(row.get(name), Mapping)}
    for code in dict.fromkeys((language, language.split("_")[0])):
        if code in names:
            return code
        for name, keys in objects.items():
            if code in keys:
                return f"{name}.{code}"
    if TRANSLATION in objects:
        keys = ", ".join(objects[TRANSLATION])
        raise InputError(f"{place}: no language {language!r} in column 'translation'; its languages are {keys}")
    return None


def _usual(names: Sequence[str], source: str | None, target: str | None) -> list[tuple[str, str]]:
    """The pairs of usual names that exist and are consistent with the known side; one side alone may be usual."""
    lower = by_lower_case(names)
    there = [(lower[s], lower[t]) for s, t in PAIRS if s in lower and t in lower]
    fitting = [pair for pair in there if source in (None, pair[0]) and target in (None, pair[1])]
    if source and not fitting:
        return [(source, name) for name in dict.fromkeys(lower[t] for _, t in PAIRS if t in lower) if name != source]
    if target and not fitting:
        return [(name, target) for name in dict.fromkeys(lower[s] for s, _ in PAIRS if s in lower) if name != target]
    return fitting


def _looked(names: Sequence[str], sample: Rows, source: str | None, target: str | None) -> tuple[str, str] | None:
    """The only columns of text that are left, ignoring numeric ones if necessary."""
    known = [column for column in (source, target) if column]
    left = [name for name in text_columns(names, sample) if name not in known]
    if not target:
        left += [name for name in reference_columns(names, sample) if name not in known]
    if len(left) != 2 - len(known):
        left = without_numbers(left, sample)
    if len(left) != 2 - len(known):
        return None
    if not known and is_target_name(left[0]) and not is_target_name(left[1]):
        left.reverse()
    return source or left[0], target or left[-1]


def _check_no_dialogue(source: str, sample: Rows, place: str) -> None:
    """Refuses lines of bAbI's dialogues as pairs, unless columns are named: sources that count on from row to row.

    Rows may be missing, such as those that are held out, and every dialogue counts from 1, often after an empty line.
    """
    sources = [str(row[source]) for row in sample if row[source]]
    found = [_NUMBERED.match(text) for text in sources]
    numbers = [int(match[1]) for match in found if match]
    if len(numbers) < max(_FEWEST_NUMBERED, len(sources)):
        return
    steps = [after - before for before, after in pairwise(numbers)]
    if 2 * steps.count(1) > len(steps):
        told = ", ".join(map(str, numbers[:3]))
        raise InputError(
            f"{place}: lines with numbers ({told}, …) seem to be dialogues, which --objective dialogue reads; "
            f"for pairs give --source-column {source}"
        )


def _unclear(names: Sequence[str], sample: Rows, missing: list[str], place: str) -> str:
    """Says what is missing and how to give it."""
    objects = {name: row[name] for row in reversed(sample) for name in names if isinstance(row.get(name), Mapping)}
    if TRANSLATION in objects:
        keys = ", ".join(objects[TRANSLATION])
        return f"{place}: column 'translation' has {keys}; give --source-lang and --target-lang"
    if column := messages_column(sample):
        return f"{place}: column {column!r} has conversations, which --objective dialogue reads"
    if list(names) == ["text"] and any("\t" in str(row["text"]) for row in sample):
        return f"{place}: one column of text with tabs in it; give --source-column 1 --target-column 2 to split it"
    if list(names) == ["text"] and "--target-column" in missing:
        files = "give two parallel files, as in train.de,train.en"
        return f"{place}: plain text has no targets; {files}, or learn from raw text by `gpt --objective causal`"
    if len(names) == 3 and (";" in names[2] or all(";" in str(row[names[2]]) for row in sample)):
        hint = "--source-template '{1}{3:tags}' --target-column 2"
        return f"{place}: lemma, form and features, as it seems, are read by {hint}"
    return f"{place}: {columns_told(names, missing)}"
