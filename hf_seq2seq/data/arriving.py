"""Rows of a producer that may be slower than the model: those that are there are answered, and none waits for more."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
ROOM = 4096
LINGER = 0.02
"""How long the first of some rows waits for others, in seconds."""


class _End:
    """What follows the last item: nothing, or what went wrong."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Arriving(Generic[Item]):
    """Items, read ahead in a thread of their own.

    The thread never outlives the process, though it may wait for a line for ever.

    Args:
        items: read one after the other.
        room: read ahead at most so many.
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
        """At least one item, for which it waits, and those that are there by then; none after the last.

        Raises:
            Exception: what reading raised, once the items before it were taken.
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
