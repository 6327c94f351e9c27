"""The target of the most similar training source, by edit distance or by the cosine of TF-IDF vectors.

Paper: Manning, Raghavan and Schütze, 2008, sections 3.3.3, 6.2 and 6.3, https://nlp.stanford.edu/IR-book/
"""

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_seq2seq.baselines.baseline import Baseline, Writer
from hf_seq2seq.metrics.words import words
from hf_seq2seq.sections import Section, option

WORD = 30
"""Characters of a source, on average, up to which sources are compared by their characters."""


@dataclass(frozen=True, kw_only=True)
class Options(Section):
    """Baseline: the nearest neighbour."""

    similarity: str | None = option(
        None,
        "What is near; by default edit_distance for single words, tf_idf for longer texts.",
        choices=("edit_distance", "tf_idf"),
    )


class EditDistances:
    """Training texts, and the nearest of them by insertions, deletions and substitutions of characters.

    Args:
        texts: of the training rows.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        rows: dict[int, list[int]] = defaultdict(list)
        for row, text in enumerate(texts):
            rows[len(text)].append(row)
        self._rows = {length: np.array(found) for length, found in rows.items()}
        self._characters = {
            length: np.array([_codes(texts[row]) for row in found]).reshape(len(found), length)
            for length, found in rows.items()
        }

    def nearest(self, text: str) -> int:
        """The row of the nearest text; of several, the first."""
        best = (math.inf, -1)
        for length in sorted(self._rows, key=lambda length: abs(length - len(text))):
            if abs(length - len(text)) > best[0]:
                break
            distances = edit_distances(_codes(text), self._characters[length])
            place = int(distances.argmin())
            best = min(best, (int(distances[place]), int(self._rows[length][place])))
        return best[1]


def edit_distances(text: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Edit distances of a text to texts of one length, `(texts,)`.

    Args:
        text: character codes, `(characters,)`.
        others: the same, `(texts, length)`.
    """
    places = np.arange(others.shape[1] + 1)
    row = np.tile(places, (len(others), 1))
    for number, character in enumerate(text, start=1):
        best = np.minimum(row[:, 1:] + 1, row[:, :-1] + (others != character))
        first = np.full((len(others), 1), number)
        # Insertions go from left to right: the least of what stands before, plus the distance from there.
        row = np.minimum.accumulate(np.hstack([first, best]) - places, axis=1) + places
    return row[:, -1]


def _codes(text: str) -> np.ndarray:
    return np.array([ord(character) for character in text], dtype=np.int32)


class TfIdf:
    """Training texts as TF-IDF vectors of length 1: counts of words times log((1 + texts) / (1 + texts with it)) + 1.

    Args:
        texts: of the training rows.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(words(text)) for text in texts]
        frequencies = Counter(word for found in counts for word in found)
        self.weights = {word: math.log((1 + len(texts)) / (1 + n)) + 1 for word, n in frequencies.items()}
        self._size = len(texts)
        postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for row, found in enumerate(counts):
            for word, value in self._vector(found).items():
                postings[word].append((row, value))
        self._rows = {word: np.array([row for row, _ in found]) for word, found in postings.items()}
        self._values = {word: np.array([value for _, value in found]) for word, found in postings.items()}

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        weighted = {word: count * self.weights[word] for word, count in counts.items() if word in self.weights}
        norm = math.sqrt(sum(value**2 for value in weighted.values()))
        return {word: value / norm for word, value in weighted.items()}

    def similarities(self, text: str) -> np.ndarray:
        """The cosines between a text and all rows, `(rows,)`."""
        found = np.zeros(self._size)
        for word, value in self._vector(Counter(words(text))).items():
            found[self._rows[word]] += value * self._values[word]
        return found

    def nearest(self, text: str) -> int:
        """The row of the most similar text; of several, or where no word is known, the first."""
        return int(self.similarities(text).argmax())


def train(sources: Sequence[str], targets: Sequence[str], options: Options) -> Writer:
    """Keeps the training rows."""
    mean = sum(map(len, sources)) / len(sources)
    kind = options.similarity or ("edit_distance" if mean <= WORD else "tf_idf")
    if options.similarity is None:
        print(f"nearest: similarity {kind}, for sources of {mean:.0f} characters on average", file=sys.stderr)
    index = EditDistances(sources) if kind == "edit_distance" else TfIdf(sources)
    return lambda texts: [targets[index.nearest(text)] for text in texts]


NEAREST = Baseline("The target of the most similar training source.", "pairs", train, Options)
