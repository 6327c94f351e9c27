"""Rows from a producer that may be slower than the model: available rows are processed without waiting for more."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
ROOM = 4096
LINGER = 0.02
"""How long the first of several rows waits for others, in seconds."""


class _End:
    """What follows the last item: nothing, or an exception."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Arriving(Generic[Item]):
    """Items, read ahead in a separate thread.

    It is a daemon thread, because it may wait for a line forever.

    Args:
        items: the items to read.
        room: maximum number of items to read ahead.
    """

    def __init__(self, items: Iterable[Item], room: int = ROOM) -> None:
        self._waiting: queue.Queue[Item | _End] = queue.Queue(room)
        self._end: _End | None = None
        threading.Thread(target=self._read, args=(items,), daemon=True).start()

    def _read(self, items: Iterable[Item]) -> None:
        try:
            for item in items:
                self._waiting.put(item)
        except BaseException as error:
            self._waiting.put(_End(error))
        else:
            self._waiting.put(_End())

    def take(self, most: int) -> list[Item]:
        """Waits for at least one item, and returns all that are available by then; none after the last.

        Raises:
            Exception: raised by reading, after the items before it were taken.
        """
        found: list[Item] = []
        deadline = 0.0
        while len(found) < most and self._end is None:
            try:
                item = self._waiting.get(timeout=max(0.0, deadline - time.monotonic()) if found else None)
            except queue.Empty:
                break
            if isinstance(item, _End):
                self._end = item
            else:
                deadline = deadline or time.monotonic() + LINGER
                found.append(item)
        if not found and self._end is not None and self._end.error:
            raise self._end.error
        return found

    def __iter__(self) -> Iterator[Item]:
        while found := self.take(1):
            yield from found
