import numpy as np

from hf_seq2seq.noising.prefix_language_model import PrefixLanguageModel


def test_a_prefix_is_read_and_the_rest_written(split, rng, lists) -> None:
    found = PrefixLanguageModel()(split.tokens, rng)
    for source, target, row in zip(lists(found.source), lists(found.target), lists(split.tokens), strict=True):
        assert source + target == row
        assert len(row) < 2 or (source and target)
        assert len(row) != 1 or target == row


def test_every_prefix_is_equally_likely(rng, equal_rows) -> None:
    lengths = PrefixLanguageModel()(equal_rows(30_000, 6), rng).source.lengths
    assert np.bincount(lengths)[0] == 0
    assert abs(np.bincount(lengths)[1:] - 6_000).max() < 5 * 6_000**0.5
