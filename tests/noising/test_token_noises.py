"""BART's noises on tokens and documents, T5's deshuffling and prefix language model."""

import math
from itertools import pairwise

import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.document_rotation import DocumentRotation
from hf_seq2seq.noising.prefix_language_model import PrefixLanguageModel
from hf_seq2seq.noising.rows import Rows, offsets_of
from hf_seq2seq.noising.sentence_permutation import Deshuffling, SentencePermutation
from hf_seq2seq.noising.text_infilling import TextInfilling, span_lengths
from hf_seq2seq.noising.token_deletion import TokenDeletion
from hf_seq2seq.noising.token_masking import TokenMasking


def equal_rows(rows: int, length: int) -> Rows:
    return Rows(np.tile(np.arange(length, dtype=np.int32), rows), offsets_of(np.full(rows, length)))


def places(tokens: Rows) -> Rows:
    """The same rows with every token's place in the split as its id."""
    return Rows(np.arange(len(tokens.values), dtype=np.int32), tokens.offsets)


def rows_of(tokens: Rows) -> list[list[int]]:
    return [tokens.row(row).tolist() for row in range(len(tokens.offsets) - 1)]


def test_masking(split, rng, mask: int) -> None:
    found = TokenMasking(mask)(split.tokens, rng)
    assert found.target is split.tokens
    masked = found.source.values == mask
    assert np.array_equal(np.where(masked, found.target.values, found.source.values), split.tokens.values)
    for row, length in enumerate(split.tokens.lengths.tolist()):
        assert (found.source.row(row) == mask).sum() == min(max(round(0.15 * length), 1), length)


def test_masking_in_berts_style(rng, mask: int) -> None:
    tokens = Rows(np.full(200_000, 7, dtype=np.int32), np.array([0, 100_000, 200_000]))
    values = TokenMasking(mask, random_share=0.1, ordinary=(20, 21))(tokens, rng).source.values
    assert set(values.tolist()) == {7, mask, 20, 21}
    assert (values != 7).sum() == 30_000
    assert abs((values == 20).sum() - 1_500) < 5 * 1_500**0.5
    assert abs((values == 21).sum() - 1_500) < 5 * 1_500**0.5
    with pytest.raises(InputError, match="no ids to draw them from"):
        TokenMasking(mask, random_share=0.1)


def test_deletion(split) -> None:
    source = TokenDeletion(0.3)(places(split.tokens), np.random.default_rng(4)).source
    for kept, row in zip(rows_of(source), rows_of(places(split.tokens)), strict=True):
        assert kept == sorted(set(kept) & set(row))
        assert len(row) - len(kept) == min(max(round(0.3 * len(row)), 1), max(len(row) - 1, 0))
    again = TokenDeletion(0.3)(split.tokens, np.random.default_rng(4))
    assert np.array_equal(again.source.values, split.tokens.values[source.values])
    assert again.target is split.tokens


def test_every_token_is_as_likely_deleted(rng) -> None:
    source = TokenDeletion(0.2)(equal_rows(40_000, 10), rng).source
    assert abs(np.bincount(source.values) - 32_000).max() < 5 * (40_000 * 0.16) ** 0.5


@pytest.mark.parametrize(("rate", "mean"), [(0.3, 3.0), (0.3, 0.5), (1.0, 3.0), (0.0, 3.0), (0.6, 20.0)])
def test_infilling_keeps_the_rest_in_order(split, rate: float, mean: float) -> None:
    noise = TextInfilling(-5, rate, mean)
    found = noise(places(split.tokens), np.random.default_rng(4))
    for source, row in zip(rows_of(found.source), rows_of(found.target), strict=True):
        kept = [token for token in source if token != -5]
        assert kept == sorted(set(kept) & set(row))
        noised = len(row) - len(kept)
        assert noised == min(max(round(rate * len(row)), 1), len(row))
        assert len(source) <= len(row)
        # Where tokens are missing there is a mask.
        masked = {before[-1] if before else row[0] - 1 for before in _before_masks(source)}
        gaps = [a for a, b in zip([row[0] - 1, *kept], [*kept, row[-1] + 1], strict=True) if b - a > 1] if row else []
        assert set(gaps) <= masked
    again = noise(split.tokens, np.random.default_rng(4))
    kept = found.source.values >= 0
    assert np.array_equal(again.source.values[kept], split.tokens.values[found.source.values[kept]])
    assert (again.source.values[~kept] == -5).all()


def _before_masks(source: list[int]) -> list[list[int]]:
    return [[t for t in source[:place] if t != -5] for place, token in enumerate(source) if token == -5]


