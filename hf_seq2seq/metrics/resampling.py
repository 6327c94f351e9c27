"""Bootstrap confidence intervals of scores, and significance tests of the difference between two systems.

A metric with statistics that sum over rows is resampled by one matrix product for many draws; any other metric is
recomputed on every draw. With the same seed the draws are those of sacreBLEU, and so are p-values except for ties.

Paper: Koehn 2004, Statistical significance tests for machine translation evaluation, https://aclanthology.org/W04-3250
Paper: Riezler and Maxwell 2005, On some pitfalls in automatic evaluation and significance testing for MT,
    https://aclanthology.org/W05-0908
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_seq2seq.metrics.metric import Metric

SEED = 12345  # sacreBLEU's
_TRIALS = 32  # drawn at once; numpy draws 32 Booleans per integer, so chunks of 32 give the values of one full draw
_INDICES = 2**17  # drawn at once; any number works


@dataclass(frozen=True)
class Sample:
    """A system's rows, scored by one metric.

    Attributes:
        metric: the metric.
        statistics: `(rows, statistics)`, or None if the metric has none and needs the rows themselves.
        predictions: as for `metric.compute`; only needed without statistics, as is `truth`.
        truth: references or labels, as for `metric.compute`.
    """

    metric: Metric
    statistics: Any
    predictions: Any = None
    truth: Any = None

    def __post_init__(self) -> None:
        """Makes an array of statistics that are lists."""
        if self.statistics is not None:
            object.__setattr__(self, "statistics", np.asarray(self.statistics, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.truth if self.statistics is None else self.statistics)

    def score(self) -> np.ndarray:
        """The scores of the original rows, `(keys,)`."""
        return np.asarray(self.drawn(np.arange(len(self)).reshape(1, -1))[0])

    def drawn(self, rows: np.ndarray) -> np.ndarray:
        """Scores of resampled rows, given as `(draws, rows)` indices: `(draws, keys)`."""
        if self.statistics is not None:
            counts = np.stack([np.bincount(draw, minlength=len(self)) for draw in rows]).astype(np.float64)
            return self._scored(counts @ self.statistics)
        return np.array([self._computed(self.predictions, self.truth, draw) for draw in rows])

    def exchanged(self, other: "Sample", mine: np.ndarray) -> np.ndarray:
        """Scores of mixed systems: this one's rows where `mine`, `(draws, rows)` bool, is true, else the other's."""
        if self.statistics is not None and other.statistics is not None:
            return self._scored(other.statistics.sum(axis=0) + mine @ (self.statistics - other.statistics))
        mixtures = (_mixture(self.predictions, other.predictions, chosen) for chosen in mine)
        return np.array([self._values(self.metric.compute(rows, self.truth)) for rows in mixtures])

    def _scored(self, sums: np.ndarray) -> np.ndarray:
        assert self.metric.score is not None
        return np.array([self._values(self.metric.score(row)) for row in sums])

    def _computed(self, predictions: Any, truth: Any, rows: np.ndarray) -> list[float]:
        return self._values(self.metric.compute(_selection(predictions, rows), _selection(truth, rows)))

    def _values(self, scores: dict[str, float]) -> list[float]:
        return [scores[key] for key in self.metric.keys]


def bootstrap(sample: Sample, resamples: int = 1000, seed: int = SEED) -> np.ndarray:
    """Bootstrap scores: as many rows drawn with replacement, repeatedly: `(resamples, keys)`."""
    return np.concatenate([sample.drawn(piece) for piece in _drawn_rows(len(sample), resamples, seed)])


def draws(rows: int, resamples: int = 1000, seed: int = SEED) -> Iterator[np.ndarray]:
    """The row numbers of every resample that `bootstrap` draws, `(rows,)` each."""
    for piece in _drawn_rows(rows, resamples, seed):
        yield from piece


def _drawn_rows(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    for n in _pieces(resamples, max(1, _INDICES // rows)):
        yield generator.integers(rows, size=(n, rows))


def interval(scores: np.ndarray, confidence: float = 95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap confidence interval.

    Args:
        scores: `(resamples, keys)`.
        confidence: in percent.

    Returns:
        Lower and upper bounds, `(keys,)` each.
    """
    ordered = np.sort(scores, axis=0)
    outside = int(len(ordered) * (100 - confidence) / 200)
    return ordered[outside], ordered[-1 - outside]


def paired_bootstrap(first: Sample, second: Sample, resamples: int = 1000, seed: int = SEED) -> np.ndarray:
    """Two-sided p-values of two systems' difference, `(keys,)`, by paired bootstrap resampling.

    Both systems are scored on the same draws. The differences, shifted to a mean of zero, model the null hypothesis
    that the systems are equal.
    """
    differences = np.abs(bootstrap(first, resamples, seed) - bootstrap(second, resamples, seed))
    return _p_values(differences - differences.mean(axis=0), first, second)


def approximate_randomisation(first: Sample, second: Sample, trials: int = 10000, seed: int = SEED) -> np.ndarray:
    """Two-sided p-values of two systems' difference, `(keys,)`, by approximate randomisation.

    They say how often randomly swapping rows between the systems yields a difference at least as large.
    """
    generator = np.random.default_rng(seed)
    found = []
    for n in _pieces(trials, _TRIALS):
        mine = generator.integers(2, size=(n, len(first)), dtype=bool)
        found.append(np.abs(first.exchanged(second, mine) - first.exchanged(second, ~mine)))
    return _p_values(np.concatenate(found), first, second)


def _p_values(differences: np.ndarray, first: Sample, second: Sample) -> np.ndarray:
    """Add-one p-values, so that a true null hypothesis is not rejected too often.

    A difference equal to the observed one counts, as in Riezler and Maxwell; sacreBLEU counts only greater ones, and so
    calls systems different that differ in one row. Identical systems get 1.
    """
    real = np.abs(first.score() - second.score())
    # With the tolerance, swapping all rows, which gives the observed difference, counts in spite of rounding.
    found = ((differences > real - 1e-9).sum(axis=0) + 1) / (len(differences) + 1)
    return np.where(real == 0, 1.0, found)


def _pieces(draws: int, size: int) -> list[int]:
    return [min(size, draws - start) for start in range(0, draws, size)]


def _selection(values: Any, rows: np.ndarray) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


def _mixture(first: Any, second: Any, chosen: np.ndarray) -> Any:
    if isinstance(first, np.ndarray):
        return np.where(chosen.reshape(-1, *[1] * (first.ndim - 1)), first, second)
    return [a if mine else b for a, b, mine in zip(first, second, chosen, strict=True)]
