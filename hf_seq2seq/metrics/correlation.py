"""Correlations of weighted observations, so that a bootstrap resample is a row of counts and needs no copies.

Paper: Kendall 1945, The Treatment of Ties in Ranking Problems (tau-b), https://doi.org/10.1093/biomet/33.3.239
"""

from collections.abc import Callable

import numpy as np

_BLOCK = 512  # observations whose pairs are compared at once


def pearson(left: np.ndarray, right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's correlation.

    Args:
        left: observations, `(n,)`, or `(draws, n)` if they differ between draws.
        right: the same.
        counts: how often each observation counts in each draw, `(draws, n)`.

    Returns:
        The correlation in each draw, `(draws,)`; NaN where a side is constant or nothing is drawn.
    """
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    first, second = (
        np.broadcast_to(side, counts.shape) - (side * counts).sum(axis=1, keepdims=True) / total
        for side in (left, right)
    )
    spread = np.sqrt((counts * first * first).sum(axis=1) * (counts * second * second).sum(axis=1))
    scale = np.sqrt((counts * left * left).sum(axis=1) * (counts * right * right).sum(axis=1))
    return _quotient((counts * first * second).sum(axis=1), np.where(spread > 1e-12 * scale, spread, 0))


def spearman(left: np.ndarray, right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation; ties share their mean rank. Arguments `(n,)`, `(n,)`, `(draws, n)`."""
    return pearson(_ranks(left, counts), _ranks(right, counts), counts)


def kendall(left: np.ndarray, right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Kendall's tau-b; pairs tied on one side lower it. Arguments as for `spearman`."""
    sums = np.zeros((3, len(counts)))
    for start in range(0, len(left), _BLOCK):
        block = slice(start, start + _BLOCK)
        first, second = (np.sign(side[block, None] - side[None, :]) for side in (left, right))
        for place, pairs in enumerate((first * second, first * first, second * second)):
            sums[place] += ((counts[:, block] @ pairs) * counts).sum(axis=1)
    return _quotient(sums[0], np.sqrt(sums[1] * sums[2]))


CORRELATIONS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall,
}


def _ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The rank of each observation among those drawn, `(draws, n)`, up to a constant."""
    _, group = np.unique(values, return_inverse=True)
    sizes = np.zeros((len(counts), group.max() + 1))
    np.add.at(sizes.T, group, counts.T)
    ranks: np.ndarray = (np.cumsum(sizes, axis=1) - sizes / 2)[:, group]
    return ranks


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
