"""How a search divides its time: trials first, then the best one to its end, then decoding and the final scores."""

from dataclasses import dataclass

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
