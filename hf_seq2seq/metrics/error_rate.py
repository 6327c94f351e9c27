"""Error rates of token sequences, in percent.

Two fields use the term "word error rate" differently. In grapheme-to-phoneme conversion a word is a row: its word error
rate is the share of rows that are not entirely correct, and the edits within rows give the phoneme error rate. In
speech recognition a word is a token: its word error rate is the number of edits over the number of tokens. Here
`word_error_rate` is the former, and the latter is called `token_error_rate`.
"""

from collections.abc import Callable, Hashable, Sequence

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, Scores, TextRows, averaged, check_rows, summed
from hf_seq2seq.metrics.words import count_unsplit

LONGEST_PHONEME = 4
"""Most characters in a phoneme symbol, such as AH0 or t͡ɕʰ."""


def edit_distance(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """Fewest insertions, deletions and substitutions that turn one sequence into the other (Levenshtein).

    Each column of the usual table is stored as two bit vectors, its steps up and its steps down, so that each token of
    `right` costs a dozen integer operations instead of a Python loop over `left`.

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


def _edits(predictions: Sequence[str], references: TextRows) -> list[list[float]]:
    """Edits to the nearest reference, and its number of tokens, `(rows, 2)`."""
    check_rows(predictions, references)
    found: list[list[float]] = []
    for prediction, accepted in zip(predictions, references, strict=True):
        said = prediction.split()
        # Ties go to the longest reference, so that the order of references does not matter.
        nearest, length = min((edit_distance(said, r.split()), -len(r.split())) for r in accepted)
        found.append([nearest, -length])
    return found


def _edit_rate(name: str, doubts: Callable[[Sequence[str], TextRows], int], doubt: str) -> Metric:
    def score(sums: Sequence[float]) -> Scores:
        edits, tokens = map(float, sums)
        if not tokens:
            raise InputError("metrics: an error rate needs references with at least one token, and all are empty")
        return {name: 100 * edits / tokens}

    return summed(_edits, score, False, (name,), doubts=doubts, doubt=doubt)


def _single_runs(predictions: Sequence[str], references: TextRows) -> int:
    """Rows whose reference is a single run of letters too long to be a phoneme."""
    return sum(len(row[0].split()) == 1 and len(row[0].strip()) > LONGEST_PHONEME for row in references)


def _unspaced(predictions: Sequence[str], references: TextRows) -> int:
    return count_unsplit(row[0] for row in references)


def _wrong_rows(predictions: Sequence[str], references: TextRows) -> list[float]:
    check_rows(predictions, references)
    return [
        100.0 * (prediction.split() not in [reference.split() for reference in accepted])
        for prediction, accepted in zip(predictions, references, strict=True)
    ]


PHONEME_ERROR_RATE = _edit_rate(
    "phoneme_error_rate",
    _single_runs,
    "the reference has no spaces and counts as one phoneme; edit_accuracy compares characters",
)
TOKEN_ERROR_RATE = _edit_rate(
    "token_error_rate",
    _unspaced,
    "text is written without spaces, so that its words are not found; edit_accuracy compares characters",
)
WORD_ERROR_RATE = averaged(_wrong_rows, False, ("word_error_rate",))


def phoneme_error_rate(predictions: Sequence[str], references: TextRows) -> Scores:
    """Edits over reference phonemes of the whole corpus, in percent; phonemes are separated by white space.

    Each row is compared with its nearest reference. The rate exceeds 100 when the output is far too long.

    Raises:
        InputError: the references contain no phonemes.
    """
    return PHONEME_ERROR_RATE.compute(predictions, references)


def token_error_rate(predictions: Sequence[str], references: TextRows) -> Scores:
    """Edits over reference tokens of the whole corpus, in percent: the same computation for any kind of token.

    With words as tokens this is the word error rate of speech recognition.

    Raises:
        InputError: the references contain no tokens.
    """
    return TOKEN_ERROR_RATE.compute(predictions, references)


def word_error_rate(predictions: Sequence[str], references: TextRows) -> Scores:
    """Share of rows whose token sequence matches none of the references, in percent: each row is one word."""
    return WORD_ERROR_RATE.compute(predictions, references)
