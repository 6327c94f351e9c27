"""Correlations of weighted observations against SciPy's, of observations that are repeated."""

import numpy as np
import pytest

from hf_seq2seq.metrics.correlation import CORRELATIONS

stats = pytest.importorskip("scipy.stats", reason="the reference implementation is not installed")
REFERENCES = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}


@pytest.mark.parametrize("name", CORRELATIONS)
def test_counts_stand_for_copies(name: str) -> None:
    generator = np.random.default_rng(3)
    left = generator.integers(0, 9, size=700).astype(float)  # more than a block, with ties
    right = left + generator.normal(0, 4, size=700).round()
    counts = generator.multinomial(700, np.full(700, 1 / 700), size=3).astype(float)
    found = CORRELATIONS[name](left, right, counts)
    for value, draw in zip(found, counts.astype(int), strict=True):
        assert value == pytest.approx(REFERENCES[name](left.repeat(draw), right.repeat(draw))[0], abs=1e-12)


@pytest.mark.parametrize("name", CORRELATIONS)
def test_a_constant_side_has_no_correlation(name: str) -> None:
    values, constant = np.array([1.0, 2.0, 4.0]), np.full(3, 0.1)
    found = CORRELATIONS[name](values, constant, np.array([[1.0, 1, 1], [3.0, 0, 0]]))
    assert np.isnan(found).all()
    assert CORRELATIONS[name](values, -values, np.ones((1, 3)))[0] == pytest.approx(-1)
