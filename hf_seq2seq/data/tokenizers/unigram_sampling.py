"""Segmentations sampled from a Unigram model, in numpy, over many words at once.

All segmentations of a word are sampled from, not an n-best list: forward filtering, backward sampling on its lattice.

Paper: Kudo, 2018, section 3.3 with l = infinity, https://arxiv.org/abs/1804.10959
"""

import json
import math
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from hf_seq2seq.data.tokenizers.random_bits import keyed, uniform
from hf_seq2seq.ragged import Ragged, counted, gathered, offsets_of

Edge = tuple[int, int, float]
"""Where a piece starts, its id, and its probability among the pieces that end at the same place."""


class UnigramSampling:
    """Samples a segmentation x of words of a fixed list with a probability in proportion to P(x)^alpha.

    A word with a character that is no piece is never varied.

    Args:
        words: distinct words as the tokenizer's pre-tokenizer splits them.
        tokenizer: its model is a Unigram.
        alpha: 0 is uniform over the segmentations; large values give the best one.

    Attributes:
        plain: ids of each word as the tokenizer gives them.
    """

    def __init__(self, words: Sequence[str], tokenizer: Tokenizer, alpha: float) -> None:
        pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
        self._scores = {text: (number, alpha * score) for number, (text, score) in enumerate(pieces)}
        self._longest = max(map(len, self._scores), default=0)
        self.plain = Ragged.of([[token.id for token in tokenizer.model.tokenize(word)] for word in words])
        lattices = [self._lattice(word) for word in words]
        self._varied = np.array([bool(lattice) for lattice in lattices])
        lattices = [lattice or [[]] for lattice in lattices]
        self._offsets = offsets_of(np.array([len(lattice) for lattice in lattices]))
        self._lengths = np.array([len(lattice) for lattice in lattices])
        edges = [edge for lattice in lattices for node in lattice for edge in node]
        self._starts = np.array([start for start, _, _ in edges], dtype=np.int64)
        self._ids = np.array([number for _, number, _ in edges], dtype=np.int32)
        # The probabilities into node n are cumulated from n on, so that one search finds a piece of any node.
        nodes = [node for lattice in lattices for node in lattice]
        self._ends = np.cumsum([len(node) for node in nodes], dtype=np.int64) - 1
        self._bounds = np.array(
            [number + min(1.0, bound) for number, node in enumerate(nodes) for bound in _cumulated(node)]
        )

    def __call__(self, words: np.ndarray, keys: np.ndarray) -> Ragged:
        """Ids of words.

        Args:
            words: numbers in the list, `(occurrences,)`.
            keys: random bits for each, uint64.
        """
        place = np.where(self._varied[words], self._lengths[words], 0)  # characters not yet segmented
        lengths = np.where(place > 0, 0, self.plain.lengths[words])
        active, steps = np.flatnonzero(place), []
        while len(active):
            node = self._offsets[words[active]] + place[active] - 1
            drawn = uniform(keyed(keys[active], place[active].astype(np.uint64)))
            edge = np.minimum(np.searchsorted(self._bounds, node + drawn, side="right"), self._ends[node])
            steps.append((active, self._ids[edge]))
            place[active] = self._starts[edge]
            lengths[active] += 1
            active = active[place[active] > 0]
        offsets = offsets_of(lengths)
        values = np.zeros(int(offsets[-1]), dtype=np.int32)
        fixed = np.flatnonzero(~self._varied[words])
        places = np.repeat(offsets[fixed], lengths[fixed]) + counted(lengths[fixed])
        values[places] = gathered(self.plain.values, self.plain.offsets[words[fixed]], lengths[fixed])
        for number, (found, ids) in enumerate(steps):
            values[offsets[found + 1] - 1 - number] = ids
        return Ragged(values, offsets)

    def _lattice(self, word: str) -> list[list[Edge]]:
        """The pieces that end at each character, with their probabilities; empty if there is no way to the end."""
        totals = [0.0] + [-math.inf] * len(word)
        nodes: list[list[Edge]] = []
        for end in range(1, len(word) + 1):
            found = []
            for start in range(max(0, end - self._longest), end):
                piece = self._scores.get(word[start:end])
                if piece is not None and totals[start] > -math.inf:
                    found.append((start, piece[0], totals[start] + piece[1]))
            if found:
                most = max(score for _, _, score in found)
                totals[end] = most + math.log(sum(math.exp(score - most) for _, _, score in found))
            nodes.append([(start, number, math.exp(score - totals[end])) for start, number, score in found])
        return nodes if totals[-1] > -math.inf else []


def _cumulated(node: list[Edge]) -> list[float]:
    bounds, total = [], 0.0
    for _, _, probability in node:
        total += probability
        bounds.append(total)
    return bounds
