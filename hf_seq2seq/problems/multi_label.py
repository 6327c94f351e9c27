"""Multi-label classification."""

from typing import Any

import numpy as np

from hf_seq2seq.problems.labels import LabelProblem
from hf_seq2seq.task import Task


class MultiLabelProblem(LabelProblem):
    """Any number of labels per text; a label is predicted if its logit is above 0."""

    units = "The loss is in nats; accuracy and F1 are on a scale of 0-100, correlations between -1 and 1."
    measure = "share of correct decisions"
    answer = (
        "for row in (logits > 0).tolist():",
        "    print([model.config.id2label[i] for i, is_true in enumerate(row) if is_true])",
    )

    def row(self, names: tuple[str, ...], logits: np.ndarray) -> dict[str, Any]:
        """The labels of logits above 0."""
        return {"predictions": _chosen(names, logits)}

    def judge(self, names: tuple[str, ...], logits: np.ndarray, truth: Any) -> tuple[float, str, str, str]:
        """By the share of correct decisions over labels."""
        share = float(np.mean((logits > 0) == (truth > 0)))
        return share, ", ".join(_chosen(names, logits)), ", ".join(_chosen(names, truth)), f"{share:.3f}"

    def purpose(self, task: Task) -> str:
        """By the number of labels."""
        return f"assigns any number of {len(task.label_names)} labels to a text"

    def shown_label(self, names: tuple[str, ...], label: Any) -> str:
        """The names of its labels."""
        return ", ".join(_chosen(names, label)) or "none"


def _chosen(names: tuple[str, ...], values: np.ndarray) -> list[str]:
    return [name for name, value in zip(names, values, strict=True) if value > 0]
