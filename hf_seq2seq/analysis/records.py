"""What one pass over a test set leaves: figures per row, in bounded memory, and the parts of the report made from them.

A text's words are those between spaces, and its characters where it is written without spaces.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq.metrics.metric import Metric

Row = dict[str, Any]
Figures = dict[str, np.ndarray]

FIGURES = {
    "score": "the metric of this row alone",
    "best_score": "the metric of the best of the n-best outputs",
    "exact": "1 if the output is a reference",
    "empty": "1 if the output has no words",
    "ended": "1 if the output ended by itself, 0 if it was cut off at the maximum length",
    "truncated": "1 if the source was truncated",
    "source_tokens": "tokens of the source before truncation",
    "output_tokens": "tokens of the output, EOS included",
    "reference_tokens": "tokens of the reference that the model prefers, EOS included",
    "source_words": "words of the source",
    "source_characters": "characters of the source",
    "output_words": "words of the output",
    "reference_words": "words of the reference whose length is nearest to the output's",
    "unknown_source": "unknown tokens of the source",
    "unknown_reference": "unknown tokens of the references",
    "log_prob": "log-probability of the output, natural, summed",
    "reference_log_prob": "the same of the reference that the model prefers",
    "value": "what the search maximizes, of the output: the log-probability, normalized by length",
    "reference_value": "the same of the reference that the model prefers",
    "confidence": "geometric mean of the probabilities of the output's tokens",
    "exposure_steps": "tokens of the first reference at steps that the output has",
    "exposure_reference": "loss of these tokens after the reference's prefixes, natural, summed",
    "exposure_own": "loss of the same tokens after the output's prefixes",
    "first_error": "index of the first word that differs from the nearest reference, from 0",
    "looped_words": "words that go when immediate repetitions are cut off",
    "reference_looped_words": "the most words that go from a reference in the same way",
    "repeated_ngrams": "sequences of 4 words that occurred before in the output",
    "reference_repeated_ngrams": "the same in the reference that has the most",
    "strange_script": "1 if most letters of the output are of a script that no reference has",
    "copies_source": "1 if the output is the source, and no reference is",
    "copies": "numbers, names and addresses that source and reference share",
    "copies_missing": "those of them that the output lacks",
    "attention_peak": "the largest share of the attention that one source position takes",
    "attention_entropy": "entropy of the attention per step, divided by that of equal weights, mean",
    "attention_on_text": "share of the attention on the source's text, not its special tokens",
    "attention_monotonic": "share of steps whose most attended position is not before the last step's",
    "attention_diagonal": "1 minus the mean distance from the diagonal, in lengths of the source",
    "attention_covered": "share of the source's tokens that got at least a quarter of an equal share",
}
"""The figures of a row; NaN where a row, or the model, has none."""


@dataclass(frozen=True)
class Heat:
    """The attention of one output on its source.

    Attributes:
        row: number of the row, from 0.
        why: why it is shown, such as "worst".
        source: tokens of the source.
        output: tokens of the output.
        weights: `(layers, heads, output, source)` float32.
        alignment: of words, in Pharaoh's format.
    """

    row: int
    why: str
    source: list[str]
    output: list[str]
    weights: np.ndarray
    alignment: str


@dataclass(frozen=True)
class Marked:
    """A classifier's text, with what each token adds to its decision.

    Attributes:
        row: number of the row, from 0.
        why: why it is shown.
        decision: what was decided, and by which score.
        tokens: of the text.
        shares: gradient x input of each, `(tokens,)`: positive where it speaks for the decision.
    """

    row: int
    why: str
    decision: str
    tokens: list[str]
    shares: np.ndarray


@dataclass(frozen=True)
class BeamSize:
    """The outputs of some rows by a beam of one size.

    Attributes:
        beams: the size.
        statistics: the metric's statistics of the outputs, `(rows, statistics)`.
        values: what the search maximizes, `(rows,)`; NaN without an output.
        words: words of the outputs, `(rows,)`.
    """

    beams: int
    statistics: np.ndarray
    values: np.ndarray
    words: np.ndarray


@dataclass(frozen=True)
class Mended:
    """What the metric's statistics would be without one fault.

    Attributes:
        rows: numbers of the rows that have it.
        read: reads their statistics, `(rows, statistics)`, which may lie in a file.
    """

    rows: np.ndarray
    read: Callable[[], np.ndarray]


def without_texts(row: Row, task: str) -> Row:
    """A row with its figures and empty texts; of a classifier's rows the labels stay."""
    kept = {name: value for name, value in row.items() if name not in ("pair", "ids", "tokens")}
    empty: Row = {"source": ""}
    if task == "text":
        empty |= {"output": "", "references": [""] if row["references"] else []}
    return kept | empty


