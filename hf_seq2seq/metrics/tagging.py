"""F1 of tagged spans, such as named entities, as computed by seqeval."""

from collections.abc import Sequence

import numpy as np

from hf_seq2seq.metrics.metric import Scores, TextRows, check_rows, summed

KEYS = ("seqeval_precision", "seqeval_recall", "seqeval_f1")
Span = tuple[str, int, int]


def spans(tags: Sequence[str]) -> set[Span]:
    """The spans of a row of IOB1, IOB2 or IOBES tags: type, first position, last position.

    Spans start and end as in CoNLL's evaluation, which tolerates I- in place of B-.

    Paper: Tjong Kim Sang and Buchholz 2000, the CoNLL-2000 shared task, https://aclanthology.org/W00-0726
    """
    found = set()
    last, last_kind, start = "O", "_", 0
    for place, tag in enumerate([*tags, "O"]):
        mark, kind = tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"
        other_kind = kind != last_kind
        ends = last in "ES" or (last in "BI" and mark in "BSO") or (last not in "O." and other_kind)
        starts = mark in "BS" or (last in "OES" and mark in "EI") or (mark not in "O." and other_kind)
        if ends:
            found.add((last_kind, start, place - 1))
        start = place if starts else start
        last, last_kind = mark, kind
    return found


def _counts(predictions: Sequence[str], references: TextRows) -> np.ndarray:
    """Counts of correct, predicted and true spans, `(rows, 3)`, against the reference with the most overlap."""
    check_rows(predictions, references)
    found = []
    for text, row in zip(predictions, references, strict=True):
        said = spans(text.split())
        wanted = [spans(reference.split()) for reference in row]
        right, true = max(((len(said & each), len(each)) for each in wanted), key=lambda pair: (pair[0], -pair[1]))
        found.append((right, len(said), true))
    return np.array(found, dtype=np.float64)


def precision_recall_f1(right: float, predicted: float, true: float) -> tuple[float, float, float]:
    """Precision, recall and F1, 0-100, from counts; 0 where the denominator is 0."""
    return (
        100 * right / predicted if predicted else 0.0,
        100 * right / true if true else 0.0,
        200 * right / (predicted + true) if predicted + true else 0.0,
    )


def _score(sums: np.ndarray) -> Scores:
    return dict(zip(KEYS, precision_recall_f1(*sums.tolist()), strict=True))


def _uneven(predictions: Sequence[str], references: TextRows) -> int:
    """Rows whose prediction differs in length from every reference."""
    pairs = zip(predictions, references, strict=True)
    return sum(len(text.split()) not in {len(reference.split()) for reference in row} for text, row in pairs)


SEQEVAL = summed(
    _counts,
    _score,
    True,
    KEYS,
    signature=lambda references: "average:micro|scheme:CoNLL",
    doubts=_uneven,
    doubt="the prediction differs from the reference in its number of tags, so that its spans are misaligned",
    aligned=True,
)


def seqeval(predictions: Sequence[str], references: TextRows) -> Scores:
    """Precision, recall and F1 over all spans of a corpus, 0-100; a row is whitespace-separated tags."""
    return SEQEVAL.compute(predictions, references)
