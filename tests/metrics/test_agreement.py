"""Krippendorff's alpha against the paper's example, and against its definition over all pairs of ratings."""

from itertools import permutations

import numpy as np
import pytest

from hf_seq2seq.metrics.agreement import LEVELS, make_alpha
from hf_seq2seq.metrics.resampling import Sample, bootstrap

# Krippendorff 2011: four observers of twelve units, a dot where one is missing.
EXAMPLE = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
NAN = float("nan")


def example() -> np.ndarray:
    return np.array([[NAN if cell == "." else float(cell) for cell in row.split()] for row in EXAMPLE]).T


def distance(first: float, second: float, counts: dict[float, int], level: str) -> float:
    """The squared difference of two ratings, by the words of the paper."""
    if level == "nominal":
        return float(first != second)
    if level == "interval":
        return (first - second) ** 2
    low, high = sorted((first, second))
    between = sum(count for value, count in counts.items() if low <= value <= high)
    return (between - (counts[first] + counts[second]) / 2) ** 2


def over_pairs(ratings: np.ndarray, level: str) -> float:
    """One minus the observed disagreement by the expected one."""
    units = [unit[~np.isnan(unit)].tolist() for unit in ratings]
    units = [unit for unit in units if len(unit) > 1]
    pool = [value for unit in units for value in unit]
    counts = {value: pool.count(value) for value in pool}
    observed = sum(
        distance(a, b, counts, level) / (len(unit) - 1) for unit in units for a, b in permutations(unit, 2)
    ) / max(len(pool), 1)
    expected = sum(distance(a, b, counts, level) for a, b in permutations(pool, 2))
    return 1 - observed * len(pool) * (len(pool) - 1) / expected if expected else NAN


def alpha(ratings: np.ndarray, level: str, values: np.ndarray | None = None) -> float:
    known = np.unique(ratings[~np.isnan(ratings)]) if values is None else values
    metric = make_alpha(known, level)
    return metric.score(metric.statistics(ratings, None).sum(axis=0))["alpha"]


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_papers_example(level: str, published: float) -> None:
    assert alpha(example(), level) == pytest.approx(published, abs=5e-4)
    assert over_pairs(example(), level) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_any_ratings_as_by_all_pairs(level: str) -> None:
    generator = np.random.default_rng(7)
    for _ in range(60):
        ratings = generator.integers(1, 8, size=generator.integers([2, 2], [12, 6])).astype(float)
        ratings[generator.random(ratings.shape) < 0.3] = NAN
        expected = over_pairs(ratings, level)
        assert alpha(ratings, level) == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert alpha(ratings, level, np.arange(0, 11)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_what_has_no_alpha() -> None:
    assert alpha(np.array([[1.0, 1.0], [2.0, 2.0]]), "ordinal") == 1
    for ratings in ([[3.0, 3.0], [3.0, 3.0]], [[1.0, NAN], [NAN, 2.0]], [[NAN, NAN]]):
        assert np.isnan(alpha(np.array(ratings), "ordinal"))


def test_a_draw_of_units_is_alpha_of_these_units() -> None:
    metric = make_alpha(np.arange(1, 6), "ordinal")
    ratings = example()
    found = bootstrap(Sample(metric, metric.statistics(ratings, None)), 50, 3)[:, 0]
    draws = np.random.default_rng(3).integers(len(ratings), size=(50, len(ratings)))
    assert found == pytest.approx([over_pairs(ratings[draw], "ordinal") for draw in draws], abs=1e-12)
