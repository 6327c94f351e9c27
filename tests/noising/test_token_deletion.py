import numpy as np

from hf_seq2seq.noising.token_deletion import TokenDeletion


def test_deletion(split, by_place, lists) -> None:
    source = TokenDeletion(0.3)(by_place(split.tokens), np.random.default_rng(4)).source
    for kept, row in zip(lists(source), lists(by_place(split.tokens)), strict=True):
        assert kept == sorted(set(kept) & set(row))
        assert len(row) - len(kept) == min(max(round(0.3 * len(row)), 1), max(len(row) - 1, 0))
    again = TokenDeletion(0.3)(split.tokens, np.random.default_rng(4))
    assert np.array_equal(again.source.values, split.tokens.values[source.values])
    assert again.target is split.tokens


def test_every_token_is_as_likely_deleted(rng, equal_rows) -> None:
    source = TokenDeletion(0.2)(equal_rows(40_000, 10), rng).source
    assert abs(np.bincount(source.values) - 32_000).max() < 5 * (40_000 * 0.16) ** 0.5
