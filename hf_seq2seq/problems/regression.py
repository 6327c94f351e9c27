"""Regression: a number per text."""

from typing import Any

import numpy as np

from hf_seq2seq.problems.labels import LabelProblem
from hf_seq2seq.task import Task


class RegressionProblem(LabelProblem):
    """One number per text."""

    units = "The loss is the squared error over the labels' variance in training; correlations are between -1 and 1."
    measure = "error"
    answer = ("print(logits[:, 0].tolist())",)

    def row(self, names: tuple[str, ...], logits: np.ndarray) -> dict[str, Any]:
        """The number."""
        return {"prediction": float(logits[0])}

    def judge(self, names: tuple[str, ...], logits: np.ndarray, truth: Any) -> tuple[float, str, str, str]:
        """By the error of the number."""
        error = abs(float(logits[0]) - float(truth))
        return -error, f"{logits[0]:.4g}", f"{truth:.4g}", f"{error:.4g}"

    def purpose(self, task: Task) -> str:
        """A number."""
        return "predicts a number for a text"

    def shown_label(self, names: tuple[str, ...], label: Any) -> str:
        """The number."""
        return f"{float(label)}"
