"""A text has any number of labels."""

from typing import Any

import numpy as np

from hf_seq2seq.problems.labels import LabelProblem
from hf_seq2seq.task import Task


class MultiLabelProblem(LabelProblem):
    """Any number of labels a text, each of which is chosen where its logit is above 0."""

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
        """By the share of labels that are rightly given or not."""
        share = float(np.mean((logits > 0) == (truth > 0)))
        return share, ", ".join(_chosen(names, logits)), ", ".join(_chosen(names, truth)), f"{share:.3f}"

    def purpose(self, task: Task) -> str:
        """By the number of labels."""
        return f"gives a text any number of {len(task.label_names)} labels"

    def shown_label(self, names: tuple[str, ...], label: Any) -> str:
        """The names of the labels that it has."""
        return ", ".join(_chosen(names, label)) or "none"


def _chosen(names: tuple[str, ...], values: np.ndarray) -> list[str]:
    return [name for name, value in zip(names, values, strict=True) if value > 0]
