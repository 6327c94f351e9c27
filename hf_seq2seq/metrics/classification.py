"""Metrics of labels: one label a row, several labels a row, or a number a row.

Logits are `(rows, classes)`; labels are `(rows,)` integers for one label a row and `(rows, classes)` of 0 and 1 for
several. Several labels a row are predicted where the logit is above 0, which is a probability above one half.
"""

import numpy as np

from hf_seq2seq.metrics.metric import Metric


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rows counted by true class (first axis) and predicted class (second axis), `(classes, classes)` int64."""
    classes = logits.shape[1]
    cells = labels.astype(np.int64) * classes + logits.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _counts(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right predictions, predictions and labels of each class, `(classes,)` each."""
    if labels.ndim == 2:
        predicted, true = logits > 0, labels > 0.5
        return (predicted & true).sum(axis=0), predicted.sum(axis=0), true.sum(axis=0)
    matrix = confusion_matrix(logits, labels)
    return matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Share of rows that are right, 0-100; with several labels a row, all of them must be."""
    right = ((logits > 0) == (labels > 0.5)).all(axis=1) if labels.ndim == 2 else logits.argmax(axis=1) == labels
    return {"accuracy": 100 * float(right.mean())}


def macro_f1(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Mean of the classes' F1, 0-100, as scikit-learn has it.

    A class that is neither predicted nor true in any row is left out; with several labels a row it counts as 0.
    """
    right, predicted, true = _counts(logits, labels)
    f1 = 2 * right / np.maximum(predicted + true, 1)
    present = f1 if labels.ndim == 2 else f1[predicted + true > 0]
    return {"macro_f1": 100 * float(present.mean())}


def micro_f1(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """F1 over all decisions at once, 0-100; for several labels a row (with one label it equals accuracy)."""
    right, predicted, true = (int(count.sum()) for count in _counts(logits, labels))
    return {"micro_f1": 100 * 2 * right / max(predicted + true, 1)}


def matthews(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Matthews correlation for any number of classes, -1 to 1; 0 where a side is constant.

    Paper: Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient,
        https://doi.org/10.1016/j.compbiolchem.2004.09.006
    """
    right, predicted, true = (count.astype(np.float64) for count in _counts(logits, labels))
    rows = true.sum()
    covariance = right.sum() * rows - predicted @ true
    spread = (rows**2 - predicted @ predicted) * (rows**2 - true @ true)
    return {"matthews": float(covariance / np.sqrt(spread)) if spread else 0.0}


_LABELS = ("single_label", "multi_label")
ACCURACY = Metric(accuracy, True, ("accuracy",), problems=_LABELS)
MACRO_F1 = Metric(macro_f1, True, ("macro_f1",), problems=_LABELS)
MICRO_F1 = Metric(micro_f1, True, ("micro_f1",), problems=("multi_label",))
MATTHEWS = Metric(matthews, True, ("matthews",), problems=("single_label",))
