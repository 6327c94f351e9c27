"""Plain text with labels in each line: `__label__spam text`, as fastText has it, anywhere; or `spam text`."""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import NoReturn

import pyarrow as pa
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint

from hf_seq2seq.data.rows import Row, shown
from hf_seq2seq.data.tabbed_text import split_at_tabs
from hf_seq2seq.errors import InputError, shorten

logger = logging.getLogger(__name__)
_MARK = re.compile(r"(?:^|(?<=\s))__label__(\S+)")
_AROUND = re.compile(r"(?:^|\s+)(?:__label__\S+(?:\s+|$))+")
ROWS_OF_A_LABEL = 3
"""First words are labels if each occurs in this many rows on average."""
MOSTLY = 0.9


class LabelledLines:
    """Turns plain text with labels in each line into rows of text and label; other rows are unchanged.

    Args:
        names: the labels if fixed by a trained model; otherwise they come from the first split, the training rows.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = set(names)

    def __call__(self, rows: Dataset, place: str) -> Dataset:
        """The rows of a split; blank lines are skipped.

        Raises:
            InputError: most lines have fastText's labels, but one has none.
        """
        found = _marked(_lines(rows), place)
        if not found:
            rows = split_at_tabs(rows, place)
            found = self._first_words([line for line in _lines(rows) if line.strip()], place)
        if not found:
            return rows
        labels, texts = found
        _report(place, labels[0], texts[0])
        return Dataset(pa.table({"label": labels, "text": texts}), fingerprint=generate_random_fingerprint())

    def _refuse(self, labels: list[str], place: str) -> NoReturn:
        number, other = next((n, label) for n, label in enumerate(labels, 1) if label not in self._names)
        names = shorten(", ".join(sorted(self._names)))
        told = f"label {shown(other)}, its first word, is none of the known ones ({names})"
        raise InputError(f"{place}: row {number}: {told}; write one of these before each text")

    def _first_words(self, lines: list[str], place: str) -> tuple[list[str], list[str]] | None:
        """The first word of each line as its label, if the words are repeated or known labels."""
        split = [line.split(maxsplit=1) for line in lines]
        if not split or any(len(parts) < 2 for parts in split):
            return None
        labels = [label for label, _ in split]
        known = sum(label in self._names for label in labels) >= MOSTLY * len(labels)
        few = 2 <= len(set(labels)) <= len(labels) / ROWS_OF_A_LABEL
        if self._names and not known:
            self._refuse(labels, place)
        if not (self._names or few):
            return None
        self._names = self._names or set(labels)
        return labels, [text.rstrip() for _, text in split]


def lines_lack_labels(rows: Dataset, names: Sequence[str]) -> bool:
    """Whether plain text has no labels: few lines have fastText's, and few begin with one of the known names."""
    lines = [line for line in _lines(rows) if line.strip()]
    marked = sum(bool(_MARK.search(line)) for line in lines)
    known = sum(line.split(maxsplit=1)[0] in names for line in lines)
    return bool(lines) and 2 * max(marked, known) < len(lines)


def split_stream_at_labels(
    rows: Iterator[Row], sample: list[Row], place: str, names: Sequence[str]
) -> tuple[Iterator[Row], list[Row]]:
    """`LabelledLines` for streamed rows of a trained model's labels, judged by a sample.

    Lines without fastText's labels need a sample of two, because a single text may begin with a word that is a label.

    Args:
        rows: all rows, of plain text with the single column "text".
        sample: the first ones.
        place: the file, for the message.
        names: the labels.

    Returns:
        The rows and their sample; a row without a label has only the text.
    """
    lines = [row["text"] for row in sample if list(row) == ["text"] and isinstance(row["text"], str)]
    lines = [line for line in lines if line.strip()] if len(lines) == len(sample) else []
    first = [line.split(maxsplit=1) for line in lines]
    if 2 * sum(bool(_MARK.search(line)) for line in lines) > len(lines):
        split = _split_at_mark
    elif (
        len(lines) > 1
        and all(len(parts) == 2 for parts in first)
        and sum(label in names for label, _ in first) >= MOSTLY * len(lines)
    ):
        split = _split_at_first_word
    else:
        return rows, sample
    found = list(map(split, sample))
    example = next(row for row in found if "label" in row)
    _report(place, example["label"], example["text"])
    return map(split, rows), found


def _split_at_mark(row: Row) -> Row:
    labels, text = _MARK.findall(row["text"]), _AROUND.sub(" ", row["text"]).strip()
    return {"label": labels[0] if len(labels) == 1 else labels, "text": text} if labels else {"text": text}


def _split_at_first_word(row: Row) -> Row:
    parts = row["text"].split(maxsplit=1)
    return {"label": parts[0], "text": parts[1].rstrip()} if len(parts) == 2 else row


def _report(place: str, label: str | list[str], text: str) -> None:
    logger.warning("%s: each line is read as a label and a text, such as %r: %r", place, label, text[:40])


def _lines(rows: Dataset) -> list[str]:
    """The lines of plain text; none of other rows."""
    lines = rows.data.column("text").to_pylist() if rows.column_names == ["text"] else []
    return lines if all(isinstance(line, str) for line in lines) else []


def _marked(lines: Sequence[str], place: str) -> tuple[list[str] | list[list[str]], list[str]] | None:
    """Labels, or lists of them if a line has several, and texts of lines with `__label__`; None if few have it.

    Raises:
        InputError: a line has no label although most others do.
    """
    found = {number: _MARK.findall(line) for number, line in enumerate(lines, start=1) if line.strip()}
    without = [number for number, names in found.items() if not names]
    if 2 * len(without) >= len(found):
        return None
    if without:
        number, example = without[0], next(names[0] for names in found.values() if names)
        detail = f"{shown(lines[number - 1])} has no label, such as __label__{example}, but other lines do"
        raise InputError(f"{place}:{number}: {detail}")
    texts = [_AROUND.sub(" ", lines[number - 1]).strip() for number in found]
    single = all(len(names) == 1 for names in found.values())
    return ([names[0] for names in found.values()] if single else list(found.values())), texts
