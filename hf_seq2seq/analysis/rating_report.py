"""Statistics of ratings: means of systems, differences between them, agreement between raters, each with an interval.

Rows are resampled or swapped with all their ratings, because the ratings of one row are correlated. Swaps often produce
exactly the observed difference, because ratings are small integers: these ties count in p-values.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from hf_seq2seq.analysis.ratings import Key, Ratings
from hf_seq2seq.metrics.agreement import make_alpha
from hf_seq2seq.metrics.metric import Scores, summed
from hf_seq2seq.metrics.resampling import SEED, Sample, approximate_randomisation, bootstrap, interval

Json = dict[str, Any]


@dataclass(frozen=True)
class Resampling:
    """Settings for intervals and p-values.

    Attributes:
        confidence: confidence level in percent.
        resamples: bootstrap resamples of rows.
        trials: random swaps of systems within rows.
        seed: seed for both.
    """

    confidence: float = 95.0
    resamples: int = 1000
    trials: int = 10000
    seed: int = SEED

    def drawn(self, sample: Sample) -> np.ndarray:
        """The sample's score in every draw, `(resamples,)`."""
        return bootstrap(sample, self.resamples, self.seed)[:, 0]

    def bounds(self, name: str, drawn: np.ndarray) -> Json:
        """The interval of a number over those resamples for which it is defined."""
        defined = drawn[~np.isnan(drawn)].reshape(-1, 1)
        if not len(defined):
            return {f"{name}_low": None, f"{name}_high": None}
        low, high = interval(defined, self.confidence)
        return {f"{name}_low": float(low[0]), f"{name}_high": float(high[0])}


def report(key: Key, ratings: Ratings, level: str, resampling: Resampling) -> Json:
    """All statistics, by criterion.

    Args:
        key: which system wrote what.
        ratings: ratings of all raters.
        level: level of measurement for alpha, a key of `LEVELS`.
        resampling: settings for intervals and p-values.
    """
    return {name: _criterion(key, values, level, resampling) for name, values in ratings.values.items()}


def _criterion(key: Key, values: np.ndarray, level: str, resampling: Resampling) -> Json:
    by_system = dict(zip(key.systems, values[key.authored], strict=True))  # (rows, raters) each
    return {
        "systems": {name: _mean(rows, resampling) for name, rows in by_system.items()},
        "differences": [
            {"systems": [first, second], **_difference(by_system[first], by_system[second], resampling)}
            for first, second in combinations(key.systems, 2)
        ],
        **_agreement(key, values, level, resampling),
    }


def _mean(ratings: np.ndarray, resampling: Resampling) -> Json:
    """The mean of a system's ratings, `(rows, raters)` with NaN."""
    count = int((~np.isnan(ratings)).sum())
    if not count:
        return {"mean": None, "mean_low": None, "mean_high": None, "ratings": 0}
    sample = _sample(ratings)
    bounds = resampling.bounds("mean", resampling.drawn(sample))
    return {"mean": float(sample.score()[0]), **bounds, "ratings": count}


def _difference(first: np.ndarray, second: np.ndarray, resampling: Resampling) -> Json:
    """The mean difference of two systems over pairs of ratings that one rater gave to both in one row.

    Strict and lenient raters thus have equal weight on both sides, whatever is missing.
    """
    both = ~np.isnan(first) & ~np.isnan(second)
    if not both.any():
        return {"difference": None, "difference_low": None, "difference_high": None, "p": None, "pairs": 0}
    one, two = (_sample(np.where(both, ratings, np.nan)) for ratings in (first, second))
    return {
        "difference": float((one.score() - two.score())[0]),
        **resampling.bounds("difference", resampling.drawn(one) - resampling.drawn(two)),
        "p": float(approximate_randomisation(one, two, resampling.trials, resampling.seed)[0]),
        "pairs": int(both.sum()),
    }


def _sums(ratings: np.ndarray, _: None) -> np.ndarray:
    """The sum and the number of each row's ratings, `(rows, 2)`."""
    return np.stack([np.nansum(ratings, axis=1), (~np.isnan(ratings)).sum(axis=1)], axis=1)


def _quotient(sums: np.ndarray) -> Scores:
    return {"mean": float(sums[0] / sums[1]) if sums[1] else float("nan")}


_MEAN = summed(_sums, _quotient, True, ("mean",))


def mean_sample(ratings: np.ndarray) -> Sample:
    """The rows of ratings, `(rows, raters)` with NaN, whose score is their mean; NaN where a draw has none."""
    return Sample(_MEAN, _sums(ratings, None))


def _sample(ratings: np.ndarray) -> Sample:
    """The rows that have a rating, ready for resampling."""
    return mean_sample(ratings[~np.isnan(ratings).all(axis=1)])


def _agreement(key: Key, values: np.ndarray, level: str, resampling: Resampling) -> Json:
    """Alpha over the texts that were shown; None where undefined."""
    used = np.unique(values[~np.isnan(values)])
    metric = make_alpha(used, level)
    assert metric.statistics is not None
    rows = np.zeros((key.authored.shape[1], len(used) ** 2))
    np.add.at(rows, key.rows, metric.statistics(values, None))
    sample = Sample(metric, rows)
    alpha = float(sample.score()[0])
    if np.isnan(alpha):
        return {"alpha": None, "alpha_low": None, "alpha_high": None}
    return {"alpha": alpha, **resampling.bounds("alpha", resampling.drawn(sample))}
