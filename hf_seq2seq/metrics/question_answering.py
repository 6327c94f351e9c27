"""Exact match and F1 of answers, as computed by SQuAD's official script.

Paper: Rajpurkar et al., 2016, section 6.1, https://aclanthology.org/D16-1264
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

from hf_seq2seq.metrics.metric import Scores, TextRows, averaged, check_rows
from hf_seq2seq.metrics.words import count_unsplit

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized_words(answer: str) -> list[str]:
    """The words of an answer in lower case, without ASCII punctuation and the articles a, an and the."""
    return _ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split()


def word_f1(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """Harmonic mean of word precision and recall, 0-1, counting repeated words; two empty answers match."""
    if not prediction or not reference:
        return float(prediction == reference)
    shared = (Counter(prediction) & Counter(reference)).total()
    return 2 * shared / (len(prediction) + len(reference))


def _rows(predictions: Sequence[str], references: TextRows) -> list[tuple[float, float]]:
    check_rows(predictions, references)
    found = []
    for prediction, accepted in zip(predictions, references, strict=True):
        words = normalized_words(prediction)
        wanted = [normalized_words(reference) for reference in accepted]
        found.append((100.0 * (words in wanted), 100 * max(word_f1(words, reference) for reference in wanted)))
    return found


# An empty answer means that the text contains no answer.
def _unspaced(predictions: Sequence[str], references: TextRows) -> int:
    return count_unsplit(row[0] for row in references if row)


SQUAD = averaged(
    _rows,
    True,
    ("squad_exact_match", "squad_f1"),
    empty_rows=True,
    doubts=_unspaced,
    doubt="text is written without spaces, so that F1 finds no words; edit_accuracy or chrf suits it",
)


def squad(predictions: Sequence[str], references: TextRows) -> Scores:
    """Share of answers that equal a reference after normalization, and mean F1 with the nearest reference, 0-100.

    Where either answer is empty after normalization, F1 is 1 if both are, as in SQuAD 2.0's script (Rajpurkar et al.,
    2018); SQuAD 1.1's script gives 0 for two empty answers, which do not occur in its data.
    """
    return SQUAD.compute(predictions, references)
