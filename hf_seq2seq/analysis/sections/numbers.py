"""A model that predicts a number: how far off it is, where it is biased, and its largest errors."""

from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.sections.confidence import rank_correlation
from hf_seq2seq.analysis.svg import lines

PARTS, LARGEST = 10, 25


def numbers(record: Record) -> Section | None:
    """Errors, correlations, the mean truth of low to high predictions, and the largest errors."""
    if record.facts["task"] != "labels" or record.facts.get("problem") != "regression" or not record.supervised:
        return None
    guess, truth = (record.labels[name].reshape(-1).astype(np.float64) for name in ("scores", "truth"))
    error = guess - truth
    varied = min(guess.std(), truth.std()) > 0
    found: dict[str, Any] = {
        "mean_absolute_error": float(np.abs(error).mean()),
        "root_mean_squared_error": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
        "error_of_the_mean": float(np.abs(truth - truth.mean()).mean()),
        "pearson": float(np.corrcoef(guess, truth)[0, 1]) if varied else None,
        "spearman": rank_correlation(guess, truth) if varied else None,
        "parts": by_prediction(guess, truth),
    }
    text: tuple[str, ...] = (
        f"Mean absolute error: {found['mean_absolute_error']:.4g}; that of always predicting the mean would be "
        f"{found['error_of_the_mean']:.4g}. Root mean squared error: {found['root_mean_squared_error']:.4g}; mean of "
        f"prediction minus truth: {found['bias']:+.4g}.",
        "The picture has rows in tenths by their prediction: on the dashed line, predictions are right on average.",
    )
    if varied:
        text += (f"Correlation with the truth: Pearson {found['pearson']:.3f}, Spearman {found['spearman']:.3f}.",)
    points = {"rows": [(each["prediction"], each["truth"]) for each in found["parts"]]}
    picture = lines(points, "mean truth", "mean prediction", diagonal=True)
    head = ("rows", "mean prediction", "mean truth", "mean absolute error")
    tables = (
        Table("By prediction", head, [list(each.values()) for each in found["parts"]]),
        Table("The largest errors", ("row", "error", "predicted", "true", "text"), _largest(record, guess, truth)),
    )
    return Section("Numbers", text, found, tables, {"predictions": picture})


def by_prediction(guess: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """Means of rows in up to ten parts of about equal size, from low to high predictions."""
    parts = np.array_split(np.argsort(guess, kind="stable"), min(PARTS, len(guess)))
    return [
        {
            "rows": len(rows),
            "prediction": float(guess[rows].mean()),
            "truth": float(truth[rows].mean()),
            "error": float(np.abs(guess[rows] - truth[rows]).mean()),
        }
        for rows in parts
    ]


def _largest(record: Record, guess: np.ndarray, truth: np.ndarray) -> list[list[Any]]:
    order = [int(row) for row in np.argsort(-np.abs(guess - truth), kind="stable")[:LARGEST]]
    texts = {number: row["source"][:1000] for number, row in enumerate(record.rows()) if number in order}
    return [[row + 1, float(guess[row] - truth[row]), float(guess[row]), float(truth[row]), texts[row]]
            for row in order]  # fmt: skip
