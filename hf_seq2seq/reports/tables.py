"""Statistics of candidates of many rows, in an unnamed file: in memory they would outweigh what else a row leaves."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from hf_seq2seq.ragged import offsets_of


@dataclass
class Tables:
    """Tables of statistics by row, in the order in which they were added.

    Of each row its number and the size of its table, 16 bytes, stay in memory.

    Attributes:
        folder: where the file lies, which has no name and is gone when this is. A folder of temporary files may be in
            memory itself.
    """

    folder: Path
    _rows: "array[int]" = field(default_factory=lambda: array("q"))
    _sizes: "array[int]" = field(default_factory=lambda: array("q"))
    _width: int = 0
    _file: IO[bytes] | None = None

    def add(self, row: int, table: np.ndarray) -> None:
        """Adds a row's table, `(candidates, statistics)`; all tables have as many statistics.

        Raises:
            OSError: it cannot be written.
        """
        if self._file is None:
            self._file, self._width = TemporaryFile(dir=self.folder), table.shape[1]  # noqa: SIM115
        self._rows.append(row)
        self._sizes.append(len(table))
        self._file.write(np.asarray(table, dtype=np.float64).tobytes())

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """The rows and their tables."""
        every = self.tables
        for row, (start, end) in zip(self._rows, pairwise(offsets_of(np.array(self._sizes))), strict=True):
            yield row, every[start:end]

    @property
    def numbers(self) -> np.ndarray:
        """The numbers of the rows, `(rows,)` int64."""
        return np.array(self._rows, dtype=np.int64)

    @property
    def tables(self) -> np.ndarray:
        """All tables, one below the other, `(candidates of all rows, statistics)` float64, mapped from the file."""
        shape = sum(self._sizes), self._width
        if self._file is None or not min(shape):
            return np.zeros(shape)
        self._file.flush()
        return np.memmap(self._file, np.float64, "r", shape=shape)
