"""What every metric is: a function from predictions to named scores, and which way is up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hf_seq2seq.errors import InputError

TextRows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Metric:
    """A metric that a run can report and choose its best checkpoint by.

    Attributes:
        compute: for text, `(predictions, references) -> scores`, one prediction and one or more references a row;
            for labels, `(logits, labels) -> scores`, arrays of `(rows, classes)` or `(rows,)`.
        greater_is_better: False for errors and losses; holds for all keys.
        keys: the names of the scores that `compute` returns.
        problems: where it applies: "seq2seq", "single_label", "multi_label", "regression".
        signature: given the references, how the scores were computed, in a form that can be cited; None where the
            name says it all.
    """

    compute: Callable[..., dict[str, float]]
    greater_is_better: bool
    keys: tuple[str, ...]
    problems: tuple[str, ...] = ("seq2seq",)
    signature: Callable[[TextRows], str] | None = None


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
