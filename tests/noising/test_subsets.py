from itertools import combinations

import numpy as np
import pytest

from hf_seq2seq.noising.subsets import choose, split


def within(count: int, draws: int, share: float) -> bool:
    """Whether a count lies within five standard deviations of what its share of the draws gives."""
    return abs(count - draws * share) <= 5 * (draws * share * (1 - share)) ** 0.5


def test_as_many_are_chosen_as_asked(rng: np.random.Generator) -> None:
    sizes = rng.integers(0, 40, 5_000)
    counts = (rng.random(5_000) * (sizes + 1)).astype(np.int64)
    chosen = choose(sizes, counts, rng)
    rows = np.repeat(np.arange(5_000), sizes)
    assert np.array_equal(np.bincount(rows[chosen], minlength=5_000), counts)


@pytest.mark.parametrize(("size", "count"), [(6, 2), (6, 4), (5, 5), (3, 0)])
def test_every_subset_is_equally_likely(rng: np.random.Generator, size: int, count: int) -> None:
    draws = 30_000
    chosen = choose(np.full(draws, size), np.full(draws, count), rng).reshape(draws, size)
    subsets, found = np.unique(chosen, axis=0, return_counts=True)
    every = list(combinations(range(size), count))
    assert len(subsets) == len(every)
    assert all(within(number, draws, 1 / len(every)) for number in found)


def test_every_split_is_equally_likely(rng: np.random.Generator) -> None:
    draws = 30_000
    parts = split(np.full(draws, 6), np.full(draws, 3), rng).reshape(draws, 3)
    splits, found = np.unique(parts, axis=0, return_counts=True)
    assert (parts.sum(1) == 6).all()
    assert parts.min() == 1
    assert len(splits) == 10
    assert all(within(number, draws, 0.1) for number in found)


def test_rows_of_all_sizes_are_split_side_by_side(rng: np.random.Generator) -> None:
    totals = rng.integers(0, 50, 3_000)
    parts = np.maximum((rng.random(3_000) * totals).astype(np.int64), 1)
    found = split(totals, parts, rng)
    rows = np.repeat(np.arange(3_000), parts)
    assert np.array_equal(np.bincount(rows, found, 3_000), totals)
    assert (found[totals[rows] > 0] >= 1).all()
