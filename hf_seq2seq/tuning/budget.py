"""How a search divides its time: trials first, then the best one to its end, then decoding and the final scores."""

import re
from dataclasses import dataclass

from hf_seq2seq.errors import InputError

SEARCH_SHARE = 0.55
CLOSING_SHARE = 0.1
FULL_TRIALS = 4
"""So many trials of full length have room in the search's share; most are stopped after a ninth or a third of one."""
LONGER = 1.25
"""The best settings are retrained if there is time for this many times the length of a trial."""


@dataclass(frozen=True)
class Budget:
    """The time of a search, in seconds.

    Attributes:
        total: of everything.
        used: of it, by earlier starts of the same search.
    """

    total: float
    used: float = 0.0

    @property
    def search(self) -> float:
        """Until when trials are started, counted from the beginning."""
        return self.total * SEARCH_SHARE

    @property
    def trial(self) -> float:
        """Of one trial that is never stopped."""
        return self.search / FULL_TRIALS

    @property
    def closing(self) -> float:
        """For decoding settings and final scores."""
        return self.total * CLOSING_SHARE

    def for_longer_run(self, used: float) -> float | None:
        """Time left to retrain the best settings after `used`; None if too little."""
        left = self.total - self.closing - used
        return left if left >= LONGER * self.trial else None


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> float:
    """Reads a time such as `90s`, `20m`, `1.5h` or `1h30m`.

    Raises:
        InputError: it is none, or is nothing.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text.strip().lower())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip().lower():
        raise InputError(f"--max-time: {text!r} is not a time; write 90s, 20m, 2h or 1h30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not seconds:
        raise InputError(f"--max-time: {text!r} is no time at all; write 90s, 20m or 2h")
    return seconds
