"""Exact match, and edit distance in characters."""

from collections.abc import Sequence

from hf_seq2seq.metrics.error_rate import edit_distance
from hf_seq2seq.metrics.metric import Scores, TextRows, averaged, check_rows


def _rows(predictions: Sequence[str], references: TextRows) -> list[float]:
    check_rows(predictions, references)
    return [
        100.0 * (prediction.strip() in {reference.strip() for reference in accepted})
        for prediction, accepted in zip(predictions, references, strict=True)
    ]


def _edits(predictions: Sequence[str], references: TextRows) -> list[float]:
    check_rows(predictions, references)
    return [
        min(edit_distance(prediction.strip(), reference.strip()) for reference in accepted)
        for prediction, accepted in zip(predictions, references, strict=True)
    ]


def _likenesses(predictions: Sequence[str], references: TextRows) -> list[float]:
    check_rows(predictions, references)
    return [
        100 * max(_likeness(prediction.strip(), reference.strip()) for reference in accepted)
        for prediction, accepted in zip(predictions, references, strict=True)
    ]


def _likeness(said: str, wanted: str) -> float:
    return 1 - edit_distance(said, wanted) / max(len(said), len(wanted), 1)


EXACT_MATCH = averaged(_rows, True, ("exact_match",))
LEVENSHTEIN = averaged(_edits, False, ("levenshtein",))
EDIT_ACCURACY = averaged(_likenesses, True, ("edit_accuracy",))


def exact_match(predictions: Sequence[str], references: TextRows) -> Scores:
    """Share of rows whose prediction equals one of the references, 0-100.

    Surrounding white space is ignored; case, punctuation and inner white space count.
    """
    return EXACT_MATCH.compute(predictions, references)


def levenshtein(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean edit distance to the nearest reference, in characters, as used for morphological inflection.

    Paper: Cotterell et al. 2017, the CoNLL-SIGMORPHON shared task, section 5, https://aclanthology.org/K17-2001
    """
    return LEVENSHTEIN.compute(predictions, references)


def edit_accuracy(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean over rows of 1 - edit distance / characters of the longer text, 0-100: near misses earn partial credit."""
    return EDIT_ACCURACY.compute(predictions, references)
