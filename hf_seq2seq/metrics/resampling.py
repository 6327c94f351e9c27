"""How sure a score is: confidence intervals by the bootstrap, and tests of the difference between two systems.

A metric with statistics that sum over rows is resampled by one matrix product for many draws; any other metric is
computed again on every draw. Draws are those of sacreBLEU with the same seed, and so are p-values but for ties.

Paper: Koehn 2004, Statistical significance tests for machine translation evaluation, https://aclanthology.org/W04-3250
Paper: Riezler and Maxwell 2005, On some pitfalls in automatic evaluation and significance testing for MT,
    https://aclanthology.org/W05-0908
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_seq2seq.metrics.metric import Metric

SEED = 12345  # sacreBLEU's
_TRIALS = 32  # drawn at once; numpy draws Booleans 32 from a number, so that pieces of 32 are what a whole draw gives
_INDICES = 2**17  # drawn at once, which may be any number


@dataclass(frozen=True)
class Sample:
    """A system's rows under one metric.

    Attributes:
        metric: what scores them.
        statistics: `(rows, statistics)`, or None where the metric has none and needs the rows themselves.
        predictions: as `metric.compute` takes them; only needed without statistics, as is `truth`.
        truth: likewise.
    """

    metric: Metric
    statistics: np.ndarray | None
    predictions: Any = None
    truth: Any = None

    def __len__(self) -> int:
        return len(self.truth if self.statistics is None else self.statistics)

    def score(self) -> np.ndarray:
        """The scores of the rows as they are, `(keys,)`."""
        return np.asarray(self.drawn(np.arange(len(self)).reshape(1, -1))[0])

    def drawn(self, rows: np.ndarray) -> np.ndarray:
        """Scores of draws of rows with replacement, `(draws, rows)` indices: `(draws, keys)`."""
        if self.statistics is not None:
            counts = np.stack([np.bincount(draw, minlength=len(self)) for draw in rows]).astype(np.float64)
            return self._scored(counts @ self.statistics)
        return np.array([self._computed(self.predictions, self.truth, draw) for draw in rows])

    def exchanged(self, other: "Sample", mine: np.ndarray) -> np.ndarray:
        """Scores of systems whose rows are this one's where `mine`, `(draws, rows)` Booleans, else the other's."""
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
    """Scores of as many rows drawn with replacement, again and again: `(resamples, keys)`."""
    generator = np.random.default_rng(seed)
    rows = len(sample)
    pieces = _pieces(resamples, max(1, _INDICES // rows))
    return np.concatenate([sample.drawn(generator.integers(rows, size=(n, rows))) for n in pieces])


def interval(scores: np.ndarray, confidence: float = 95) -> tuple[np.ndarray, np.ndarray]:
    """Between what bounds this share of the resampled scores lies, by percentiles.

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

    Both systems are scored on the same draws. The differences, moved to a mean of zero, stand for what chance does
    where the systems are equal.
    """
    differences = np.abs(bootstrap(first, resamples, seed) - bootstrap(second, resamples, seed))
    return _p_values(differences - differences.mean(axis=0), first, second)


def approximate_randomisation(first: Sample, second: Sample, trials: int = 10000, seed: int = SEED) -> np.ndarray:
    """Two-sided p-values of two systems' difference, `(keys,)`, by approximate randomisation.

    They say how often a random exchange of rows between the systems makes as great a difference.
    """
    generator = np.random.default_rng(seed)
    found = []
    for n in _pieces(trials, _TRIALS):
        mine = generator.integers(2, size=(n, len(first)), dtype=bool)
        found.append(np.abs(first.exchanged(second, mine) - first.exchanged(second, ~mine)))
    return _p_values(np.concatenate(found), first, second)


def _p_values(differences: np.ndarray, first: Sample, second: Sample) -> np.ndarray:
    """With one added above and below, so that a true null hypothesis is not rejected too often.

    A difference that equals the real one counts, as for Riezler and Maxwell; sacreBLEU counts greater
    ones alone, and so calls systems different that differ in one row. Systems without any difference get 1.
    """
    real = np.abs(first.score() - second.score())
    # The tolerance lets an exchange of all rows, whose difference is the real one, pass in spite of rounding.
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
