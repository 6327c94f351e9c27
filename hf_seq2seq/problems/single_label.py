"""Single-label classification."""

from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq.problems.labels import LabelProblem
from hf_seq2seq.task import Predictions, Task


class SingleLabelProblem(LabelProblem):
    """One class per text."""

    units = "The loss is in nats; accuracy and F1 are on a scale of 0-100, correlations between -1 and 1."
    measure = "probability of the correct label"
    answer = ("print([model.config.id2label[i] for i in logits.argmax(dim=-1).tolist()])",)

    def row(self, names: tuple[str, ...], logits: np.ndarray) -> dict[str, Any]:
        """The class with the highest logit."""
        return {"prediction": names[int(logits.argmax())]}

    def judge(self, names: tuple[str, ...], logits: np.ndarray, truth: Any) -> tuple[float, str, str, str]:
        """By the probability of the correct class."""
        shares = np.exp(logits - logits.max())
        share = float(shares[int(truth)] / shares.sum())
        return share, names[int(logits.argmax())], names[int(truth)], f"{share:.3f}"

    def write_predictions(self, task: Task, split: str, found: Predictions, files: dict[str, Path]) -> None:
        """One JSON object per row, and the confusion matrix."""
        super().write_predictions(task, split, found, files)
        from hf_seq2seq.analysis.pictures import draw_confusion
        from hf_seq2seq.metrics.classification import confusion_matrix

        matrix = confusion_matrix(np.asarray(found), np.asarray(task.splits[split].labels))
        draw_confusion(matrix, task.label_names, files["confusion"])

    def purpose(self, task: Task) -> str:
        """By the number of classes."""
        return f"classifies a text into one of {len(task.label_names)} classes"

    def shown_label(self, names: tuple[str, ...], label: Any) -> str:
        """The id and the name of the class."""
        return f"{int(label)} ({names[int(label)]})"
