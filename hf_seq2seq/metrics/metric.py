"""What every metric is: a function from predictions to named scores, and which way is up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hf_seq2seq.errors import InputError

TextRows = Sequence[Sequence[str]]
Scores = dict[str, float]


@dataclass(frozen=True)
class Metric:
    """A metric that a run can report and choose its best checkpoint by.

    Attributes:
        compute: for text, `(predictions, references) -> scores`, one prediction and one or more references a row;
            for labels, `(logits, labels) -> scores`, arrays of `(rows, classes)` or `(rows,)`; for likelihoods as
            `language_modelling` says.
        greater_is_better: False for errors and losses; holds for all keys.
        keys: the names of the scores that `compute` returns.
        problems: where it applies: "seq2seq", "single_label", "multi_label", "regression", "likelihood".
        signature: given the references, how the scores were computed, in a form that can be cited; None where the
            name says it all.
        statistics: takes what `compute` takes and gives `(rows, statistics)` numbers whose sum over the rows is all
            that the scores depend on; None where there are none. They make resampling fast and streaming possible.
        score: the scores of summed statistics, `(statistics,)`; goes with `statistics`.
        streams: whether a row's statistics depend on that row alone, so that rows may come in pieces.
        empty_rows: whether an empty text says something, as an alignment without links does.
        doubts: given predictions and references, in how many rows the scores do not mean what they seem to; None where
            they always do.
        aligned: whether a prediction must have as many words as its reference, which files of tags can be held to.
        doubt: what is so in those rows, and what is better: it follows "in 3 of 5 rows".
    """

    compute: Callable[..., Scores]
    greater_is_better: bool
    keys: tuple[str, ...]
    problems: tuple[str, ...] = ("seq2seq",)
    signature: Callable[[TextRows], str] | None = None
    statistics: Callable[..., np.ndarray] | None = None
    score: Callable[[np.ndarray], Scores] | None = None
    streams: bool = False
    empty_rows: bool = False
    doubts: Callable[[Sequence[str], TextRows], int] | None = None
    doubt: str = ""
    aligned: bool = False


def summed(
    statistics: Callable[..., np.ndarray],
    score: Callable[[np.ndarray], Scores],
    greater_is_better: bool,
    keys: tuple[str, ...],
    **more: Any,
) -> Metric:
    """A metric whose scores are a function of statistics summed over the rows; it streams unless told not to."""

    def compute(predictions: Any, truth: Any) -> Scores:
        return score(statistics(predictions, truth).sum(axis=0))

    return Metric(compute, greater_is_better, keys, statistics=statistics, score=score, **{"streams": True} | more)


def averaged(
    rows: Callable[..., ArrayLike],
    greater_is_better: bool,
    keys: tuple[str, ...],
    **more: Any,
) -> Metric:
    """A metric whose scores are means over the rows of what `rows` gives: `(rows, keys)` or, for one key, `(rows,)`."""

    def statistics(predictions: Any, truth: Any) -> np.ndarray:
        found = np.asarray(rows(predictions, truth), dtype=np.float64).reshape(len(truth), -1)
        return np.hstack([found, np.ones((len(found), 1))])

    def score(sums: np.ndarray) -> Scores:
        return {key: float(value / sums[-1]) for key, value in zip(keys, sums[:-1], strict=True)}

    return summed(statistics, score, greater_is_better, keys, **more)


def check_rows(predictions: Sequence[str], references: TextRows) -> None:
    """Refuses text that cannot be scored; an empty prediction is fine, it is merely wrong.

    Raises:
        InputError: unequal counts, nothing at all, or a row without references.
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
