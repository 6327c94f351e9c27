"""One split, encoded: what batches are cut from and predictions are compared with."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.data.ragged import Ragged


@dataclass(frozen=True)
class Examples:
    """Encoded rows beside their text.

    Attributes:
        source: source ids of every row, special tokens included, already cut to the limit.
        texts: the source text of every row, as the user wrote it (no prefix).
        target: target ids of every row, ending in EOS; None where the task has labels.
        references: for pairs, the acceptable target texts of every row (the first is trained on).
        labels: for classification, `(rows,)` int64 class ids, `(rows, classes)` float32 for several labels a row,
            or `(rows,)` float32 for regression; None for pairs.
        token_types: segment ids that line up with `source`, for text pairs; None otherwise.
        unknown: the source words of every row that the vocabulary lacks but a model may copy, as `data.copying` numbers
            them; None where nothing is copied.
        truncated: rows whose source and whose target were cut.
    """

    source: Ragged
    texts: list[str]
    target: Ragged | None = None
    references: list[list[str]] | None = None
    labels: np.ndarray | None = None
    token_types: Ragged | None = None
    unknown: list[tuple[str, ...]] | None = None
    truncated: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, `(rows, sides)`: source, and target where there is one."""
        sides = [self.source.lengths] + ([] if self.target is None else [self.target.lengths])
        return np.stack(sides, axis=1)