@dataclass(frozen=True)
class Record:
    """A model's test set, read once.

    Attributes:
        facts: what was measured, and how: `model`, `task` ("text" or "labels"), `metric`, `key` (of the metric's
            score), `references` (False if the rows have none), `rows`, `beams`, `max_source_length`,
            `max_new_tokens`, `attends`, and so on.
        figures: arrays of `(rows,)` float64 by the names of `FIGURES`.
        metric: the metric of the ledger.
        statistics: the metric's statistics of the outputs, `(rows, statistics)`.
        mended: by fault, the rows that have it and their statistics once it is mended.
        file: JSON lines of `source`, `output`, `references`, `tokens`, `log_probs`, in order.
        heats: attention of the rows that are shown.
        saliency: gradients x input of these rows; its weights are absolute shares of the source's tokens.
        prefixes: by row, the share of the output's earlier tokens in the whole; NaN where it is not known.
        marked: what moves a classifier's decision in these rows.
        overlap: what test and training rows share; empty where no training rows are known.
        aligned: counts of the alignment error rate against gold alignments, by `heads` `(layers, heads, 4)`, `layers`
            `(layers, 4)` and `all` `(4,)`; empty without gold.
        exposure: means by position of the losses after the references' and the outputs' prefixes.
        beam_rows: numbers of the rows that were also searched with beams of other sizes.
        beam_sizes: their outputs, from the smallest beam to the largest.
        frequencies: F1 of words by their frequency in training; empty where no training rows are known.
        shown: whole rows that the page shows, by number.
        labels: of a classifier: `scores`, probabilities `(rows, classes)` or numbers `(rows, 1)`, `truth` as in
            `Labelled.labels`, and the `names` of the classes.
    """

    facts: dict[str, Any]
    figures: Figures
    metric: Metric
    statistics: np.ndarray
    mended: Mapping[str, Mended]
    file: Path
    heats: list[Heat] = field(default_factory=list)
    saliency: list[Heat] = field(default_factory=list)
    prefixes: dict[int, float] = field(default_factory=dict)
    marked: list[Marked] = field(default_factory=list)
    overlap: dict[str, Any] = field(default_factory=dict)
    aligned: dict[str, np.ndarray] = field(default_factory=dict)
    exposure: list[dict[str, float]] = field(default_factory=list)
    beam_rows: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    beam_sizes: list[BeamSize] = field(default_factory=list)
    frequencies: dict[str, Any] = field(default_factory=dict)
    shown: dict[int, Row] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.facts["rows"])

    @property
    def hidden(self) -> bool:
        """Whether texts of rows are left out of the report; see `hf_seq2seq.analysis.hidden_texts`."""
        return not self.facts.get("texts", True)

    def rows(self) -> Iterator[Row]:
        """Every row, read from its file, for what shows texts or tokens; they are empty if they are hidden."""
        for row in self.whole_rows():
            yield without_texts(row, self.facts["task"]) if self.hidden else row

    def whole_rows(self) -> Iterator[Row]:
        """Every row with its texts, even if they are hidden: for what only counts."""
        with self.file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)

    @property
    def supervised(self) -> bool:
        """Whether the rows have references."""
        return bool(self.facts.get("references", True))

    @property
    def sign(self) -> int:
        """1 if a higher score is better, -1 if a lower one is."""
        return 1 if self.metric.greater_is_better else -1

    def worst_first(self) -> np.ndarray:
        """The numbers of the rows, worst score first; long rows before short ones of the same score.

        Without references, the least confidence comes first.
        """
        if not self.supervised:
            sizes = self.figures["source_tokens"]
            return np.lexsort((-sizes, self.figures.get("confidence", np.zeros(len(sizes)))))
        sign = -1 if self.facts.get("problem") == "regression" else self.sign
        return np.lexsort((-self.figures["source_tokens"], sign * self.figures["score"]))


@dataclass(frozen=True)
class Table:
    """A table, whose rows can be sorted and filtered.

    Attributes:
        caption: what it shows.
        columns: the headings.
        rows: cells of text, numbers or None.
    """

    caption: str
    columns: tuple[str, ...]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Section:
    """One analysis: a tab of the page and an object of the JSON file.

    Attributes:
        title: its heading.
        text: paragraphs that say what is computed, and how to read it.
        numbers: the figures, for the JSON file.
        tables: the same for people.
        pictures: SVG by name; the name is that of the file beside the page.
        heats: attention, or saliency, that can be explored.
        marked: texts with what each token adds.
        left_out: what this model has none of, and why.
    """

    title: str
    text: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    pictures: dict[str, str] = field(default_factory=dict)
    heats: tuple[Heat, ...] = ()
    marked: tuple[Marked, ...] = ()
    left_out: str = ""
