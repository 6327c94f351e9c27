from itertools import pairwise

import numpy as np

from hf_seq2seq.noising.sentence_permutation import Deshuffling, SentencePermutation


def test_permuted_sentences_are_whole(split, rng, by_place, lists) -> None:
    tokens = by_place(split.tokens)
    found = SentencePermutation()(tokens, rng, split.sentences).source
    for source, row in zip(lists(found), lists(tokens), strict=True):
        assert sorted(source) == row
        breaks = [b for a, b in pairwise(source) if b != a + 1]
        assert all(split.sentences[b] or b == row[0] for b in breaks)


def test_every_order_is_equally_likely(rng, equal_rows) -> None:
    draws, starts = 30_000, np.array([True, False, True, True, False])
    tokens = equal_rows(draws, 5)
    source = SentencePermutation()(tokens, rng, np.tile(starts, draws)).source.values.reshape(draws, 5)
    orders, found = np.unique(source, axis=0, return_counts=True)
    assert sorted(orders.tolist())[0] == [0, 1, 2, 3, 4]
    assert len(orders) == 6
    assert abs(found - draws / 6).max() < 5 * (draws / 6) ** 0.5


def test_deshuffling(split, rng, lists) -> None:
    found = Deshuffling()(split.tokens, rng)
    for source, row in zip(lists(found.source), lists(found.target), strict=True):
        assert sorted(source) == sorted(row)
