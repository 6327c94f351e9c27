import math

import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.text_infilling import TextInfilling, span_lengths


@pytest.mark.parametrize(("rate", "mean"), [(0.3, 3.0), (0.3, 0.5), (1.0, 3.0), (0.0, 3.0), (0.6, 20.0)])
def test_infilling_keeps_the_rest_in_order(split, rate: float, mean: float, by_place, lists) -> None:
    noise = TextInfilling(-5, rate, mean)
    found = noise(by_place(split.tokens), np.random.default_rng(4))
    for source, row in zip(lists(found.source), lists(found.target), strict=True):
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


def test_infilled_places_are_uniform(rng, equal_rows) -> None:
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
