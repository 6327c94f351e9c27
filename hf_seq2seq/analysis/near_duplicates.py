"""Near duplicates of given texts: all those whose sets of character trigrams overlap enough, found by an index.

Of two sets whose Jaccard similarity is at least t, the first |x| - ceil(t |x|) + 1 members in any common order share
one. With the rarest first, only texts that share a rare trigram are compared; none is missed.

Paper: Bayardo et al. 2007, Scaling Up All Pairs Similarity Search, section 4, https://doi.org/10.1145/1242572.1242591
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

SIMILAR = 0.8
"""Least Jaccard similarity of near duplicates."""
SIZE = 3
_NO_WORD = re.compile(r"[\W_]+")


def trigrams(text: str) -> frozenset[str]:
    """The character trigrams of a text's words, ignoring case, punctuation and the kind of spaces."""
    words = _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    padded = f" {words or text.strip()} "
    return frozenset(padded[start : start + SIZE] for start in range(max(1, len(padded) - SIZE + 1)))


def similarity(left: frozenset[str], right: frozenset[str]) -> float:
    """Members that both have over members of either, 0 to 1."""
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


class NearDuplicates:
    """An index of texts.

    Args:
        texts: to be found.
        least: their least similarity, above 0.
    """

    def __init__(self, texts: Sequence[str], least: float = SIMILAR) -> None:
        self._least, self._sets = least, [trigrams(text) for text in texts]
        self._counts = Counter(gram for grams in self._sets for gram in grams)
        self._places = dict[str, list[int]]()
        for number, grams in enumerate(self._sets):
            for gram in self._rarest(grams):
                self._places.setdefault(gram, []).append(number)

    def like(self, text: str) -> list[tuple[int, float]]:
        """The numbers and similarities of all texts that are similar enough to this one, in order."""
        grams = trigrams(text)
        near = {number for gram in self._rarest(grams) for number in self._places.get(gram, ())}
        found = []
        for number in sorted(near):
            other = self._sets[number]
            if min(len(grams), len(other)) >= self._least * max(len(grams), len(other)):
                alike = similarity(grams, other)
                if alike >= self._least:
                    found.append((number, alike))
        return found

    def _rarest(self, grams: frozenset[str]) -> list[str]:
        first = len(grams) - math.ceil(self._least * len(grams)) + 1
        return sorted(grams, key=lambda gram: (self._counts[gram], gram))[:first]
