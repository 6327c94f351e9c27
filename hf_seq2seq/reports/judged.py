"""What a classifier says of labelled rows: one label, several, or a number."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.analysis.records import Figures
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.decoding.label_kinds import THRESHOLD


@dataclass(frozen=True)
class Judged:
    """What a classifier says of labelled rows.

    Attributes:
        problem: "single_label", "multi_label" or "regression".
        rows: the texts and their labels, of which there may be none.
        scores: probabilities `(rows, classes)`, or numbers `(rows, 1)`.
        names: of the classes.
    """

    problem: str
    rows: Labelled
    scores: np.ndarray
    names: list[str]

    @property
    def labelled(self) -> bool:
        """Whether the rows have labels."""
        return len(self.rows.labels) > 0

    @property
    def truth(self) -> np.ndarray:
        """The labels, as in `Labelled.labels`."""
        return np.asarray(self.rows.labels)

    def predicted(self, row: int) -> str:
        """The label, labels or number of a row as text."""
        if self.problem == "regression":
            return f"{float(self.scores[row, 0]):.4g}"
        if self.problem == "multi_label":
            return self._listed(self.scores[row] > THRESHOLD)
        return self.names[int(self.scores[row].argmax())]

    def true(self, row: int) -> str:
        """The same of the truth; empty without labels."""
        if not self.labelled:
            return ""
        if self.problem == "regression":
            return f"{float(self.truth[row]):.4g}"
        if self.problem == "multi_label":
            return self._listed(self.truth[row] > 0.5)
        return self.names[int(self.truth[row])]

    def figures(self) -> Figures:
        """Score, exactness and confidence of every row; without labels the last alone, which a number has not."""
        if not self.labelled:
            return {} if self.problem == "regression" else {"confidence": self._sure().astype(np.float64)}
        if self.problem == "regression":
            error = np.abs(self.scores[:, 0] - self.truth)
            return {"score": error.astype(np.float64), "exact": (error == 0).astype(np.float64)}
        if self.problem == "multi_label":
            true = self.truth > 0.5
            score, right = np.where(true, self.scores, 1 - self.scores).mean(1), (self.scores > THRESHOLD) == true
            exact = right.all(1)
        else:
            score = self.scores[np.arange(len(self.truth)), self.truth]
            exact = self.scores.argmax(1) == self.truth
        found = {"score": 100 * score, "exact": exact, "confidence": self._sure()}
        return {name: values.astype(np.float64) for name, values in found.items()}

    def _listed(self, chosen: np.ndarray) -> str:
        return ", ".join(name for name, one in zip(self.names, chosen, strict=True) if one)

    def _sure(self) -> np.ndarray:
        """The probability of what is predicted; of several labels, of each decision, as a mean."""
        if self.problem == "multi_label":
            return np.asarray(np.maximum(self.scores, 1 - self.scores).mean(1))
        return np.asarray(self.scores.max(1))
