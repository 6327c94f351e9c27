"""ROUGE-1 F1 between sentences and the rest of their document, over token ids and for all documents at once.

Since precision and recall share their numerator, F1 is twice the overlap divided by the sum of both lengths.

Papers: Lin 2004, https://aclanthology.org/W04-1013; Zhang et al. 2020 (PEGASUS), section 3.1,
https://proceedings.mlr.press/v119/zhang20ae.html
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hf_seq2seq.ragged import Ragged

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class WordCounts:
    """How often each word occurs in a sentence and in its document.

    An entry is a word of a sentence; a type is a word of a document.

    Attributes:
        sentence: the sentence of each entry, `(entries,)`.
        type_of: the type of each entry, `(entries,)`.
        count: how often the word occurs in the sentence, `(entries,)`.
        document: the document of each type, `(types,)`.
        total: how often the word occurs in the document, `(types,)`.
        rows: the document of each sentence, `(sentences,)`.
    """

    sentence: np.ndarray
    type_of: np.ndarray
    count: np.ndarray
    document: np.ndarray
    total: np.ndarray
    rows: np.ndarray

    def only(self, documents: np.ndarray) -> "WordCounts":
        """The counts of a subset of the documents, which keep their indices; `documents` is `(documents,)` bool."""
        types, sentences = documents[self.document], documents[self.rows]
        entries = types[self.type_of]
        return WordCounts(
            sentence=(np.cumsum(sentences) - 1)[self.sentence[entries]],
            type_of=(np.cumsum(types) - 1)[self.type_of[entries]],
            count=self.count[entries],
            document=self.document[types],
            total=self.total[types],
            rows=self.rows[sentences],
        )


def count_words(tokens: Ragged, sentences: Ragged) -> WordCounts:
    """Counts the words of sentences.

    Args:
        tokens: documents.
        sentences: where their sentences begin, as returned by `runs_of`.
    """
    rows = np.repeat(np.arange(len(tokens.offsets) - 1), sentences.lengths)
    rank = np.arange(len(rows)) - sentences.offsets[rows]
    lengths = np.diff(sentences.values)
    # Sorting by document, word and sentence at once makes occurrences of a word in a document adjacent.
    width, most = int(tokens.values.max(initial=0)) + 1, int(sentences.lengths.max(initial=0)) + 1
    keys = (np.repeat(rows * width, lengths) + tokens.values) * most + np.repeat(rank, lengths)
    entries, _, count = _groups(np.sort(keys))
    words, type_of, _ = _groups(entries // most)
    document = words // width
    return WordCounts(
        sentence=entries % most + sentences.offsets[document[type_of]],
        type_of=type_of,
        count=count,
        document=document,
        total=np.bincount(type_of, count, len(words)).astype(np.int64),
        rows=rows,
    )


def _groups(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct ones of sorted keys, the index of each key among them, and the count of each."""
    new = np.ones(len(keys), dtype=bool)
    new[1:] = keys[1:] != keys[:-1]
    begins = np.flatnonzero(new)
    return keys[begins], np.cumsum(new) - 1, np.diff(np.append(begins, len(keys)))


def rouge1(words: WordCounts, chosen: np.ndarray, unique: bool) -> np.ndarray:
    """ROUGE-1 F1, 0-1, between the chosen sentences plus one candidate and all other sentences of the document.

    Args:
        words: the counts.
        chosen: `(sentences,)` bool; all false for the score of a single sentence.
        unique: whether repeated words count once on either side ("uniq"), else each time ("orig").

    Returns:
        The score with each sentence as the candidate, `(sentences,)`; meaningless for chosen ones.
    """
    inside = np.bincount(words.type_of, words.count * chosen[words.sentence], len(words.total)).astype(np.int64)
    overlap = _with_one_more(words, inside, _common if unique else np.minimum)
    size = _with_one_more(words, inside, _both if unique else np.add)
    return 2 * overlap / np.maximum(size, 1)


def _with_one_more(words: WordCounts, inside: np.ndarray, measure: Measure) -> np.ndarray:
    """The sum over all words of the document of a measure of their counts inside and outside the selection.

    Only the words of the candidate sentence change, so it is recomputed only for them.
    """
    before = measure(inside, words.total - inside)
    after = inside[words.type_of] + words.count
    change = measure(after, words.total[words.type_of] - after) - before[words.type_of]
    return np.bincount(words.document, before, _size(words))[words.rows] + np.bincount(
        words.sentence, change, len(words.rows)
    )


def _size(words: WordCounts) -> int:
    return int(words.rows[-1]) + 1 if len(words.rows) else 0


def _common(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    return ((inside > 0) & (outside > 0)).astype(np.int64)


def _both(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    return (inside > 0).astype(np.int64) + (outside > 0)


def best(scores: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The sentences with the highest scores of their documents; ties go to the earlier sentence.

    Args:
        scores: `(sentences,)`.
        rows: the document of each sentence, sorted, `(sentences,)`.
        counts: how many to take from each document, `(documents,)`.

    Returns:
        `(sentences,)` bool.
    """
    order = np.lexsort((-scores, rows))
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    taken = np.zeros(len(rows), dtype=bool)
    taken[order[rank < counts[rows]]] = True
    return taken


def best_in_turn(words: WordCounts, counts: np.ndarray, unique: bool) -> np.ndarray:
    """Greedy selection: sentences are added one by one, each maximizing the score of the chosen set.

    Args:
        words: the counts.
        counts: how many to take of each document, `(documents,)`.
        unique: as in `rouge1`.

    Returns:
        `(sentences,)` bool.
    """
    taken = np.zeros(len(words.rows), dtype=bool)
    left = counts.copy()
    places = np.arange(len(words.rows))
    while True:
        words, places = words.only(left > 0), places[(left > 0)[words.rows]]
        if not len(places):
            return taken
        chosen = taken[places]
        scores = np.where(chosen, -1.0, rouge1(words, chosen, unique))
        taken[places[best(scores, words.rows, np.minimum(left, 1))]] = True
        left = np.maximum(left - 1, 0)
