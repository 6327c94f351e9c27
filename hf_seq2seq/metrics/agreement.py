"""Agreement between raters: Krippendorff's alpha, for any number of raters, some of whose ratings may be missing.

All that alpha depends on sums over what is rated, so that it is resampled as any other metric.

Paper: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, https://repository.upenn.edu/asc_papers/43
"""

from collections.abc import Callable

import numpy as np

from hf_seq2seq.metrics.metric import Metric, Scores, summed


def nominal(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Disagreement where two ratings are not the same.

    Args:
        values: that a rating can have, rising, `(values,)`.
        counts: how many ratings that can be paired have each value, `(values,)`.

    Returns:
        The disagreement of two values, `(values, values)`.
    """
    return (values[:, None] != values[None, :]).astype(np.float64)


def ordinal(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Disagreement by how many ratings lie between two of them, squared; as `nominal`."""
    middle = np.cumsum(counts) - counts / 2  # of the ranks that each value's ratings take
    return np.square(middle[:, None] - middle[None, :])


def interval(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Disagreement by the distance of two ratings, squared; as `nominal`."""
    return np.square(values[:, None] - values[None, :]).astype(np.float64)


LEVELS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ordinal": ordinal,
    "interval": interval,
    "nominal": nominal,
}


def make_alpha(values: np.ndarray, level: str = "ordinal") -> Metric:
    """Alpha as a metric of `(units, raters)` ratings, NaN where one is missing; the truth is unknown, so None.

    It is NaN where it is not defined: no unit has two ratings, or all ratings that can be paired are the same.

    Args:
        values: all that a rating can be, rising, `(values,)`.
        level: of measurement, a name of `LEVELS`.
    """

    def score(sums: np.ndarray) -> Scores:
        return {"alpha": _alpha(sums.reshape(len(values), len(values)), values, level)}

    return summed(lambda ratings, _: _coincidences(ratings, values), score, True, ("alpha",))


def _coincidences(ratings: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Pairs of two raters' values in each unit, weighted so that a rating counts once: `(units, values * values)`."""
    counts = (ratings[:, :, None] == values).sum(axis=1).astype(np.float64)
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    places = np.arange(len(values))
    pairs[:, places, places] -= counts  # nobody is paired with himself
    return (pairs / np.maximum(raters - 1, 1)[:, None, None]).reshape(len(ratings), -1)


def _alpha(coincidences: np.ndarray, values: np.ndarray, level: str) -> float:
    counts = coincidences.sum(axis=0)
    distances = LEVELS[level](values, counts)
    expected = counts @ distances @ counts
    if not expected:
        return float("nan")
    return float(1 - (counts.sum() - 1) * (coincidences * distances).sum() / expected)
