"""Texts with their labels; imports no library of tables, so that a classifier needs none."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Labelled:
    """The labelled texts of one split.

    Attributes:
        texts: one per row.
        pairs: the second text of each row, or None.
        labels: class ids `(rows,)` int64; or `(rows, classes)` float32 of zeros and ones, for multiple labels per row;
            or numbers `(rows,)` float32, for regression.
        columns: the columns they come from, by role: "text", "label" and, for pairs, "text_pair".
    """

    texts: list[str]
    pairs: list[str] | None
    labels: np.ndarray
    columns: dict[str, str]

    def __len__(self) -> int:
        return len(self.texts)
