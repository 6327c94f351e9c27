"""Ctrl-C, SIGTERM and SIGHUP: recorded, and handled between two optimizer steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """The last signal that arrived, 0 for none."""

    signal: int = 0

    def note(self, number: int, _: FrameType | None) -> None:
        """Records a signal; the second Ctrl-C ends the process immediately."""
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def watch_signals() -> Iterator[Interrupts]:
    """Records SIGINT, SIGTERM and SIGHUP inside the block instead of ending the process.

    Outside the main thread none arrive. SIGHUP stays ignored under `nohup`.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # only the main thread receives signals and may install handlers
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupts.note) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