def test_infilling_draws_from_poisson(rng) -> None:
    row, lengths = span_lengths(np.full(20, 6_000), 3.0, rng)
    assert np.array_equal(np.bincount(row, lengths), np.full(20, 6_000))
    shares = np.bincount(lengths, minlength=12) / len(lengths)
    for length in range(12):
        expected = math.exp(-3) * 3**length / math.factorial(length)
        assert abs(shares[length] - expected) < 5 * (expected / len(lengths)) ** 0.5 + 1e-3


def test_a_cut_span_stands_anywhere(rng) -> None:
    # With a budget of 4 and spans of about 3, the first and the last of two spans must look alike.
    row, lengths = span_lengths(np.full(60_000, 4), 3.0, rng)
    two = np.flatnonzero((np.bincount(row, minlength=60_000) == 2)[row])
    first, last = lengths[two[0::2]], lengths[two[1::2]]
    assert (first + last == 4).all()
    assert abs(first.mean() - last.mean()) < 0.05


def test_infilled_places_are_uniform(rng) -> None:
    source = TextInfilling(-5)(equal_rows(40_000, 10), rng).source.values
    kept = np.bincount(source[source >= 0], minlength=10)
    assert kept.sum() == 280_000
    assert kept.min() > 0.9 * 28_000
    assert abs(kept[0] - kept[-1]) < 5 * (2 * 40_000 * 0.21) ** 0.5


def test_spans_of_no_tokens_never_lengthen_a_row(make_rows, rng) -> None:
    tokens = make_rows([[7] * length for length in (0, 1, 2, 3, 4, 5) * 2_000])
    found = TextInfilling(5, mean_span_length=0.2)(tokens, rng)
    assert (found.source.lengths <= tokens.lengths).all()
    assert (found.source.lengths[tokens.lengths > 0] >= 1).all()


def test_infilling_needs_spans(mask: int) -> None:
    with pytest.raises(InputError, match=r"mean span length: 0.0 is not greater than 0"):
        TextInfilling(mask, mean_span_length=0.0)


def test_permuted_sentences_are_whole(split, rng) -> None:
    tokens = places(split.tokens)
    found = SentencePermutation()(tokens, rng, split.sentences).source
    for source, row in zip(rows_of(found), rows_of(tokens), strict=True):
        assert sorted(source) == row
        breaks = [b for a, b in pairwise(source) if b != a + 1]
        assert all(split.sentences[b] or b == row[0] for b in breaks)


def test_every_order_is_equally_likely(rng) -> None:
    draws, starts = 30_000, np.array([True, False, True, True, False])
    tokens = equal_rows(draws, 5)
    source = SentencePermutation()(tokens, rng, np.tile(starts, draws)).source.values.reshape(draws, 5)
    orders, found = np.unique(source, axis=0, return_counts=True)
    assert sorted(orders.tolist())[0] == [0, 1, 2, 3, 4]
    assert len(orders) == 6
    assert abs(found - draws / 6).max() < 5 * (draws / 6) ** 0.5


def test_deshuffling(split, rng) -> None:
    found = Deshuffling()(split.tokens, rng)
    for source, row in zip(rows_of(found.source), rows_of(found.target), strict=True):
        assert sorted(source) == sorted(row)


def test_rotation(split, rng) -> None:
    for source, row in zip(
        rows_of(DocumentRotation()(places(split.tokens), rng).source), rows_of(places(split.tokens)), strict=True
    ):
        shift = row.index(source[0]) if row else 0
        assert source == row[shift:] + row[:shift]


def test_every_rotation_is_equally_likely(rng) -> None:
    first = DocumentRotation()(equal_rows(30_000, 5), rng).source.values[::5]
    assert abs(np.bincount(first) - 6_000).max() < 5 * 6_000**0.5


def test_a_prefix_is_read_and_the_rest_written(split, rng) -> None:
    found = PrefixLanguageModel()(split.tokens, rng)
    for source, target, row in zip(rows_of(found.source), rows_of(found.target), rows_of(split.tokens), strict=True):
        assert source + target == row
        assert len(row) < 2 or (source and target)
        assert len(row) != 1 or target == row


def test_every_prefix_is_equally_likely(rng) -> None:
    lengths = PrefixLanguageModel()(equal_rows(30_000, 6), rng).source.lengths
    assert np.bincount(lengths)[0] == 0
    assert abs(np.bincount(lengths)[1:] - 6_000).max() < 5 * 6_000**0.5
