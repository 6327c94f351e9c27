"""Agreement between raters: Krippendorff's alpha, for any number of raters, with missing ratings allowed.

Alpha depends only on statistics that sum over the rated units, so it is resampled like any other metric.

Paper: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, https://repository.upenn.edu/asc_papers/43
"""

from collections.abc import Callable

import numpy as np

from hf_seq2seq.metrics.metric import Metric, Scores, summed


def nominal(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Nominal disagreement: 1 where two ratings differ.

    Args:
        values: the possible ratings in ascending order, `(values,)`.
        counts: number of pairable ratings with each value, `(values,)`.

    Returns:
        The disagreement between each two values, `(values, values)`.
    """
    return (values[:, None] != values[None, :]).astype(np.float64)


def ordinal(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Ordinal disagreement: the squared number of ratings between the two; arguments as for `nominal`."""
    middle = np.cumsum(counts) - counts / 2  # of the ranks occupied by each value's ratings
    return np.square(middle[:, None] - middle[None, :])


def interval(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Interval disagreement: the squared difference of the two ratings; arguments as for `nominal`."""
    return np.square(values[:, None] - values[None, :]).astype(np.float64)


LEVELS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ordinal": ordinal,
    "interval": interval,
    "nominal": nominal,
}


def make_alpha(values: np.ndarray, level: str = "ordinal") -> Metric:
    """Alpha as a metric of `(units, raters)` ratings, NaN where missing. There is no ground truth: references are None.

    It is NaN where undefined: no unit has two ratings, or all pairable ratings are equal.

    Args:
        values: the possible ratings in ascending order, `(values,)`.
        level: level of measurement, a key of `LEVELS`.
    """

    def score(sums: np.ndarray) -> Scores:
        return {"alpha": _alpha(sums.reshape(len(values), len(values)), values, level)}

    return summed(lambda ratings, _: _coincidences(ratings, values), score, True, ("alpha",))


def _coincidences(ratings: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Pairs of raters' values in each unit, weighted so that each rating counts once: `(units, values * values)`."""
    counts = (ratings[:, :, None] == values).sum(axis=1).astype(np.float64)
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    places = np.arange(len(values))
    pairs[:, places, places] -= counts  # no rater is paired with themselves
    return (pairs / np.maximum(raters - 1, 1)[:, None, None]).reshape(len(ratings), -1)


def _alpha(coincidences: np.ndarray, values: np.ndarray, level: str) -> float:
    counts = coincidences.sum(axis=0)
    distances = LEVELS[level](values, counts)
    expected = counts @ distances @ counts
    if not expected:
        return float("nan")
    return float(1 - (counts.sum() - 1) * (coincidences * distances).sum() / expected)
