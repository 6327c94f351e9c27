"""Training rows of any number, read in order, a buffer at a time; the position in them is the one of `datasets`."""

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset

from hf_seq2seq.configs import Sources
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.files.readers import PlacedRow
from hf_seq2seq.data.files.tables import object_table
from hf_seq2seq.data.joined_files import described
from hf_seq2seq.data.sources import dataset_of
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError

State = dict[str, Any]
"""Where a stream goes on: `round`, its starts so far, `rows`, how many are before, and `source` of `datasets`."""


class Stream:
    """The rows of a stream that starts again when it ends.

    Args:
        source: all rows in order.
        place: their file or data set, for messages.
        size: rows per buffer.
        local: reads them, where they are from local files.

    Attributes:
        start: the state before the first row.
    """

    def __init__(self, source: IterableDataset, place: str, size: int, local: "LocalRows | None" = None) -> None:
        self.local = local
        self._source, self._place, self._size = source, place, size
        self.start: State = {"round": 0, "rows": 0, "source": copy.deepcopy(source.state_dict())}
        self._state, self._rows = self.start, iter(source)

    def read(self, state: State) -> tuple[list[PlacedRow], State]:
        """The rows of the next buffer, and the state behind them.

        Raises:
            InputError: the stream has no rows, or cannot be read further.
        """
        if state != self._state:
            self._go_to(state)
        found = self._taken(self._size, state["rows"])
        if self.local and len(found) < self._size and self.local.count < state["rows"]:
            raise InputError(
                f"{self._place}: ends behind row {self.local.count:,}, before row {state['rows']:,} where training is "
                "to go on; restore its rows, or start in another --output-dir"
            )
        number, count = state["round"], state["rows"] + len(found)
        while len(found) < self._size:
            self._go_to(self.start)
            more = self._taken(self._size - len(found), 0)
            if not more:
                raise InputError(f"{self._place}: has no rows")
            found, number, count = found + more, number + 1, len(more)
        self._state = {"round": number, "rows": count, "source": copy.deepcopy(self._source.state_dict())}
        return found, self._state

    def _go_to(self, state: State) -> None:
        self._source.load_state_dict(copy.deepcopy(state["source"]))
        self._rows = iter(self._source)

    def _taken(self, count: int, before: int) -> list[PlacedRow]:
        try:
            return [_placed(row, number) for number, row in enumerate(islice(self._rows, count), before + 1)]
        except InputError:
            raise
        except Exception as error:  # of any library that reads a format, or the network
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"{self._place}: cannot be read further: {reason}") from error


def _placed(row: dict[str, Any], number: int) -> PlacedRow:
    if isinstance(row, PlacedRow):
        return row
    placed = PlacedRow(row)
    placed.number = placed.line = number
    return placed


def buffer_of(rows: Sequence[PlacedRow], place: str, sources: Sources, tell: Callable[..., None]) -> Dataset:
    """The rows of a buffer as a data set, in which messages find the number that a row has in its file.

    Args:
        rows: of the buffer.
        place: all rows' file or data set, for messages.
        sources: the data options, which say what columns are needed.
        tell: called with a message and its values for every column that cannot be stored and is not needed.

    Raises:
        InputError: a column that is needed has cells of several kinds.
    """

    def where(index: int) -> str:
        row = rows[index]
        file = row.file or place
        return f"{file}:{row.line}" if row.unit == "line" else f"{file}: {row.unit} {row.line}"

    found = dataset_of(object_table(enumerate(rows), "row"), place, sources, where, tell)
    runs = [[*run] for _, run in groupby(enumerate(rows), lambda item: (item[1].file, item[1].number - item[0]))]
    return Dataset(
        found.data,
        described([(run[0][1].file, len(run), run[0][1].number - 1) for run in runs]),
        fingerprint=found._fingerprint,
    )


class StreamedRows(TrainingRows):
    """Rows of a stream: every epoch is the next buffer of them, shuffled, in batches of similar length.

    Args:
        examples: the rows of the first buffer.
        stream: all rows.
        encode: makes examples of a buffer.
    """

    redrawn = True

    def __init__(self, examples: Examples, stream: Stream, encode: Callable[[list[PlacedRow]], Examples]) -> None:
        super().__init__(examples)
        self._stream, self._encode = stream, encode
        self.files = stream.local.files if stream.local else ()
        self._states: dict[int, State] = {0: stream.start}
        self._buffers: dict[int, Examples] = {}
        self._lock = threading.Lock()  # batches are prepared in a thread of their own

    def of_epoch(self, epoch: int) -> Examples:
        """The rows of a buffer, counted from 0; besides the first one, the last two that were read are kept."""
        if epoch == 0:
            return self.examples
        with self._lock:
            if epoch not in self._buffers:
                self._buffers = dict([*self._buffers.items()][-1:]) | {epoch: self._read(epoch)}
            return self._buffers[epoch]

    def _read(self, epoch: int) -> Examples:
        first = max(number for number in self._states if number <= epoch)
        for number in range(first, epoch + 1):
            rows, self._states[number + 1] = self._stream.read(self._states[number])
        return self._encode(rows)

    def lengths_of(self, epoch: int) -> np.ndarray:
        """The tokens of each row of a buffer, `(rows, sides)`."""
        return self.of_epoch(epoch).lengths

    def drawn(self, epoch: int) -> np.ndarray:
        """All rows of a buffer."""
        return np.arange(len(self.of_epoch(epoch)), dtype=np.int32)

    def position(self, epoch: int, first_step: int) -> dict[str, Any]:
        """What a checkpoint keeps to go on within a buffer whose first step has this number."""
        with self._lock:
            return {"epoch": epoch, "first_step": first_step, "rows": self._states[epoch]}

    def resume(self, position: dict[str, Any]) -> None:
        """Goes on where a checkpoint was saved.

        Raises:
            InputError: a local file ends before, or cannot be read.
        """
        if position:
            self.origin = position["epoch"], position["first_step"]
            self._states[position["epoch"]] = position["rows"]
            self.of_epoch(position["epoch"])  # so that a file that ends before says so now

    def describe(self) -> list[str]:
        """Says that they are streamed."""
        return ["rows are read in their order, and shuffled within buffers, which count as epochs"]


class LocalRows:
    """Reads the rows of local files for `datasets`, and counts them.

    Args:
        read: starts at the first row.
        files: that it reads.

    Attributes:
        count: rows read since the last start.
    """

    def __init__(self, read: Callable[[], Iterator[PlacedRow]], files: tuple[Path, ...]) -> None:
        self._read, self.files, self.count = read, files, 0

    def stream(self) -> IterableDataset:
        """The rows as a stream of `datasets`."""

        def counted() -> Iterator[PlacedRow]:
            self.count = 0
            for row in self._read():
                self.count += 1
                yield row

        return IterableDataset.from_generator(counted)
