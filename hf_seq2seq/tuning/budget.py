"""How a search divides its time: trials first, then the best one to its end, then decoding and the final scores."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hf_seq2seq.clocks import clocks
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag
from hf_seq2seq.time_limits import duration, seconds_of

SEARCH_SHARE = 0.55
CLOSING_SHARE = 0.1
FULL_TRIALS = 4
"""So many trials of full length have room in the search's share; most are stopped after a ninth or a third of one."""
BEFORE_SEEDS = 3
"""The same where an ensemble is asked for: further seeds of one setting are worth more than further settings."""
SPARE = 1.2
"""What comes after the last run may take this many times what the trials say."""
DRAWING = 0.3
"""The leaderboard and its picture take about this share of the search's own start, which imports as much."""
LONGER = 1.25
"""The best settings are retrained if there is time for this many times the length of a trial."""
NEEDED = re.compile(r"--max-(?:cpu-)?time: .*give at least ([\d.]+ \w+(?: \d+ \w+)?)")


class TooLittleTimeError(InputError):
    """The budget has no room for one trial."""


@dataclass(frozen=True)
class Budget:
    """The time of a search, in seconds.

    Attributes:
        total: of everything.
        name: of the option: "max_time" for the clock, "max_cpu_time" for the CPU time of all processes.
        models: with which the search is to end; all but one are trained after the trials.
    """

    total: float
    name: str = "max_time"
    models: int = 1

    @property
    def share(self) -> float:
        """The part of the time in which trials are started; an ensemble leaves a full run's time per further model."""
        if self.models < 2:
            return SEARCH_SHARE
        return min(SEARCH_SHARE, (1 - CLOSING_SHARE) * BEFORE_SEEDS / (BEFORE_SEEDS + self.models - 1))

    @property
    def search(self) -> float:
        """Until when trials are started, counted from the beginning."""
        return self.total * self.share

    @property
    def is_cpu(self) -> bool:
        """Whether it is CPU time."""
        return self.name == "max_cpu_time"

    def since(self, began: tuple[float, float]) -> float:
        """Its time that has passed in this process since `clocks` returned `began`."""
        return clocks()[self.is_cpu] - began[self.is_cpu]

    def trial(self, used: float) -> float:
        """Of one trial that is never stopped, where the first one starts after `used`."""
        return max(0.0, self.search - used) / (FULL_TRIALS if self.models < 2 else BEFORE_SEEDS)

    def for_runs(self, used: float, closing: float) -> float:
        """Time left after `used` for further runs of the best settings.

        Args:
            used: until now.
            closing: for the final scores; a tenth is left in any case, also for averages and decoding settings.
        """
        return self.total - max(closing, self.total * CLOSING_SHARE) - used

    def for_run(self, seconds: float) -> float:
        """The total of which a run of the best settings after the trials has so many seconds."""
        if self.models < 2:
            return seconds / (1 - CLOSING_SHARE - self.share)
        return seconds * BEFORE_SEEDS / self.share

    def for_all(self, start: float, trial: float, families: int) -> str:
        """About the time in which every family is tried, in minutes: `10m`.

        Args:
            start: that the search took before its first trial.
            trial: the longest one yet.
            families: their number.
        """
        enough = max(1.5 * self.total, SPARE * (start + families * trial) / self.share)
        return f"{math.ceil(enough / 60)}m"

    def refusal(self, used: float, trial: float = 0.0) -> InputError:
        """The error for a budget in which not even one trial fits.

        Args:
            used: by the start, before the first trial.
            trial: that a trial needs at least, if known.
        """
        needed = f", and a trial needs at least {duration(trial)}" if trial else ""
        enough = max(2 * self.total, 1.2 * (used + trial) / self.share)
        return InputError(
            f"{flag(self.name)}: {duration(self.total)} is too little to try anything: the start took "
            f"{duration(used)}{needed}; give at least {duration(enough)}, or fewer rows (--max-eval-samples)"
        )


def budget_of(models: int | None = None, **limits: str | None) -> Budget | None:
    """The budget of a search from its options `max_time` and `max_cpu_time`; None without either.

    Args:
        models: of the ensemble that is asked for; None for none.
        **limits: the options.

    Raises:
        InputError: both are given, or one is not a time.
    """
    given = {name: seconds_of(name, text) for name, text in limits.items() if text is not None}
    if len(given) > 1:
        raise InputError(f"{' and '.join(map(flag, given))}: a search keeps to one of them; give one")
    return next((Budget(seconds, name, models or 1) for name, seconds in given.items()), None)


def closing_seconds(meter: Mapping[str, float], took: float, test_share: float) -> float:
    """The time of a run without steps that scores the validation and the test rows, as measured by a trial.

    Args:
        meter: what the trial's state has of the limit; see `training.budget.Meter`.
        took: the whole trial, from outside.
        test_share: number of test rows by that of validation rows.
    """
    return max(0.0, took - meter["spent"]) + meter.get("start", 0.0) + test_share * meter.get("scoring", 0.0)


def needed_seconds(reason: str) -> float | None:
    """The time that a run says it needs where it was refused for having too little; None for other reasons."""
    found = NEEDED.match(reason)
    return seconds_of("max_time", found[1].replace("min", "m")) if found else None
