"""All segmentations of many short texts into pieces of a vocabulary, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LONGEST_PIECE = 16
"""Maximum length of a piece in characters."""


def substring_hashes(texts: Sequence[str], width: int) -> np.ndarray:
    """Hashes of every substring of up to 16 characters, `(texts, width, 16)` uint64.

    `[text, end - 1, length - 1]` is the substring of this length that ends there; 0 if there is none. Different
    substrings share a hash about once in 10^5 vocabularies, in which case one of them is not learned.
    """
    padded = "".join(text.ljust(width, "\0") for text in texts).encode("utf-32-le")
    lengths = np.array([len(text) for text in texts])
    codes = np.frombuffer(padded, dtype=np.uint32).reshape(len(texts), width).astype(np.uint64) + np.uint64(1)
    codes[np.arange(width) >= lengths[:, None]] = 0
    hashes = np.zeros((len(texts), width, LONGEST_PIECE), dtype=np.uint64)
    hashes[:, :, 0] = codes * np.uint64(0x9E3779B97F4A7C15)
    for length in range(1, min(LONGEST_PIECE, width)):
        before, last = hashes[:, :-1, length - 1], codes[:, 1:]
        extended = before * np.uint64(0xD6E8FEB86659FD93) + last * np.uint64(0x9E3779B97F4A7C15)
        hashes[:, 1:, length] = np.where((before > 0) & (last > 0), extended, np.uint64(0))
    return hashes


@dataclass(frozen=True)
class Lattice:
    """Texts and the pieces that can end at each of their positions.

    Scores are log-probabilities of pieces, `(pieces + 1,)`; the last means "no piece" and is minus infinity.

    Attributes:
        lengths: characters of each text, `(texts,)`.
        counts: how often each text occurs, `(texts,)`.
        ids: `[text, end - 1, length - 1]` is the piece of this length that ends there, or the number of pieces.
    """

    lengths: np.ndarray
    counts: np.ndarray
    ids: np.ndarray

    def expected(self, scores: np.ndarray) -> np.ndarray:
        """Expected count of each piece over all segmentations, weighted by probability, `(pieces + 1,)`."""
        paths, totals = self._paths(scores, np.logaddexp)
        ends = np.arange(len(self.lengths)), LONGEST_PIECE + self.lengths
        reached = np.zeros_like(totals)
        reached[ends] = self.counts
        for end in range(paths.shape[1], 0, -1):
            total = totals[:, LONGEST_PIECE + end, None]
            paths[:, end - 1] = np.exp(paths[:, end - 1] - np.where(np.isinf(total), 0.0, total))
            paths[:, end - 1] *= reached[:, LONGEST_PIECE + end, None]
            reached[:, end : LONGEST_PIECE + end] += paths[:, end - 1, ::-1]
        return np.bincount(self.ids.ravel(), weights=paths.ravel(), minlength=len(scores))

    def best(self, scores: np.ndarray) -> np.ndarray:
        """Log-probability of the best segmentation of each text, `(texts,)`."""
        _, totals = self._paths(scores, np.maximum)
        return totals[np.arange(len(self.lengths)), LONGEST_PIECE + self.lengths]

    def keep(self, pieces: np.ndarray, absent: int) -> "Lattice":
        """The same texts with only the given pieces, renumbered; `absent` is the previous number of pieces."""
        numbers = np.full(absent + 1, len(pieces), dtype=np.int32)
        numbers[pieces] = np.arange(len(pieces))
        return Lattice(self.lengths, self.counts, numbers[self.ids])

    def take(self, texts: np.ndarray) -> "Lattice":
        """The lattice of only the given texts."""
        return Lattice(self.lengths[texts], self.counts[texts], self.ids[texts])

    def without_whole_texts(self) -> "Lattice":
        """The same texts, none of which is a single piece."""
        ids = self.ids.copy()
        ids[np.arange(len(ids)), self.lengths - 1, self.lengths - 1] = ids.max()
        return Lattice(self.lengths, self.counts, ids)

    def _paths(self, scores: np.ndarray, add: np.ufunc) -> tuple[np.ndarray, np.ndarray]:
        """Scores of all paths into each position by their last piece, and their sum; position 0 is column 16."""
        texts, width, _ = self.ids.shape
        paths = scores[self.ids]
        totals = np.full((texts, LONGEST_PIECE + width + 1), -np.inf)
        totals[:, LONGEST_PIECE] = 0.0
        for end in range(1, width + 1):
            paths[:, end - 1] += totals[:, end : LONGEST_PIECE + end][:, ::-1]
            totals[:, LONGEST_PIECE + end] = add.reduce(paths[:, end - 1], axis=1)
        return paths, totals


@dataclass(frozen=True)
class Substrings:
    """Every substring of up to 16 characters in groups of texts, numbered in the order of their hashes.

    Attributes:
        lattices: one per group, with every substring as a piece.
        keys: hash of each substring, `(substrings,)`, sorted.
        ends: where its first occurrence ends in `padded`.
        lengths: its characters.
        padded: all texts of all groups, each padded to the width of its group.
    """

    lattices: tuple[Lattice, ...]
    keys: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray
    padded: str

    @classmethod
    def of(cls, groups: Mapping[int, Mapping[str, int]]) -> "Substrings":
        """Numbers the substrings of texts that are grouped by width and come with their counts."""
        hashes = [substring_hashes(list(group), width) for width, group in groups.items()]
        flat = np.concatenate([part.ravel() for part in hashes])
        present = np.flatnonzero(flat)
        keys, first, numbers = np.unique(flat[present], return_index=True, return_inverse=True)
        places = np.full(len(flat), len(keys), dtype=np.int32)
        places[present] = numbers
        parts = np.split(places, np.cumsum([part.size for part in hashes])[:-1])
        lattices = [
            Lattice(
                np.array([len(text) for text in group]), np.array(list(group.values()), float), ids.reshape(h.shape)
            )
            for group, ids, h in zip(groups.values(), parts, hashes, strict=True)
        ]
        padded = "".join(text.ljust(width) for width, group in groups.items() for text in group)
        first = present[first]
        return cls(tuple(lattices), keys, first // LONGEST_PIECE + 1, first % LONGEST_PIECE + 1, padded)

    def __len__(self) -> int:
        return len(self.keys)

    def texts(self, numbers: np.ndarray) -> list[str]:
        """The text of each numbered substring."""
        ends, lengths = self.ends[numbers].tolist(), self.lengths[numbers].tolist()
        return [self.padded[end - length : end] for end, length in zip(ends, lengths, strict=True)]

    def occurrences(self) -> np.ndarray:
        """How often each substring occurs, `(substrings,)`."""
        found = np.zeros(len(self) + 1)
        for lattice in self.lattices:
            weights = np.repeat(lattice.counts, lattice.ids[0].size)
            found += np.bincount(lattice.ids.ravel(), weights=weights, minlength=len(found))
        return found[:-1]

    def always_continued(self, occurrences: np.ndarray) -> np.ndarray:
        """Indices of the substrings that are always followed by the same character."""
        found = []
        for lattice in self.lattices:
            shorter, longer = lattice.ids[:, :-1, :-1], lattice.ids[:, 1:, 1:]
            both = longer < len(self)
            shorter, longer = shorter[both], longer[both]
            found.append(shorter[occurrences[shorter] == occurrences[longer]])
        return np.concatenate(found)

    def lattice_of(self, texts: Sequence[str], numbers: np.ndarray) -> Lattice:
        """The lattice of these texts, each of up to 16 characters, with the given substrings as pieces."""
        hashes, keys = substring_hashes(texts, LONGEST_PIECE), self.keys[numbers]
        places = np.searchsorted(keys, hashes).astype(np.int32)
        places[keys[np.minimum(places, len(keys) - 1)] != hashes] = len(keys)
        return Lattice(np.array([len(text) for text in texts]), np.ones(len(texts)), places)
