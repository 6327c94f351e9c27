"""A text has a number."""

from typing import Any

import numpy as np

from hf_seq2seq.problems.labels import LabelProblem
from hf_seq2seq.task import Task


class RegressionProblem(LabelProblem):
    """A number a text."""

    units = "The loss is the squared error over the labels' variance in training; correlations are on -1 to 1."
    measure = "error"
    answer = ("print(logits[:, 0].tolist())",)

    def row(self, names: tuple[str, ...], logits: np.ndarray) -> dict[str, Any]:
        """The number."""
        return {"prediction": float(logits[0])}

    def judge(self, names: tuple[str, ...], logits: np.ndarray, truth: Any) -> tuple[float, str, str, str]:
        """By how far the number is off."""
        error = abs(float(logits[0]) - float(truth))
        return -error, f"{logits[0]:.4g}", f"{truth:.4g}", f"{error:.4g}"

    def purpose(self, task: Task) -> str:
        """A number."""
        return "gives a text a number"

    def shown_label(self, names: tuple[str, ...], label: Any) -> str:
        """The number."""
        return f"{float(label)}"
