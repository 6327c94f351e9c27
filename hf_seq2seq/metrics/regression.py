"""Regression metrics; predictions are `(rows,)` or `(rows, 1)`, labels `(rows,)`."""

import numpy as np

from hf_seq2seq.metrics.metric import Metric, Scores, averaged


def _columns(predictions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return predictions.reshape(-1).astype(np.float64), labels.astype(np.float64)


def _moments(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Each row's contribution to the moments, `(rows, 6)`."""
    return np.stack([np.ones(len(left)), left, right, left * left, right * right, left * right], axis=1)


def _correlation(sums: np.ndarray) -> float:
    rows, left, right, squares, other_squares, products = sums.tolist()
    spread, other_spread = squares - left * left / rows, other_squares - right * right / rows
    # If a side is constant in a resample, only rounding errors are left.
    if spread <= 1e-12 * squares or other_spread <= 1e-12 * other_squares:
        return 0.0
    return float((products - left * right / rows) / np.sqrt(spread * other_spread))


def _centred_correlation(left: np.ndarray, right: np.ndarray) -> float:
    """The correlation, centered on the means of all rows to avoid cancellation."""
    return _correlation(_moments(left - left.mean(), right - right.mean()).sum(axis=0))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; ties share their mean rank."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    return (ends - (sizes + 1) / 2)[group]


def _squared_errors(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    left, right = _columns(predictions, labels)
    return (left - right) ** 2


def pearson(predictions: np.ndarray, labels: np.ndarray) -> Scores:
    """Pearson's correlation, -1 to 1; 0 if either side is constant."""
    return {"pearson": _centred_correlation(*_columns(predictions, labels))}


def spearman(predictions: np.ndarray, labels: np.ndarray) -> Scores:
    """Spearman's rank correlation, -1 to 1; 0 if either side is constant."""
    left, right = _columns(predictions, labels)
    return {"spearman": _centred_correlation(_ranks(left), _ranks(right))}


def mse(predictions: np.ndarray, labels: np.ndarray) -> Scores:
    """Mean squared error, in the squared unit of the labels."""
    return MSE.compute(predictions, labels)


_NUMBERS = ("regression",)
# Neither has sums to resample: means and ranks depend on all rows.
PEARSON = Metric(pearson, True, ("pearson",), problems=_NUMBERS)
SPEARMAN = Metric(spearman, True, ("spearman",), problems=_NUMBERS)
MSE = averaged(_squared_errors, False, ("mse",), problems=_NUMBERS)
