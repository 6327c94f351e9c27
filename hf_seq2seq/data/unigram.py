"""Learns the pieces of a Unigram tokenizer, the same ones every time.

The trainer of the `tokenizers` library works through its words in the order of a randomly seeded hash table, so two
runs, or two processes of one run, get different vocabularies. This one is a few numpy passes over all words at once.

Paper: Kudo 2018, "Subword Regularization", section 3.2, https://arxiv.org/abs/1804.10959. Deviations: seeds are the
frequent substrings that are not always followed by one and the same character (what a suffix tree gives); the loss of
a piece is its expected count times the log-likelihood ratio to the best other segmentation of its own text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hf_seq2seq.data.lattice import LONGEST_PIECE, Lattice, number, substring_hashes

WIDTHS = (8, 16, 32, 64)
"""Words are padded to one of these lengths; what is longer than the last is learned from in parts."""
MOST_CHARACTERS = 500_000
"""Characters of distinct words that substrings are learned from; holds the memory under 1 GB."""
SEEDS_PER_PIECE = 6
LEAST_SEEDS = 20_000
KEPT_SHARE = 0.75
EM_STEPS = 2
LEAST_EXPECTED = 0.5


@dataclass(frozen=True)
class _Group:
    """Words padded to one width: their texts, counts, and the hashes of their substrings."""

    texts: Sequence[str]
    counts: np.ndarray
    hashes: np.ndarray

    @classmethod
    def of(cls, counts: Mapping[str, int], width: int) -> "_Group":
        return cls(list(counts), np.array(list(counts.values()), dtype=float), substring_hashes(list(counts), width))

    def lattice(self, keys: np.ndarray) -> Lattice:
        return Lattice(np.array([len(text) for text in self.texts]), self.counts, number(self.hashes, keys))


def learn_unigram(words: Mapping[str, int], size: int) -> list[tuple[str, float]]:
    """Learns at most `size` pieces with their log-probabilities, the most probable first.

    Every character of the words is a piece, so `size` must be at least their number.

    Args:
        words: how often each word occurs, none of them empty; their order settles which are left out of too many.
        size: pieces to end with.
    """
    groups = _groups(words)
    keys, pieces, scores = _seeds(groups, max(LEAST_SEEDS, SEEDS_PER_PIECE * size))
    lattices = [group.lattice(keys) for group in groups]
    inner = _Group.of(dict.fromkeys(pieces, 1), LONGEST_PIECE).lattice(keys).without_whole_texts()
    single = np.array([len(piece) == 1 for piece in pieces])
    while True:
        scores, expected = _expectation_maximisation(lattices, scores, single)
        used = int((expected > 0).sum())
        if used == len(pieces) <= size:
            ranked = zip(pieces, scores[:-1].round(6).tolist(), strict=True)
            return sorted(ranked, key=lambda item: (-item[1], item[0]))
        kept = _most_useful(min(used, max(size, int(KEPT_SHARE * len(pieces)))), scores, expected, inner, single)
        lattices = [lattice.keep(kept, len(pieces)) for lattice in lattices]
        inner = inner.take(kept).keep(kept, len(pieces))
        scores = scores[np.append(kept, len(pieces))]
        pieces, single = [pieces[k] for k in kept], single[kept]


def _groups(words: Mapping[str, int]) -> list[_Group]:
    """The most frequent words in parts of bounded length; of those that find no room, only the characters."""
    parts: dict[str, int] = {}
    room = MOST_CHARACTERS
    for word, count in sorted(words.items(), key=lambda item: -item[1]):
        room -= len(word)
        width = WIDTHS[-1] if room >= 0 else 1
        for start in range(0, len(word), width):
            part = word[start : start + width]
            parts[part] = parts.get(part, 0) + count
    groups = []
    for least, width in zip((0, *WIDTHS), WIDTHS, strict=False):
        group = {part: count for part, count in parts.items() if least < len(part) <= width}
        groups += [_Group.of(group, width)] if group else []
    return groups


def _seeds(groups: Sequence[_Group], most: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Sorted hashes, texts and first scores of all characters and of the `most` substrings that cover most text."""
    flat = np.concatenate([group.hashes.ravel() for group in groups])
    present = np.flatnonzero(flat)
    keys, first, places = np.unique(flat[present], return_index=True, return_inverse=True)
    weights = np.concatenate([np.repeat(group.counts, group.hashes[0].size) for group in groups])[present]
    occurrences = np.bincount(places, weights=weights)
    ends, lengths = present[first] // LONGEST_PIECE + 1, present[first] % LONGEST_PIECE + 1
    covered = np.where(occurrences > 1, occurrences * lengths, 0.0)
    covered[_always_continued(groups, keys, occurrences)] = 0.0
    covered[lengths == 1] = np.inf
    chosen = np.argsort(-covered, kind="stable")[: most + int((lengths == 1).sum())]
    chosen = np.sort(chosen[covered[chosen] > 0])
    text = "".join(text.ljust(group.hashes.shape[1]) for group in groups for text in group.texts)
    pieces = [text[end - length : end] for end, length in zip(ends[chosen], lengths[chosen], strict=True)]
    scores = np.log(occurrences[chosen] * lengths[chosen])
    return keys[chosen], pieces, np.append(scores - np.logaddexp.reduce(scores), -np.inf)


def _always_continued(groups: Sequence[_Group], keys: np.ndarray, occurrences: np.ndarray) -> np.ndarray:
    """Places of substrings that occur as often with one more character at the end."""
    found = []
    for group in groups:
        shorter, longer = group.hashes[:, :-1, :-1], group.hashes[:, 1:, 1:]
        both = longer > 0
        places, extended = np.searchsorted(keys, shorter[both]), np.searchsorted(keys, longer[both])
        found.append(places[occurrences[places] == occurrences[extended]])
    return np.concatenate(found)


def _expectation_maximisation(
    lattices: Sequence[Lattice], scores: np.ndarray, single: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """New scores, and expected counts: 0 for a piece that is not worth keeping, never 0 for a character."""
    for _ in range(EM_STEPS):
        expected = np.sum([lattice.expected(scores) for lattice in lattices], axis=0)[:-1]
        expected[single] = np.maximum(expected[single], LEAST_EXPECTED)
        expected[expected < LEAST_EXPECTED] = 0.0
        # digamma in place of the logarithm is the variational M-step, which drives rare pieces out
        logs = torch.digamma(torch.from_numpy(np.append(expected, expected.sum()))).numpy()
        scores = np.append(np.where(expected > 0, logs[:-1] - logs[-1], -np.inf), -np.inf)
    return scores, expected


def _most_useful(
    count: int, scores: np.ndarray, expected: np.ndarray, inner: Lattice, single: np.ndarray
) -> np.ndarray:
    """Numbers of the `count` pieces whose loss would lower the likelihood most; characters come first."""
    loss = np.full(len(single), np.inf)
    rest = np.flatnonzero(~single & (expected > 0))
    loss[rest] = expected[rest] * (scores[rest] - inner.take(rest).best(scores))
    loss[~single & (expected == 0)] = -np.inf
    return np.sort(np.argsort(-loss, kind="stable")[:count])
