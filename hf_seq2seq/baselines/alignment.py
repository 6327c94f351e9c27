"""Alignment of letters to sounds by expectation maximisation: one letter to none, one or two sounds, or as asked for.

Every way to cut a word and its pronunciation into such pieces is weighed by the product of the pieces' probabilities;
each round sets a piece's probability to its expected share of all pieces. Words of one length are taken together, and
all positions of the pronunciation at once, since every piece takes a letter.

Paper: Jiampojamarn, Kondrak and Sherif, 2007, section 3, https://aclanthology.org/N07-1047. Unlike there, a piece must
have a letter, and has several letters or several sounds, never both: fewer and larger pieces would always be likelier.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Symbols = Sequence[str]
Shape = tuple[int, int]
"""How many letters and sounds a piece has."""
Piece = tuple[tuple[str, ...], tuple[str, ...]]
"""Letters, and the sounds that they stand for."""
LONGEST = 100
"""Letters of a word that is aligned; the table of pieces grows with their square."""

MOST_LOG = 700.0
"""The largest logarithm of a float64, about."""


@dataclass(frozen=True)
class _Group:
    """The words of one length.

    Attributes:
        shapes: of pieces.
        rows: numbers of the words, `(words,)`.
        lengths: of the pronunciations, `(words,)`.
        pieces: number of the piece of each shape that ends at a letter and a sound,
            `(shapes, letters + 1, sounds + 1, words)`; 0 where there is none.
    """

    shapes: Sequence[Shape]
    rows: np.ndarray
    lengths: np.ndarray
    pieces: np.ndarray

    @property
    def letters(self) -> int:
        """Letters of each word."""
        return self.pieces.shape[1] - 1

    def _zeros(self) -> np.ndarray:
        _, letters, sounds, words = self.pieces.shape
        return np.zeros((letters, sounds, words))

    def forward(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of all ways to cut what stands before each place, `(letters + 1, sounds + 1, words)`.

        Each letter's are divided by the largest of a word, or those of long words would leave float64; the logarithms
        of the divisors come second, `(letters + 1, words)`.
        """
        sums, logs = self._zeros(), np.zeros((self.letters + 1, len(self.rows)))
        sums[0, 0] = 1
        for letter in range(1, self.letters + 1):
            for shape, (a, b) in enumerate(self.shapes):
                if a <= letter and b < sums.shape[1]:
                    before = sums[letter - a, : sums.shape[1] - b] * np.exp(logs[letter - a] - logs[letter - 1])
                    sums[letter, b:] += before * weights[self.pieces[shape, letter, b:]]
            logs[letter] = logs[letter - 1] + _divide(sums[letter])
        return sums, logs

    def backward(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of all ways to cut what stands behind each place, as `forward`."""
        sums, logs = self._zeros(), np.zeros((self.letters + 1, len(self.rows)))
        sums[-1, self.lengths, np.arange(len(self.rows))] = 1
        for letter in range(self.letters - 1, -1, -1):
            for shape, (a, b) in enumerate(self.shapes):
                end = letter + a
                if end <= self.letters and b < sums.shape[1]:
                    behind = sums[end, b:] * np.exp(logs[end] - logs[letter + 1])
                    sums[letter, : sums.shape[1] - b] += behind * weights[self.pieces[shape, end, b:]]
            logs[letter] = logs[letter + 1] + _divide(sums[letter])
        return sums, logs

    def expected(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """How often each piece is expected, by its number, and the log-likelihood of the words.

        A word of which every way to cut it falls below what float64 can hold counts in neither.
        """
        (before, scales), (behind, others) = self.forward(weights), self.backward(weights)
        possible = behind[0, 0] > 0
        totals = others[0] + np.log(np.where(possible, behind[0, 0], 1))
        counts = np.zeros(len(weights))
        for shape, (a, b) in enumerate(self.shapes):
            if a < before.shape[0] and b < before.shape[1]:
                numbers = self.pieces[shape, a:, b:]
                ways = before[: before.shape[0] - a, : before.shape[1] - b] * weights[numbers] * behind[a:, b:]
                scale = np.minimum(scales[: before.shape[0] - a] + others[a:] - totals, MOST_LOG)
                scale = np.where(possible, np.exp(scale), 0)
                counts += np.bincount(numbers.ravel(), (ways * scale[:, None]).ravel(), len(weights))
        return counts, float(totals[possible].sum())

    def best(self, weights: np.ndarray) -> list[list[Shape] | None]:
        """The likeliest way to cut each word: the shapes of its pieces; None where float64 holds none."""
        most, logs = self._zeros(), np.zeros((self.letters + 1, len(self.rows)))
        most[0, 0] = 1
        chosen = self._zeros().astype(np.int8)
        for letter in range(1, self.letters + 1):
            for shape, (a, b) in enumerate(self.shapes):
                if a <= letter and b < most.shape[1]:
                    before = most[letter - a, : most.shape[1] - b] * np.exp(logs[letter - a] - logs[letter - 1])
                    found = before * weights[self.pieces[shape, letter, b:]]
                    better = found > most[letter, b:]
                    most[letter, b:][better] = found[better]
                    chosen[letter, b:][better] = shape
            logs[letter] = logs[letter - 1] + _divide(most[letter])
        return [
            self._trace(chosen[:, :, word], length) if most[-1, length, word] else None
            for word, length in enumerate(self.lengths.tolist())
        ]

    def _trace(self, chosen: np.ndarray, length: int) -> list[Shape]:
        letter, sound, shapes = self.letters, length, []
        while letter:
            shapes.append(self.shapes[chosen[letter, sound]])
            letter, sound = letter - shapes[-1][0], sound - shapes[-1][1]
        return shapes[::-1]


def _divide(sums: np.ndarray) -> np.ndarray:
    """Divides the sums of a letter, `(sounds + 1, words)`, by the largest of each word; returns its logarithm."""
    largest = sums.max(axis=0)
    largest[largest == 0] = 1
    sums /= largest
    return np.log(largest)


def piece_shapes(max_letters: int, max_sounds: int) -> list[Shape]:
    """One letter with none to `max_sounds` sounds, or two to `max_letters` letters with one sound."""
    return [(1, sounds) for sounds in range(max_sounds + 1)] + [(n, 1) for n in range(2, max_letters + 1)]


def align(
    sources: Sequence[Symbols], targets: Sequence[Symbols], shapes: Sequence[Shape], rounds: int = 20
) -> list[list[Piece] | None]:
    """Cuts every pair into pieces.

    Args:
        sources: the letters of each word.
        targets: the sounds of each word.
        shapes: of pieces, as `piece_shapes` gives them.
        rounds: of expectation maximisation; it ends earlier when the likelihood hardly grows.

    Returns:
        The pieces of each pair; None for a word that is too short for its sounds, empty, longer than `LONGEST`, or cut
        in no way whose probability float64 can hold.
    """
    most = max(sounds for _, sounds in shapes)
    fits = [0 < len(s) <= LONGEST and len(t) <= most * len(s) for s, t in zip(sources, targets, strict=True)]
    groups, count = _groups(sources, targets, fits, shapes)
    weights = _estimated(groups, count, rounds)
    found: list[list[Piece] | None] = [None] * len(sources)
    for group in groups:
        for row, best in zip(group.rows.tolist(), group.best(weights), strict=True):
            found[row] = _cut(sources[row], targets[row], best) if best else None
    return found


def _estimated(groups: Sequence[_Group], count: int, rounds: int) -> np.ndarray:
    """The weights of the pieces after expectation maximisation from equal ones, `(count,)`."""
    words = sum(len(group.rows) for group in groups)
    counts, earlier = np.ones(count), -np.inf
    for _ in range(rounds):
        counts[0] = 0  # no piece
        weights = counts / max(counts.sum(), 1)
        found = [group.expected(weights) for group in groups]
        counts = np.sum([more for more, _ in found], axis=0) if found else counts
        total = sum(likelihood for _, likelihood in found)
        if total - earlier < 1e-4 * words:
            break
        earlier = total
    counts[0] = 0
    return counts / max(counts.sum(), 1)


def _cut(source: Symbols, target: Symbols, shapes: list[Shape]) -> list[Piece]:
    pieces, letter, sound = [], 0, 0
    for a, b in shapes:
        pieces.append((tuple(source[letter : letter + a]), tuple(target[sound : sound + b])))
        letter, sound = letter + a, sound + b
    return pieces


def _groups(
    sources: Sequence[Symbols], targets: Sequence[Symbols], fits: Sequence[bool], shapes: Sequence[Shape]
) -> tuple[list[_Group], int]:
    """The words by length, and how many numbers there are for pieces."""
    numbers: list[dict[str, int]] = [
        {symbol: place for place, symbol in enumerate(sorted({s for text in texts for s in text}), start=1)}
        for texts in (sources, targets)
    ]
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, fit in enumerate(fits):
        if fit:
            by_length[len(sources[row])].append(row)
    raw = [
        _raw_pieces([sources[r] for r in rows], [targets[r] for r in rows], numbers, shapes)
        for rows in by_length.values()
    ]
    known, inverse = np.unique(np.concatenate([[0], *(pieces.ravel() for pieces in raw)]), return_inverse=True)
    parts = np.split(inverse[1:], np.cumsum([pieces.size for pieces in raw])[:-1])
    return [
        _Group(shapes, np.array(rows), np.array([len(targets[row]) for row in rows]), part.reshape(pieces.shape))
        for rows, part, pieces in zip(by_length.values(), parts, raw, strict=False)
    ], len(known)


def _raw_pieces(
    sources: list[Symbols], targets: list[Symbols], numbers: list[dict[str, int]], shapes: Sequence[Shape]
) -> np.ndarray:
    """A number for the symbols of each piece, as `_Group.pieces` but not yet without gaps; 0 where there is none."""
    letters, sounds = (_padded(texts, known) for texts, known in zip((sources, targets), numbers, strict=True))
    wide, high = len(numbers[0]) + 1, len(numbers[1]) + 1
    largest = max(b for _, b in shapes)
    found = np.zeros((len(shapes), letters.shape[1] + 1, sounds.shape[1] + 1, len(sources)), dtype=np.int64)
    for shape, (a, b) in enumerate(shapes):
        if a <= letters.shape[1] and b <= sounds.shape[1]:
            first, there = _chunks(letters, a, wide)
            second, real = _chunks(sounds, b, high)
            number = first[:, None] * high**largest + second[None]
            found[shape, a:, b:] = np.where(there[:, None] & real[None], number, 0)
    return found


def _padded(texts: list[Symbols], known: dict[str, int]) -> np.ndarray:
    """Numbers of symbols, `(texts, longest)`, 0 behind the end."""
    found = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
    for row, text in enumerate(texts):
        found[row, : len(text)] = [known[symbol] for symbol in text]
    return found


def _chunks(numbers: np.ndarray, length: int, base: int) -> tuple[np.ndarray, np.ndarray]:
    """One number for each run of so many symbols, `(runs, texts)`, and whether it lies within its text.

    A run of no symbols stands before the first one, between all, and behind the last one.
    """
    texts, longest = numbers.shape
    found = np.zeros((longest - length + 1, texts), dtype=np.int64)
    there = np.ones(found.shape, dtype=bool)
    for place in range(length):
        symbols = numbers[:, place : longest - length + 1 + place].T
        found, there = found * base + symbols, there & (symbols > 0)
    return found, there
