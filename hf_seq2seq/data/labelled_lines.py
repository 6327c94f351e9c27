"""Plain text with the label before each text: `__label__spam text`, as fastText has it, or `spam text`."""

import logging
import re
from collections.abc import Sequence

import pyarrow as pa
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint

from hf_seq2seq.data.tabbed_text import split_at_tabs

logger = logging.getLogger(__name__)
_FASTTEXT = re.compile(r"\s*((?:__label__\S+\s+)+)(.*)", re.DOTALL)
ROWS_OF_A_LABEL = 3
"""First words are labels where each stands in so many rows on average."""
MOSTLY = 0.9


class LabelledLines:
    """Makes rows of text and label of plain text that has both in a line; other rows stay as they are.

    Args:
        names: the labels where a trained model fixes them; otherwise the first split, the training rows, tells them.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = set(names)

    def __call__(self, rows: Dataset, place: str) -> Dataset:
        """The rows of a split; blank lines are left out."""
        rows = split_at_tabs(rows, place)
        lines = rows.data.column("text").to_pylist() if rows.column_names == ["text"] else []
        if not all(isinstance(line, str) for line in lines):
            return rows
        lines = [line for line in lines if line.strip()]
        found = _marked(lines) or self._first_words(lines)
        if not found:
            return rows
        labels, texts = found
        logger.warning("%s: each line is read as a label and a text, such as %r: %r", place, labels[0], texts[0][:40])
        return Dataset(pa.table({"label": labels, "text": texts}), fingerprint=generate_random_fingerprint())

    def _first_words(self, lines: list[str]) -> tuple[list[str], list[str]] | None:
        """The first word of each line as its label, where the words come again and again, or are known labels."""
        split = [line.split(maxsplit=1) for line in lines]
        if not split or any(len(parts) < 2 for parts in split):
            return None
        labels = [label for label, _ in split]
        known = sum(label in self._names for label in labels) >= MOSTLY * len(labels)
        few = 2 <= len(set(labels)) <= len(labels) / ROWS_OF_A_LABEL
        if not (known if self._names else few):
            return None
        self._names = self._names or set(labels)
        return labels, [text.rstrip() for _, text in split]


def _marked(lines: list[str]) -> tuple[list[str] | list[list[str]], list[str]] | None:
    """Labels, lists of them where a line has several, and texts of lines that all begin with `__label__`."""
    matches = [match for match in map(_FASTTEXT.fullmatch, lines) if match]
    if not matches or len(matches) < len(lines):
        return None
    labels = [[mark.removeprefix("__label__") for mark in match[1].split()] for match in matches]
    texts = [match[2].strip() for match in matches]
    single = all(len(names) == 1 for names in labels)
    return ([names[0] for names in labels] if single else labels), texts
