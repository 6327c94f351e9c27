"""Statistics of candidates of many rows, in an unnamed file: in memory they would outweigh what else a row leaves."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np


@dataclass
class Tables:
    """Tables of statistics by row, in the order in which they were added.

    Of each row its number and the size of its table, 16 bytes, stay in memory; add all rows before you read any.

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
        """The rows and their tables, each read when it is asked for; only one iteration at a time."""
        stream = self._start()
        for row, size in zip(self._rows, self._sizes, strict=True):
            values = np.frombuffer(stream.read(8 * size * self._width), dtype=np.float64)
            yield row, values.reshape(size, self._width)

    @property
    def numbers(self) -> np.ndarray:
        """The numbers of the rows, `(rows,)` int64."""
        return np.array(self._rows, dtype=np.int64)

    def read(self) -> np.ndarray:
        """All tables, one below the other, `(candidates of all rows, statistics)` float64."""
        return np.frombuffer(self._start().read(), dtype=np.float64).reshape(sum(self._sizes), self._width)

    def _start(self) -> IO[bytes]:
        if self._file is None:
            return BytesIO()
        self._file.seek(0)  # which writes what is still in memory
        return self._file
