"""Exact match: how often the whole output is right."""

from collections.abc import Sequence

from hf_seq2seq.metrics.metric import Metric, TextRows, check_rows


def exact_match(predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    """Share of rows whose prediction equals one of its references, 0-100.

    White space around the text is ignored; case, punctuation and inner white space count.
    """
    check_rows(predictions, references)
    right = sum(
        prediction.strip() in {reference.strip() for reference in accepted}
        for prediction, accepted in zip(predictions, references, strict=True)
    )
    return {"exact_match": 100 * right / len(predictions)}


EXACT_MATCH = Metric(exact_match, True, ("exact_match",))
