"""Nearest words and analogies by the cosine of word vectors.

Paper: Mikolov et al., 2013, section 4, https://arxiv.org/abs/1301.3781
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hf_seq2seq.data.files.text_files import lines, opened
from hf_seq2seq.errors import InputError, nearest


class VectorSpace:
    """Words and their directions.

    Args:
        words: of the vocabulary.
        vectors: `(words, width)`.
    """

    def __init__(self, words: Sequence[str], vectors: np.ndarray) -> None:
        self.words = list(words)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.directions = vectors / np.where(norms > 0, norms, 1)
        self._ids = {word: number for number, word in enumerate(self.words)}

    def spelling(self, word: str) -> str | None:
        """The word, or else in lower case, as it has a vector; None if it has none."""
        return next((spelt for spelt in (word, word.lower()) if spelt in self._ids), None)

    def of(self, word: str) -> np.ndarray:
        """The direction of a word, `(width,)`.

        Raises:
            InputError: it has no vector; names the nearest spelling.
        """
        spelt = self.spelling(word)
        if spelt is None:
            close = nearest(word, self.words)
            raise InputError(f"{word!r} has no vector{close if 'did you mean' in close else ''}")
        return self.directions[self._ids[spelt]]

    def nearest(self, direction: np.ndarray, without: Sequence[str], count: int) -> list[tuple[str, float]]:
        """The words with the highest cosines, best first, and their cosines."""
        scores = self.directions @ (direction / (np.linalg.norm(direction) or 1))
        scores[[self._ids[spelt] for word in without if (spelt := self.spelling(word))]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:count]
        return [(self.words[place], float(scores[place])) for place in best if np.isfinite(scores[place])]

    def neighbours(self, word: str, count: int) -> list[tuple[str, float]]:
        """The words that are most like one."""
        return self.nearest(self.of(word), [word], count)

    def analogy(self, a: str, b: str, c: str, count: int = 1) -> list[tuple[str, float]]:
        """What is to `c` as `b` is to `a`; none of the three."""
        return self.nearest(self.of(b) - self.of(a) + self.of(c), [a, b, c], count)


def score_analogies(space: VectorSpace, file: str) -> list[tuple[str, int, int, int]]:
    """Answers a file of questions in the format of word2vec's: four words a line, `: NAME` begins a section.

    A word without a vector is looked up in lower case.

    Returns:
        Of every section and, last, of all of them: name, right answers, questions asked, and questions left out because
        a word has no vector.

    Raises:
        InputError: the file cannot be read, or a line has not four words.
    """
    sections: dict[str, list[int]] = {}
    title = ""
    with opened(Path(file)) as stream:
        for number, line in enumerate(lines(stream.lines("utf-8")), start=1):
            words = line.split()
            if words[:1] == [":"]:
                title = " ".join(words[1:])
            elif words:
                if len(words) != 4:
                    raise InputError(f"{file}:{number}: {len(words)} words; a question has four")
                counts = sections.setdefault(title, [0, 0, 0])
                spelt = [space.spelling(word) for word in words]
                known = None not in spelt
                counts[1 if known else 2] += 1
                counts[0] += known and [word for word, _ in space.analogy(words[0], words[1], words[2])] == spelt[3:]
    sections["all"] = [sum(counts[place] for counts in sections.values()) for place in range(3)]
    return [(name or "questions", right, asked, left) for name, (right, asked, left) in sections.items()]
