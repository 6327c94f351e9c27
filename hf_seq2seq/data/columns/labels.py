"""Detection of the columns of text, second text and label."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.columns.conventions import LABELS, TEXT_PAIRS, TEXTS, is_label_name
from hf_seq2seq.data.columns.finding import (
    by_lower_case,
    candidates,
    check_header,
    columns_told,
    listed,
    named_column,
    text_columns,
)
from hf_seq2seq.errors import InputError

Rows = Sequence[Mapping[str, Any]]


def find_label_columns(
    names: Sequence[str], sample: Rows, data: LabelledData, place: str = "the data"
) -> tuple[str, str | None, str]:
    """Finds the columns of text, second text (None if there is none) and label.

    In this order: the flags that name columns; usual names; the only columns left.

    Args:
        names: the columns there are, in the file's order.
        sample: a few rows.
        data: the options.
        place: the file or data set, for messages.

    Raises:
        InputError: a named column is not there, or more than one choice remains.
    """
    text, second = find_text_columns(names, sample, data, place, only=False)
    label = _named(names, sample, "label_column", data.label_column, place)
    lower = by_lower_case(names)
    label = label or next((lower[n] for n in LABELS if n in lower and lower[n] not in (text, second)), None)
    left = [name for name in candidates(names) if name not in (text, second, label)]
    looked = []
    if text and not label and len(left) == 1:
        label = left[0]
        looked = [label]
    elif label and not text:
        looked = [name for name in text_columns(names, sample) if name != label]
        text = looked[0] if len(looked) == 1 else None
    elif not text and len(left) == 2:
        text, label = _by_values(left, sample)
        looked = left
    if list(names) == ["text"]:
        raise InputError(f"{place}: plain text has no labels; give two parallel files, as in texts.txt,labels.txt")
    if not text or not label:
        missing = [f for f, column in (("--text-column", text), ("--label-column", label)) if not column]
        raise InputError(f"{place}: {columns_told(names, missing)}")
    check_header(looked, sample, place, ("--text-column", "--label-column"))
    return text, second, label


def lacks_labels(names: Sequence[str], sample: Rows, data: LabelledData) -> bool:
    """Whether a table has texts and nothing that may be a label: no such column, and none that is left over.

    Args:
        names: its columns.
        sample: a few rows.
        data: the options that name columns.
    """
    if any(name.lower() in LABELS or name == data.label_column for name in names):
        return False
    try:
        found = find_text_columns(names, sample, data)
    except InputError:
        return False
    return not set(candidates(names)) - set(found)


def find_text_columns(
    names: Sequence[str], sample: Rows, data: LabelledData, place: str = "the data", only: bool = True
) -> tuple[str | None, str | None]:
    """Finds the columns of text and second text, by flags and usual names.

    Args:
        names: the columns there are, in the file's order.
        sample: a few rows.
        data: the options.
        place: the file or data set, for messages.
        only: whether to also accept the only column of text; if so, never returns None for it.

    Raises:
        InputError: a named column is not there, or with `only`, more than one choice remains.
    """
    text = _named(names, sample, "text_column", data.text_column, place)
    second = _named(names, sample, "text_pair_column", data.text_pair_column, place)
    lower = by_lower_case(names)
    if not text and not second:
        pairs = [(lower[a], lower[b]) for a, b in TEXT_PAIRS if a in lower and b in lower]
        text, second = pairs[0] if pairs else (None, None)
    taken = (second, data.label_column)
    text = text or next((lower[n] for n in TEXTS if n in lower and lower[n] not in taken), None)
    if not text and only:
        others = [name for name in candidates(names) if name not in taken]
        left = [name for name in text_columns(names, sample) if name in others]
        left = [name for name in left if len(others) == 1 or not is_label_name(name)]
        if len(left) != 1:
            raise InputError(f"{place}: name the column by --text-column; its columns are {listed(names)}")
        text = left[0]
    return text, second


def _named(names: Sequence[str], sample: Rows, option: str, column: str | None, place: str) -> str | None:
    return None if column is None else named_column(names, sample, option, column, place)


def _by_values(left: Sequence[str], sample: Rows) -> tuple[str | None, str | None]:
    """Distinguishes text from label among two columns: the label repeats values, the text does not."""
    different = {name: len({str(row.get(name)) for row in sample}) for name in left}
    label, text = sorted(left, key=lambda name: different[name])
    clear = different[label] <= len(sample) / 2 < different[text] and text in text_columns(left, sample)
    return (text, label) if clear else (None, None)
