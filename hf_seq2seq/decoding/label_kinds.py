"""What a label can be: one class, several labels or a number; how logits become scores, and scores a label."""

from collections.abc import Sequence
from typing import Any

import numpy as np

THRESHOLD = 0.5


class LabelKind:
    """One class of a text.

    Attributes:
        is_class: whether a text has exactly one, so that a confusion matrix can count them.
    """

    is_class = True

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Scores of 0 to 1 a class, which sum to 1, of logits `(rows, classes)`."""
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def label(self, names: Sequence[str], scores: np.ndarray) -> Any:
        """The label of a text of scores `(classes,)`."""
        return names[int(scores.argmax())]

    def cells(self, label: Any, score: Any) -> list[str]:
        """Both as columns of text."""
        return [label, f"{score:.4f}"]


class SeveralLabels(LabelKind):
    """Any number of labels of a text."""

    is_class = False

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Scores of 0 to 1, each for itself."""
        return 1 / (1 + np.exp(-logits))

    def label(self, names: Sequence[str], scores: np.ndarray) -> Any:
        """The labels above one half."""
        return [name for name, score in zip(names, scores, strict=True) if _shown(score) > THRESHOLD]

    def cells(self, label: Any, score: Any) -> list[str]:
        """Both as lists with commas."""
        return [",".join(label), ",".join(f"{one:.4f}" for one in score)]


class Number(LabelKind):
    """A number of a text."""

    is_class = False

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """The numbers themselves."""
        return logits

    def label(self, names: Sequence[str], scores: np.ndarray) -> Any:
        """The name of the number."""
        return names[0]

    def cells(self, label: Any, score: Any) -> list[str]:
        """The number alone."""
        return [f"{score:.4f}"]


LABEL_KINDS = {"single_label": LabelKind(), "multi_label": SeveralLabels(), "regression": Number()}


def verdict(kind: LabelKind, names: Sequence[str], scores: np.ndarray) -> dict[str, Any]:
    """Label, score and all scores of a text, of scores `(classes,)`."""
    found = {name: _shown(score) for name, score in zip(names, scores, strict=True)}
    label = kind.label(names, scores)
    score = [found[name] for name in label] if isinstance(label, list) else found[label]
    return {"label": label, "score": score, "scores": found}


def _shown(score: float) -> float:
    return round(float(score), 6)
