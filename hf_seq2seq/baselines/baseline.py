"""What every baseline is: options, and a function from training rows to a predictor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_seq2seq.sections import Section

Writer = Callable[[Sequence[str]], list[str]]
"""Writes the target of every source."""
Classifier = Callable[[Sequence[str], Sequence[str] | None], np.ndarray]
"""Gives the logits of texts and second texts, `(rows, classes)`, or `(rows, 1)` numbers."""
Reader = Callable[[Sequence[str]], np.ndarray]
"""Gives the summed log-probability and the number of tokens of documents, `(rows, 2)`."""


@dataclass(frozen=True, kw_only=True)
class NoOptions(Section):
    """Baseline: it has no options."""


@dataclass(frozen=True)
class LabelledTexts:
    """Training rows of a classifier.

    Attributes:
        texts: one a row.
        seconds: the second text of each row, or None.
        labels: class ids `(rows,)`, `(rows, classes)` of 0 and 1, or numbers `(rows,)`.
        classes: how many there are; 1 for numbers.
        problem: "single_label", "multi_label" or "regression".
    """

    texts: Sequence[str]
    seconds: Sequence[str] | None
    labels: np.ndarray
    classes: int
    problem: str


@dataclass(frozen=True)
class Baseline:
    """A baseline.

    Attributes:
        summary: what it does, in a sentence.
        task: "pairs", "labels" or "text".
        train: of pairs takes sources, targets and options and gives a `Writer`; of labels `LabelledTexts` and options,
            and gives a `Classifier`; of text documents and options, and gives a `Reader`.
        options: its options.
        problems: of labels: what a label may be.
    """

    summary: str
    task: str
    train: Callable[..., Any]
    options: type[Section] = NoOptions
    problems: tuple[str, ...] = ("single_label", "multi_label", "regression")
