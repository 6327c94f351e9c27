"""BERT's pairs for next-sentence prediction."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.rows import gather, offsets_of, ranks
from hf_seq2seq.ragged import Ragged


class SentencePairs(NamedTuple):
    """Ragged `[CLS] A [SEP] B [SEP]`.

    Attributes:
        tokens: the rows.
        token_types: 0 for `[CLS] A [SEP]`, 1 for `B [SEP]`, `(tokens,)` int32.
        is_next: whether B followed A, `(rows,)` bool.
    """

    tokens: Ragged
    token_types: np.ndarray
    is_next: np.ndarray


@dataclass(frozen=True)
class NextSentence:
    """Pairs every sentence with the next of its document or, in half of the cases, with one of another document.

    Paper: Devlin et al. 2019, section 3.1 and appendix A.2, https://aclanthology.org/N19-1423
    A "sentence" there is any stretch of text: to fill long rows, pass stretches of several sentences. A pair that is
    too long is truncated at the end of its longer part.

    Attributes:
        cls: id of `[CLS]`.
        sep: id of `[SEP]`.
        max_tokens: most tokens of a row, the three special ones included.
        next_share: share of pairs where B is the next sentence.

    Raises:
        InputError: fewer than five tokens.
    """

    cls: int
    sep: int
    max_tokens: int = 512
    next_share: float = 0.5

    def __post_init__(self) -> None:
        if self.max_tokens < 5:
            raise InputError(f"max_tokens: {self.max_tokens} hold no two sentences and three special tokens")

    def __call__(self, sentences: Ragged, documents: np.ndarray, rng: np.random.Generator) -> SentencePairs:
        """Builds a pair from every sentence that has a successor.

        Args:
            sentences: their tokens, no special ones, in reading order.
            documents: the document of each sentence, `(sentences,)`, sorted.
            rng: gives the randomness.

        Raises:
            InputError: there is only one document, so that there is no other to draw from.
        """
        if len(documents) and documents[0] == documents[-1]:
            raise InputError("next-sentence prediction needs two documents: one is given")
        first = np.flatnonzero(documents[1:] == documents[:-1])
        is_next = rng.random(len(first)) < self.next_share
        second = np.where(is_next, first + 1, _elsewhere(documents, first, rng))
        lengths = sentences.lengths
        a, b = truncated(lengths[first], lengths[second], self.max_tokens - 3)
        return self._join(sentences, (first, a), (second, b), is_next)

    def _join(
        self,
        sentences: Ragged,
        first: tuple[np.ndarray, np.ndarray],
        second: tuple[np.ndarray, np.ndarray],
        is_next: np.ndarray,
    ) -> SentencePairs:
        a, b = first[1], second[1]
        offsets = offsets_of(a + b + 3)
        place = ranks(a + b + 3)
        long = np.repeat(a, a + b + 3)
        values = np.full(offsets[-1], self.sep, dtype=np.int32)
        values[offsets[:-1]] = self.cls
        inner = np.append(place[1:] != 0, False)[: len(place)] & (place != 0) & (place != long + 1)
        late = place > long + 1
        values[inner & ~late] = gather(sentences, sentences.offsets[first[0]], a)
        values[inner & late] = gather(sentences, sentences.offsets[second[0]], b)
        return SentencePairs(Ragged(values, offsets), late.astype(np.int32), is_next)


def _elsewhere(documents: np.ndarray, sentences: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each of the `sentences` a random one of any other document, each equally likely."""
    begins = np.searchsorted(documents, documents[sentences])
    sizes = np.searchsorted(documents, documents[sentences], side="right") - begins
    drawn = (rng.random(len(sentences)) * (len(documents) - sizes)).astype(np.int64)
    return np.where(drawn < begins, drawn, drawn + sizes)


def truncated(a: np.ndarray, b: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of pairs that sum to at most `most`, truncating the longer of the two first; both `(rows,)`."""
    short = np.minimum(np.minimum(a, b), most // 2)
    long = np.minimum(np.maximum(a, b), most - short)
    return np.where(a <= b, short, long), np.where(a <= b, long, short)
