"""Exact match: how often the whole output is right."""

from collections.abc import Sequence

from hf_seq2seq.metrics.metric import Scores, TextRows, averaged, check_rows


def _rows(predictions: Sequence[str], references: TextRows) -> list[float]:
    check_rows(predictions, references)
    return [
        100.0 * (prediction.strip() in {reference.strip() for reference in accepted})
        for prediction, accepted in zip(predictions, references, strict=True)
    ]


EXACT_MATCH = averaged(_rows, True, ("exact_match",))


def exact_match(predictions: Sequence[str], references: TextRows) -> Scores:
    """Share of rows whose prediction equals one of its references, 0-100.

    White space around the text is ignored; case, punctuation and inner white space count.
    """
    return EXACT_MATCH.compute(predictions, references)
