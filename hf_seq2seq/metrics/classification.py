"""Metrics of labels: a single label per row, multiple labels per row, or a number per row.

Logits are `(rows, classes)`; labels are `(rows,)` integers for single labels and `(rows, classes)` of 0 and 1 for
multiple labels. With multiple labels a class is predicted where its logit is above 0, that is, where its probability is
above 0.5.
"""

from collections.abc import Sequence

import numpy as np

from hf_seq2seq.metrics.metric import Scores, averaged, summed


def one_hot(texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """One class name per row, as `(rows, classes)` of 0 and 1; surrounding white space is ignored."""
    places = {name: place for place, name in enumerate(names)}
    return np.eye(len(names))[[places[text.strip()] for text in texts]]


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Confusion matrix, `(classes, classes)` int64: true classes on the first axis, predicted ones on the second."""
    classes = logits.shape[1]
    cells = labels.astype(np.int64) * classes + logits.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _counts(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """True positives, predictions and labels of each class in each row, `(rows, 3 * classes + 1)`.

    The last column says whether rows have multiple labels.
    """
    several = labels.ndim == 2
    every = np.eye(logits.shape[1])
    predicted = logits > 0 if several else every[logits.argmax(axis=1)]
    true = labels > 0.5 if several else every[labels.astype(np.int64)]
    return np.hstack([predicted * true, predicted, true, np.full((len(labels), 1), several)]).astype(np.float64)


def _macro_f1(sums: np.ndarray) -> Scores:
    right, predicted, true = sums[:-1].reshape(3, -1)
    f1 = 2 * right / np.maximum(predicted + true, 1)
    return {"macro_f1": 100 * float(np.mean(f1 if sums[-1] else f1[predicted + true > 0]))}


def _micro_f1(sums: np.ndarray) -> Scores:
    right, predicted, true = sums[:-1].reshape(3, -1).sum(axis=1).tolist()
    return {"micro_f1": 100 * 2 * right / max(predicted + true, 1)}


def _matthews(sums: np.ndarray) -> Scores:
    right, predicted, true = sums[:-1].reshape(3, -1)
    rows = true.sum()
    covariance = right.sum() * rows - predicted @ true
    spread = (rows**2 - predicted @ predicted) * (rows**2 - true @ true)
    return {"matthews": float(covariance / np.sqrt(spread)) if spread else 0.0}


def _right_rows(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    several = labels.ndim == 2
    return 100 * (((logits > 0) == (labels > 0.5)).all(axis=1) if several else logits.argmax(axis=1) == labels)


_LABELS = ("single_label", "multi_label")
ACCURACY = averaged(_right_rows, True, ("accuracy",), problems=_LABELS)
MACRO_F1 = summed(_counts, _macro_f1, True, ("macro_f1",), problems=_LABELS)
MICRO_F1 = summed(_counts, _micro_f1, True, ("micro_f1",), problems=("multi_label",))
MATTHEWS = summed(_counts, _matthews, True, ("matthews",), problems=("single_label",))


def accuracy(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Share of correct rows, 0-100; with multiple labels per row, all of them must be correct."""
    return ACCURACY.compute(logits, labels)


def macro_f1(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Unweighted mean of the classes' F1, 0-100, as in scikit-learn.

    A class that is neither predicted nor true in any row is left out; with multiple labels per row it counts as 0.
    """
    return MACRO_F1.compute(logits, labels)


def micro_f1(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """F1 over all decisions, 0-100, for multiple labels per row (with single labels it equals accuracy)."""
    return MICRO_F1.compute(logits, labels)


def matthews(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Matthews correlation for any number of classes, -1 to 1; 0 if either side is constant.

    Paper: Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient,
        https://doi.org/10.1016/j.compbiolchem.2004.09.006
    """
    return MATTHEWS.compute(logits, labels)


def one_label(labels: np.ndarray | None, names: Sequence[str], rows: str) -> str | None:
    """What to know of scores on rows that all have the same class; None where there are several.

    Args:
        labels: class of each row, `(rows,)`, or anything else.
        names: of the classes.
        rows: the name of the set, such as "test".
    """
    if labels is None or labels.ndim != 1 or len(labels) < 2 or len(names) < 2:
        return None
    first = int(labels[0])
    if (labels != first).any():
        return None
    return f"all {len(labels):,} {rows} rows have the label {names[first]!r}, which a constant answer would get right"
