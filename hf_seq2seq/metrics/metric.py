"""The definition of a metric: a function from predictions to named scores, and whether higher is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.errors import InputError

TextRows = Sequence[Sequence[str]]
Scores = dict[str, float]
Table = Any
"""Numbers `(rows, statistics)`: an array, or a list of lists where numpy would take longer to import than to sum."""


class SourcedRow(list[str]):
    """The references of a row, with its source for metrics that read it.

    Args:
        references: acceptable texts; none for a metric that needs none.
        source: the text that the prediction was made from.
    """

    __slots__ = ("source",)

    def __init__(self, references: Sequence[str], source: str) -> None:
        super().__init__(references)
        self.source = source


def with_sources(references: Sequence[Sequence[str]], sources: Sequence[Any]) -> list[list[str]]:
    """Rows of references with their sources; sources that are not texts, such as conversations, are left out."""
    return [
        SourcedRow(row, source) if isinstance(source, str) else list(row)
        for row, source in zip(references, sources, strict=True)
    ]


@dataclass(frozen=True)
class Metric:
    """A metric that a run can report and use to select its best checkpoint.

    Attributes:
        compute: for text, `(predictions, references) -> scores`, one prediction and one or more references per row; for
            labels, `(logits, labels) -> scores`, arrays of `(rows, classes)` or `(rows,)`; for likelihoods see
            `language_modelling`.
        greater_is_better: False for errors and losses; applies to all keys.
        keys: the names of the scores that `compute` returns.
        problems: problem types it applies to: "seq2seq", "single_label", "multi_label", "regression", "likelihood".
        signature: given the references, how the scores were computed, in citable form; None where the name is
            sufficient.
        statistics: takes the arguments of `compute` and returns `(rows, statistics)` numbers whose sum over rows
            determines the scores; None if there are no such statistics. They make resampling fast and streaming
            possible.
        score: computes the scores from the summed statistics, `(statistics,)`, a list or an array; required
            with `statistics`.
        streams: whether a row's statistics depend on that row alone, so that rows may arrive in chunks.
        empty_rows: whether an empty text is meaningful, such as an alignment without links.
        doubts: given predictions and references, the number of rows whose scores are misleading; None if scores never
            are.
        aligned: whether a prediction must have as many words as its reference, as for files of tags.
        needs_sources: whether rows have to be made by `with_sources`.
        needs_references: False if rows may lack references.
        emptiness: given the summed statistics, why the score is 0 whatever the texts say; "" where it is not.
        doubt: what is wrong with those rows, and what to use instead; it follows "in 3 of 5 rows".
    """

    compute: Callable[..., Scores]
    greater_is_better: bool
    keys: tuple[str, ...]
    problems: tuple[str, ...] = ("seq2seq",)
    signature: Callable[[TextRows], str] | None = None
    statistics: Callable[..., Table] | None = None
    score: Callable[[Any], Scores] | None = None
    streams: bool = False
    empty_rows: bool = False
    doubts: Callable[[Sequence[str], TextRows], int] | None = None
    doubt: str = ""
    aligned: bool = False
    needs_sources: bool = False
    needs_references: bool = True
    emptiness: Callable[[Any], str] | None = None


CORRELATIONS = ("matthews", "pearson", "spearman")
"""Scores of -1 to 1."""


def perfect_score(key: str, greater: bool) -> float:
    """The best possible value of a score, which a set's name may precede: no errors, a correlation of 1, or 100 %."""
    return (1.0 if key.endswith(CORRELATIONS) else 100.0) if greater else 0.0


def summed(
    statistics: Callable[..., Table],
    score: Callable[[Any], Scores],
    greater_is_better: bool,
    keys: tuple[str, ...],
    **more: Any,
) -> Metric:
    """A metric whose scores are a function of statistics summed over rows; it streams by default."""

    def compute(predictions: Any, truth: Any) -> Scores:
        return score(total(statistics(predictions, truth)))

    return Metric(compute, greater_is_better, keys, statistics=statistics, score=score, **{"streams": True} | more)


def averaged(
    rows: Callable[..., Any],
    greater_is_better: bool,
    keys: tuple[str, ...],
    **more: Any,
) -> Metric:
    """A metric whose scores are means over rows of what `rows` returns: `(rows, keys)` or, for one key, `(rows,)`."""

    def statistics(predictions: Any, truth: Any) -> Table:
        found = rows(predictions, truth)
        if isinstance(found, list):
            return [[*(row if isinstance(row, tuple) else (row,)), 1.0] for row in found]
        import numpy as np

        found = np.asarray(found, dtype=np.float64).reshape(len(truth), -1)
        return np.hstack([found, np.ones((len(found), 1))])

    def score(sums: Any) -> Scores:
        return {key: float(value / sums[-1]) for key, value in zip(keys, sums[:-1], strict=True)}

    return summed(statistics, score, greater_is_better, keys, **more)


def sources_of(name: str, references: Sequence[Sequence[str]]) -> list[str]:
    """The sources of rows.

    Raises:
        InputError: they have none, or there are no rows; names the metric.
    """
    if not references:
        raise InputError("metrics: there are no predictions to score")
    found = [row.source for row in references if isinstance(row, SourcedRow)]
    if len(found) < len(references):
        raise InputError(f"metric {name!r} reads the sources; with files, add --sources FILE")
    return found


def total(table: Table) -> Any:
    """The sum over the rows, `(statistics,)`: a list of a list, an array of an array."""
    return [sum(column) for column in zip(*table, strict=True)] if isinstance(table, list) else table.sum(axis=0)


def check_rows(predictions: Sequence[str], references: TextRows) -> None:
    """Rejects text that cannot be scored; an empty prediction is valid, though wrong.

    Raises:
        InputError: the counts differ, there are no rows, or a row has no references.
    """
    if len(predictions) != len(references):
        raise InputError(f"metrics: {len(predictions)} predictions, but references for {len(references)} rows")
    if not predictions:
        raise InputError("metrics: there are no predictions to score")
    for row, accepted in enumerate(references, start=1):
        if isinstance(accepted, str):
            raise InputError(f"metrics: references of row {row} are one text; give a list of texts")
        if not accepted:
            raise InputError(f"metrics: row {row} has no reference")
