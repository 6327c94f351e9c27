"""Token ids of many rows in one flat array: four bytes per token, no Python objects per row."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

TOKENS_AT_A_TIME = 1 << 20
IGNORE = -100
"""The label of tokens to ignore, as in transformers and torch."""


@dataclass(frozen=True)
class Ragged:
    """Rows of unequal length.

    Attributes:
        values: ids of all rows, `(tokens,)` int32.
        offsets: where each row starts, and the end, `(rows + 1,)` int64.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[Sequence[int] | np.ndarray]) -> "Ragged":
        """Packs rows of ids."""
        arrays = [np.asarray(row, dtype=np.int32) for row in rows]
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(a) for a in arrays], out=offsets[1:])
        return cls(np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int32), offsets)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, `(rows,)`."""
        return np.diff(self.offsets)

    def parts(self) -> Iterator[np.ndarray]:
        """The ids of all rows, in arrays of a size that fits in memory."""
        for start in range(0, len(self.values), TOKENS_AT_A_TIME):
            yield self.values[start : start + TOKENS_AT_A_TIME]

    def without_first(self) -> "Ragged":
        """The rows without the first id of each."""
        return Ragged.of(self[row][1:] for row in range(len(self)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def select(self, rows: np.ndarray) -> "Ragged":
        """The rows at these indices, in the given order."""
        return Ragged.of(self[row] for row in rows)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Where rows of these lengths start, and the end, `(rows + 1,)` int64."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def counted(lengths: np.ndarray) -> np.ndarray:
    """The position of every token in its row, for rows of these lengths, `(tokens,)`."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)


def gathered(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Slices of an array one after another: from each start so many values."""
    found: np.ndarray = values[np.repeat(starts, lengths) + counted(lengths)]
    return found
