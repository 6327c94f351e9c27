"""Metrics of numbers; predictions are `(rows,)` or `(rows, 1)`, labels `(rows,)`."""

import numpy as np

from hf_seq2seq.metrics.metric import Metric


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    left, right = left - left.mean(), right - right.mean()
    spread = np.sqrt((left @ left) * (right @ right))
    return float(left @ right / spread) if spread else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share the mean of theirs."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    return (ends - (sizes + 1) / 2)[group]


def pearson(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Pearson's correlation, -1 to 1; 0 where a side is constant."""
    return {"pearson": _correlation(predictions.reshape(-1).astype(np.float64), labels.astype(np.float64))}


def spearman(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Spearman's rank correlation, -1 to 1; 0 where a side is constant."""
    return {"spearman": _correlation(_ranks(predictions.reshape(-1)), _ranks(labels))}


def mse(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Mean squared error, in the labels' unit squared."""
    return {"mse": float(np.mean((predictions.reshape(-1).astype(np.float64) - labels) ** 2))}


_NUMBERS = ("regression",)
PEARSON = Metric(pearson, True, ("pearson",), problems=_NUMBERS)
SPEARMAN = Metric(spearman, True, ("spearman",), problems=_NUMBERS)
MSE = Metric(mse, False, ("mse",), problems=_NUMBERS)
