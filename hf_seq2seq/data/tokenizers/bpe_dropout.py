"""Segmentation by BPE that leaves out merges at random, in numpy, over many words at once.

`tokenizers` has it, too, but draws from a generator of its own that cannot be seeded.

Paper: Provilkov et al., 2020, section 3.1, https://arxiv.org/abs/1910.13267
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from hf_seq2seq.data.tokenizers.random_bits import keyed
from hf_seq2seq.ragged import Ragged, counted, gathered, offsets_of

WIDTHS = (4, 8, 16, 32, 64, 256)
"""Words are segmented together with others of up to as many characters; beyond the last, one by one."""
NO_MERGE = np.iinfo(np.int32).max
PART = 1 << 14
"""Words segmented at once."""


@dataclass(frozen=True)
class Merges:
    """The merges of a BPE model.

    Attributes:
        keys: left id times `size` plus right id, sorted, `(merges,)`.
        ranks: place of each in the order of merging.
        results: id of the merged token.
        size: more than the largest id.
    """

    keys: np.ndarray
    ranks: np.ndarray
    results: np.ndarray
    size: int

    @classmethod
    def of(cls, model: dict[str, Any]) -> "Merges":
        """Reads the `model` of a tokenizer's JSON."""
        vocabulary, inner = model["vocab"], len(model.get("continuing_subword_prefix") or "")
        size = max(vocabulary.values()) + 1
        found = {}
        for rank, pair in enumerate(model["merges"]):
            left, right = pair.split(" ") if isinstance(pair, str) else pair
            key = vocabulary[left] * size + vocabulary[right]
            found[key] = (rank, vocabulary[left + right[inner:]])
        keys = sorted(found)
        ranks, results = np.array([found[key] for key in keys], dtype=np.int32).reshape(-1, 2).T
        return cls(np.array(keys, dtype=np.int64), ranks, results, size)

    def find(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ranks of pairs, `NO_MERGE` for those that are not merged, and the merged ids."""
        if not len(self.keys):
            return np.full(len(left), NO_MERGE, dtype=np.int32), left
        keys = left.astype(np.int64) * self.size + right
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = (self.keys[places] == keys) & (right >= 0)
        return np.where(known, self.ranks[places], NO_MERGE), self.results[places]


class BpeDropout:
    """Segments words of a fixed list; each merge that is possible at a step is left out with a probability.

    Args:
        words: distinct words as the tokenizer's pre-tokenizer splits them.
        tokenizer: its model is a BPE.
        rate: the probability.

    Attributes:
        plain: ids of each word without dropout, as the tokenizer gives them.
    """

    def __init__(self, words: Sequence[str], tokenizer: Tokenizer, rate: float) -> None:
        model = json.loads(tokenizer.to_str())["model"]
        self._merges = Merges.of(model)
        # A draw of 64 bits below this leaves out a merge.
        self._bound = np.uint64(min(int(rate * 2.0**64), 2**64 - 1))
        self.plain = Ragged.of([[token.id for token in tokenizer.model.tokenize(word)] for word in words])
        self._symbols = Ragged.of([_symbols(word, model) for word in words])
        self._trace_plain()

    def _trace_plain(self) -> None:
        """Notes where merges take place without dropout; a word that this would segment otherwise is never varied."""
        traces: list[list[int]] = [[] for _ in range(len(self._symbols))]
        found = self._segment(np.arange(len(traces)), None, traces)
        self._places = Ragged.of(traces)
        same = np.array([np.array_equal(found[word], self.plain[word]) for word in range(len(traces))], dtype=bool)
        self._varied = same & (self._symbols.lengths > 1)

    def __call__(self, words: np.ndarray, keys: np.ndarray) -> Ragged:
        """Ids of words.

        Args:
            words: numbers in the list, `(occurrences,)`.
            keys: random bits for each, uint64.
        """
        merges = np.where(self._varied[words], self._places.lengths[words], 0)
        places, owner = gathered(self._places.values, self._places.offsets[words], merges), np.repeat(keys, merges)
        left_out = keyed(owner, _draw(counted(merges), places)) < self._bound
        # A word none of whose merges is left out is segmented as without dropout.
        changed = np.zeros(len(words), dtype=bool)
        changed[np.repeat(np.arange(len(words)), merges)[left_out]] = True
        numbers = np.flatnonzero(changed)
        sampled = self._segment(words[numbers], keys[numbers])
        starts, lengths = self.plain.offsets[words], self.plain.lengths[words]
        starts[numbers] = sampled.offsets[:-1] + len(self.plain.values)
        lengths[numbers] = sampled.lengths
        values = gathered(np.concatenate([self.plain.values, sampled.values]), starts, lengths)
        return Ragged(values, offsets_of(lengths))

    def _segment(self, words: np.ndarray, keys: np.ndarray | None, traces: list[list[int]] | None = None) -> Ragged:
        """Segments words, without dropout if there are no keys; `traces` gets the places of their merges, in order."""
        widths, parts = self._symbols.lengths[words], []
        lower = -1
        for width in (*WIDTHS, int(widths.max(initial=0))):
            group = np.flatnonzero((widths > lower) & (widths <= width))
            lower = max(lower, width)
            size = max(1, PART * 8 // max(1, width))
            for numbers in (group[start : start + size] for start in range(0, len(group), size)):
                symbols = _padded(self._symbols, words[numbers], width)
                draws = None if keys is None else keys[numbers]
                noted = None if traces is None else [traces[word] for word in words[numbers].tolist()]
                parts.append((numbers, *self._merge(symbols, draws, noted)))
        lengths = np.zeros(len(words), dtype=np.int64)
        for numbers, _, found in parts:
            lengths[numbers] = found
        offsets = offsets_of(lengths)
        values = np.zeros(int(offsets[-1]), dtype=np.int32)
        for numbers, symbols, found in parts:
            is_token = np.arange(symbols.shape[1]) < found[:, None]
            values[(offsets[numbers, None] + np.arange(symbols.shape[1]))[is_token]] = symbols[is_token]
        return Ragged(values, offsets)

    def _merge(
        self, symbols: np.ndarray, keys: np.ndarray | None, traces: list[list[int]] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Merges until nothing is left to merge: at each step the first pair in rank that is not left out.

        Args:
            symbols: ids, `(words, width)`, -1 after the last.
            keys: of the words; None for no dropout.
            traces: a list for each word, which gets the places of its merges.

        Returns:
            The ids, in the same shape, and how many they are.
        """
        done, lengths = symbols.copy(), (symbols >= 0).sum(axis=1)
        active, width = np.arange(len(symbols)), symbols.shape[1]
        ranks = np.full_like(symbols, NO_MERGE)
        left, right = symbols[:, :-1], symbols[:, 1:]
        ranks[:, :-1] = self._merges.find(left.ravel(), right.ravel())[0].reshape(left.shape)
        columns = np.arange(width)
        for step in range(width):
            offered = ranks
            if keys is not None:
                offered = np.where(keyed(keys[active, None], _draw(step, columns)) < self._bound, NO_MERGE, ranks)
            place = offered.argmin(axis=1)
            merging = offered[np.arange(len(place)), place] < NO_MERGE
            done[active[~merging]] = symbols[~merging]
            active, symbols, ranks, place = active[merging], symbols[merging], ranks[merging], place[merging]
            if not len(active):
                break
            lengths[active] -= 1
            symbols, ranks = self._merged(symbols, ranks, place)
            for trace, column in zip([traces[word] for word in active.tolist()] if traces else (), place, strict=False):
                trace.append(int(column))
        return done, lengths

    def _merged(self, symbols: np.ndarray, ranks: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Merges the pair at a place of each word, moves the rest to the left, and looks up the two new pairs."""
        rows, width = np.arange(len(place)), symbols.shape[1]
        results = self._merges.find(symbols[rows, place], symbols[rows, place + 1])[1]
        columns = np.arange(width)
        sources = np.minimum(columns + (columns > place[:, None]), width - 1)
        symbols, ranks = np.take_along_axis(symbols, sources, 1), np.take_along_axis(ranks, sources, 1)
        symbols[:, -1], ranks[:, -1] = -1, NO_MERGE
        symbols[rows, place] = results
        after = np.where(place + 1 < width, symbols[rows, np.minimum(place + 1, width - 1)], -1)
        ranks[rows, place] = self._merges.find(results, after)[0]
        first = np.flatnonzero(place > 0)
        ranks[first, place[first] - 1] = self._merges.find(symbols[first, place[first] - 1], results[first])[0]
        return symbols, ranks


def _draw(step: np.ndarray | int, place: np.ndarray) -> np.ndarray:
    """The number of the draw for a place at a step."""
    return (np.uint64(1 << 32) * np.asarray(step).astype(np.uint64)) + place.astype(np.uint64)


def _symbols(word: str, model: dict[str, Any]) -> list[int]:
    """Ids of the characters that merging starts from; none if one is unknown."""
    inner, end = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    last = len(word) - 1
    texts = [f"{inner if place else ''}{c}{end if place == last else ''}" for place, c in enumerate(word)]
    ids = [model["vocab"].get(text) for text in texts]
    return [] if None in ids else ids


def _padded(rows: Ragged, numbers: np.ndarray, width: int) -> np.ndarray:
    """Some rows as an array `(rows, width)`, -1 after the last id."""
    padded = np.full((len(numbers), max(2, width)), -1, dtype=np.int32)
    is_token = np.arange(padded.shape[1]) < rows.lengths[numbers, None]
    padded[is_token] = gathered(rows.values, rows.offsets[numbers], rows.lengths[numbers])
    return padded
