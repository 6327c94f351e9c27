"""Texts with their labels; imports no library of tables, so that a classifier needs none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Labelled:
    """The labelled texts of one split.

    Attributes:
        texts: one per row.
        pairs: the second text of each row, or None.
        labels: class ids `(rows,)` int64; or `(rows, classes)` float32 of zeros and ones, for multiple labels per row;
            or numbers `(rows,)` float32, for regression.
        columns: the columns they come from, by role: "text", "label" and, for pairs, "text_pair".
        table: the rows with all their columns, if they come from a table.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: np.ndarray
    columns: dict[str, str]
    table: "Dataset | None" = None

    def __len__(self) -> int:
        return len(self.texts)
