"""Uniformly random subsets and splits of many rows at once."""

import numpy as np

from hf_seq2seq.noising.rows import offsets_of


def choose(sizes: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chooses `counts` of the `sizes` items of every row; every subset of that size is equally likely.

    Items are drawn with replacement and redrawn on collisions until there are enough. For rows from which more than
    half is wanted, the items to leave out are drawn instead, so a few rounds suffice.

    Args:
        sizes: items of each row, `(rows,)`, 0 or more.
        counts: how many to choose, `(rows,)`, from 0 to `sizes`.
        rng: source of randomness.

    Returns:
        Whether an item is chosen, `(sum of sizes,)` bool.
    """
    offsets = offsets_of(sizes)
    chosen = np.zeros(offsets[-1], dtype=bool)
    most = 2 * counts > sizes
    missing = np.where(most, sizes - counts, counts)
    while missing.any():
        row = np.repeat(np.arange(len(sizes)), missing)
        # numpy.unique hashes, which is many times slower than sorting.
        drawn = np.sort(offsets[row] + (rng.random(len(row)) * sizes[row]).astype(np.int64))
        drawn = drawn[np.diff(drawn, prepend=-1) > 0]
        drawn = drawn[~chosen[drawn]]
        chosen[drawn] = True
        missing = missing - np.diff(np.searchsorted(drawn, offsets))
    return chosen ^ np.repeat(most, sizes) if most.any() else chosen


def split(totals: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Splits every row into parts of one item or more, uniformly at random.

    Args:
        totals: items of each row, `(rows,)`.
        parts: parts of each row, `(rows,)`, from 1 to `totals`; a row of no items has one part, which is empty.
        rng: source of randomness.

    Returns:
        Items of each part, row by row, `(sum of parts,)` int64.
    """
    gaps = np.maximum(totals - 1, 0)
    cuts = np.flatnonzero(choose(gaps, parts - 1, rng))
    ends = np.empty(parts.sum(), dtype=np.int64)
    inner = np.ones(len(ends), dtype=bool)
    inner[np.cumsum(parts) - 1] = False
    offsets = offsets_of(totals)
    ends[~inner] = offsets[1:]
    ends[inner] = cuts + 1 + np.repeat((offsets - offsets_of(gaps))[:-1], parts - 1)
    return np.diff(ends, prepend=0)
