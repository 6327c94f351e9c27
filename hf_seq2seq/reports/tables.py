"""Statistics of candidates of many rows, packed: an array per row would take several times the memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

TOGETHER = 4096  # rows that are packed at once


@dataclass
class Tables:
    """Tables of statistics by row, in the order in which they were added.

    Whole numbers, which most statistics are, take four bytes each.
    """

    _packed: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    _new: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def add(self, row: int, table: np.ndarray) -> None:
        """Adds a row's table, `(candidates, statistics)`."""
        self._new.append((row, table))
        if len(self._new) == TOGETHER:
            self._pack()

    def __len__(self) -> int:
        return len(self._new) + sum(len(rows) for rows, _, _ in self._packed)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """The rows and their tables."""
        self._pack()
        for rows, sizes, values in self._packed:
            ends = np.concatenate([[0], sizes.cumsum()])
            for row, (start, end) in zip(rows.tolist(), pairwise(ends.tolist()), strict=True):
                yield row, values[start:end]

    @property
    def numbers(self) -> np.ndarray:
        """The numbers of the rows, `(rows,)` int64."""
        self._pack()
        return np.concatenate([rows for rows, _, _ in self._packed])

    @property
    def tables(self) -> np.ndarray:
        """All tables, one below the other, `(candidates of all rows, statistics)`."""
        self._pack()
        return np.concatenate([values for _, _, values in self._packed])

    def _pack(self) -> None:
        if not self._new:
            return
        values = np.concatenate([table for _, table in self._new])
        small = values.astype(np.float32)
        rows = np.array([row for row, _ in self._new], dtype=np.int64)
        sizes = np.array([len(table) for _, table in self._new], dtype=np.int64)
        self._packed.append((rows, sizes, small if np.array_equal(small, values) else values))
        self._new = []
