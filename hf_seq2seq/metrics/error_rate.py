"""Error rates of sequences of tokens, in percent.

Two fields use "word error rate" for two things. Where pronunciations are predicted, a word is a row: its word error
rate is the share of rows that are not wholly right, and the edits inside the rows are the phoneme error rate. Where
speech is recognised, a word is a token: its word error rate is the edits over the tokens. Here `word_error_rate` is
the former, and the latter is called `token_error_rate`.
"""

from collections.abc import Hashable, Sequence

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, TextRows, check_rows


def edit_distance(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """Fewest insertions, deletions and substitutions that turn one sequence into the other (Levenshtein).

    A column of the usual table is held as two bit vectors, its steps up and its steps down, so that a token of
    `right` costs a dozen operations on whole integers instead of a Python loop over `left`.

    Paper: Myers 1999, A fast bit-vector algorithm for approximate string matching,
        https://doi.org/10.1145/316542.316550; in Hyyrö's 2003 form, with the boundary of a global distance.
    """
    if not left:
        return len(right)
    everywhere = (1 << len(left)) - 1
    last = 1 << (len(left) - 1)
    places: dict[Hashable, int] = {}
    for place, token in enumerate(left):
        places[token] = places.get(token, 0) | 1 << place
    up, down, distance = everywhere, 0, len(left)
    for token in right:
        match = places.get(token, 0)
        diagonal = (((match & up) + up) ^ up) | match | down
        right_up = down | ~(diagonal | up)
        right_down = diagonal & up
        distance += bool(right_up & last) - bool(right_down & last)
        right_up = right_up << 1 | 1
        right_down <<= 1
        up = (right_down | ~(diagonal | right_up)) & everywhere
        down = right_up & diagonal & everywhere
    return distance


def _edit_rate(predictions: Sequence[str], references: TextRows) -> float:
    check_rows(predictions, references)
    edits = tokens = 0
    for prediction, accepted in zip(predictions, references, strict=True):
        said = prediction.split()
        # Of equally near references the longest counts, so that their order does not matter.
        nearest, length = min((edit_distance(said, r.split()), -len(r.split())) for r in accepted)
        edits, tokens = edits + nearest, tokens - length
    if not tokens:
        raise InputError("metrics: an error rate needs references with at least one token, and all are empty")
    return 100 * edits / tokens


def phoneme_error_rate(predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    """Edits over reference phonemes of the whole corpus, in percent; phonemes are separated by white space.

    Each row is compared with its nearest reference. Above 100 when the output is far too long.

    Raises:
        InputError: the references hold no phoneme at all.
    """
    return {"phoneme_error_rate": _edit_rate(predictions, references)}


def token_error_rate(predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    """Edits over reference tokens of the whole corpus, in percent: the same computation for any tokens.

    With words for tokens this is what speech recognition calls word error rate.

    Raises:
        InputError: the references hold no token at all.
    """
    return {"token_error_rate": _edit_rate(predictions, references)}


def word_error_rate(predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    """Share of rows whose sequence of tokens equals none of its references, in percent: one row is one word."""
    check_rows(predictions, references)
    wrong = sum(
        prediction.split() not in [reference.split() for reference in accepted]
        for prediction, accepted in zip(predictions, references, strict=True)
    )
    return {"word_error_rate": 100 * wrong / len(predictions)}


PHONEME_ERROR_RATE = Metric(phoneme_error_rate, False, ("phoneme_error_rate",))
TOKEN_ERROR_RATE = Metric(token_error_rate, False, ("token_error_rate",))
WORD_ERROR_RATE = Metric(word_error_rate, False, ("word_error_rate",))
